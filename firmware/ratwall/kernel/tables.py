"""What the kernel's tables hold, asked by netlink (include/uapi/linux/netfilter/nf_tables.h).

Only reads: the names of chains, counters, the elements of a set. The `nft` command fetches every
element of every set before it lists anything of a table: most of a second with a hundred thousand
elements, where this is a fraction of a millisecond.
"""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ratwall.kernel import netlink
from ratwall.kernel.channel import Channel
from ratwall.kernel.command import ToolError

SUBSYSTEM_NFTABLES = 10
MESSAGE_NEW_CHAIN, MESSAGE_GET_CHAIN = 3, 4
MESSAGE_NEW_ELEMENT, MESSAGE_GET_ELEMENT = 12, 13
MESSAGE_NEW_OBJECT, MESSAGE_GET_OBJECT = 18, 19
CHAIN_TABLE, CHAIN_NAME, CHAIN_TYPE = 1, 3, 7
LIST_TABLE, LIST_SET, LIST_ELEMENTS = 1, 2, 3
ELEMENT_KEY, ELEMENT_EXPIRATION, DATA_VALUE = 1, 5, 1
OBJECT_TABLE, OBJECT_NAME, OBJECT_TYPE, OBJECT_DATA = 1, 2, 3, 4
OBJECT_IS_COUNTER = 1
COUNTER_PACKETS = 2
ATTEMPTS = 5  # a change of the tables in the middle of a dump spoils it
NLM_F_DUMP_INTR = 0x10  # linux/netlink.h: this dump is of two states
NFPROTO_INET, NFPROTO_BRIDGE = 1, 7
NUMBER32, NUMBER64 = struct.Struct("!I"), struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; `kind` is "filter", "nat" or "route" of a base chain, "" of any other."""

    family: int
    table: str
    name: str
    kind: str


def chains() -> list[Chain]:
    """Return every chain of this network namespace; ToolError if the kernel does not answer."""
    found = []
    for family, attrs in _dump(MESSAGE_GET_CHAIN, MESSAGE_NEW_CHAIN):
        table, name = _text(attrs, CHAIN_TABLE), _text(attrs, CHAIN_NAME)
        found.append(Chain(family, table, name, _text(attrs, CHAIN_TYPE)))
    return found


def counters(table: str) -> dict[str, int]:
    """Return packets by the name of a counter, of all tables of this name: what two of them count
    under one name is added up; ToolError if the kernel does not answer."""
    found: dict[str, int] = {}
    for _, attrs in _dump(MESSAGE_GET_OBJECT, MESSAGE_NEW_OBJECT):
        if _text(attrs, OBJECT_TABLE) != table:
            continue
        if _number(attrs.get(OBJECT_TYPE), NUMBER32) != OBJECT_IS_COUNTER:
            continue
        data = netlink.attributes(attrs.get(OBJECT_DATA, memoryview(b"")))
        name = _text(attrs, OBJECT_NAME)
        found[name] = found.get(name, 0) + _number(data.get(COUNTER_PACKETS), NUMBER64)
    return found


def elements(table: str, name: str) -> Iterator[tuple[bytes, int]]:
    """Yield (key, milliseconds left) of each element of a set of an inet table, 0 for no end.

    Fields of a key stand padded to four bytes each. ToolError if the kernel does not answer.
    """
    of_set = (
        netlink.attribute(LIST_TABLE, table.encode() + b"\0"),
        netlink.attribute(LIST_SET, name.encode() + b"\0"),
    )
    for _, attrs in _dump(MESSAGE_GET_ELEMENT, MESSAGE_NEW_ELEMENT, NFPROTO_INET, *of_set):
        for one in netlink.nested(attrs.get(LIST_ELEMENTS, memoryview(b""))):
            inner = netlink.attributes(one, _ELEMENT)
            key = netlink.attributes(inner.get(ELEMENT_KEY, memoryview(b"")))
            left = _number(inner.get(ELEMENT_EXPIRATION), NUMBER64)
            yield bytes(key.get(DATA_VALUE, b"")), left


_ELEMENT = frozenset((ELEMENT_KEY, ELEMENT_EXPIRATION))


def _dump(
    command: int, answer: int, family: int = socket.AF_UNSPEC, *attrs: bytes
) -> list[tuple[int, dict[int, memoryview]]]:
    """Return (family, attributes) of all there is of one kind."""
    request = netlink.netfilter_request(
        SUBSYSTEM_NFTABLES, command, netlink.NLM_F_DUMP, family, 0, *attrs
    )
    try:
        for _ in range(ATTEMPTS):
            found = _ask(request, answer)
            if found is not None:
                return found
    except OSError as error:
        raise ToolError(f"nf_tables: the kernel does not tell what it holds: {error}") from error
    raise ToolError("nf_tables: what the kernel holds changes faster than it can be read")


def _ask(request: bytes, answer: int) -> list[tuple[int, dict[int, memoryview]]] | None:
    """Return the answers to one request; None if the tables have changed meanwhile."""
    found: list[tuple[int, dict[int, memoryview]]] = []
    whole = True
    with Channel() as channel:
        for data in channel.answers(request):
            for kind, flags, body in netlink.messages(data):
                whole = whole and not flags & NLM_F_DUMP_INTR
                if kind == SUBSYSTEM_NFTABLES << 8 | answer and len(body) >= netlink.NFGENMSG.size:
                    found.append((body[0], netlink.attributes(body[netlink.NFGENMSG.size :])))
    return found if whole else None


def _text(attrs: dict[int, memoryview], kind: int) -> str:
    return bytes(attrs.get(kind, b"")).rstrip(b"\0").decode(errors="replace")


def _number(view: memoryview | None, size: struct.Struct) -> int:
    return int(size.unpack(view)[0]) if view is not None and len(view) == size.size else 0
