"""One DNS answer: which name was asked for, and which addresses it has.

Pure: bytes in, facts out; it keeps nothing and asks nobody. dnspython reads names and records, so
that compression, escapes and lengths are a well-kept library's work; how many records are read is
bounded here, because a message of 64 KB could hold thousands, each naming the one before.

Design note: only records on the way from the question's name count, over its aliases. A server may
add whatever it likes beside them, and a client throws that away.
"""

import struct
from ipaddress import IPv4Address, IPv6Address

import dns.exception
import dns.name
import dns.wire

from ratwall.names.facts import Answer
from ratwall.wire.errors import ParseError

RECORDS_LIMIT = 64  # read of one answer: a large site has some twenty addresses
ALIASES_LIMIT = 16  # followed from the question on; resolvers give up at about as many
NAME_LIMIT = 253  # characters of a name as text (RFC 1035 section 2.3.4)

IN = 1  # the class of the internet (RFC 1035 section 3.2.4)
A, CNAME, AAAA = 1, 5, 28  # types: RFC 1035 section 3.2.2, RFC 3596 section 2.1
ADDRESS_TYPES = {A: (IPv4Address, 4), AAAA: (IPv6Address, 16)}  # and their length in bytes

_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_RESPONSE = 0x8000
_OPCODE = 0x7800
_CODE = 0x000F


def read_answer(message: bytes) -> Answer | None:
    """Read a message; None for what is no answer to a question for addresses.

    ParseError if it is malformed. What is cut off behind the records read so far is not missed.
    """
    if len(message) < _HEADER.size:
        raise ParseError(f"DNS header cut short, {len(message)} bytes", len(message))
    _, flags, questions, records, _, _ = _HEADER.unpack_from(message)
    if not flags & _RESPONSE or flags & _OPCODE or questions != 1:
        return None
    parser = dns.wire.Parser(message, _HEADER.size)
    try:
        asked = dns.name.from_wire_parser(parser)
        kind, of = parser.get_struct("!HH")
    except dns.exception.DNSException as error:
        raise ParseError(f"DNS question: {error}", parser.current) from error
    if of != IN or kind not in ADDRESS_TYPES:
        return None
    name = _text(asked)
    if name is None:
        return None
    aliases: dict[str, str] = {}
    addresses: dict[str, list[str]] = {}
    for _ in range(min(records, RECORDS_LIMIT)):
        try:
            _read_record(parser, aliases, addresses)
        except dns.exception.FormError as error:
            if type(error) is not dns.exception.FormError:
                raise ParseError(f"DNS record: {error}", parser.current) from error
            break  # cut off: by the sender, or by the copy
        except dns.exception.DNSException as error:
            raise ParseError(f"DNS record: {error}", parser.current) from error
    return _follow(name, aliases, addresses, flags & _CODE)


def _read_record(
    parser: dns.wire.Parser, aliases: dict[str, str], addresses: dict[str, list[str]]
) -> None:
    """Take in one record: an alias, an address, or something else that is stepped over."""
    owner = _text(dns.name.from_wire_parser(parser))
    kind, of, _, length = parser.get_struct(_RECORD.format)
    if owner is None or of != IN or kind not in (CNAME, *ADDRESS_TYPES):
        parser.get_bytes(length)
        return
    with parser.restrict_to(length):
        if kind == CNAME:
            target = _text(dns.name.from_wire_parser(parser))
            if target is not None:
                aliases.setdefault(owner, target)
            return
        data = parser.get_remaining()
    address, size = ADDRESS_TYPES[kind]
    if size == len(data):
        addresses.setdefault(owner, []).append(str(address(data)))


def _follow(
    name: str, aliases: dict[str, str], addresses: dict[str, list[str]], code: int
) -> Answer:
    way = [name]
    while len(way) <= ALIASES_LIMIT and way[-1] in aliases and aliases[way[-1]] not in way:
        way.append(aliases[way[-1]])
    found = dict.fromkeys(address for step in way for address in addresses.get(step, ()))
    return Answer(name, tuple(way[1:]), tuple(found), code)


def _text(name: dns.name.Name) -> str | None:
    """Return a name as text, bytes beyond printable ASCII escaped; None for the root and what is
    too long so."""
    text = name.to_text(omit_final_dot=True).lower()
    return None if name == dns.name.root or len(text) > NAME_LIMIT else text
