"""Netlink framing: messages and attributes as bytes, nothing more.

Written here because the library that reads conntrack events costs 26 MB resident and 190 ms at
import in a process that must stay small; the part we need is this file. Sans-IO: bytes in, tuples
out.
"""

import struct
from collections.abc import Container, Iterator
from typing import Final

HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port id
ATTRIBUTE: Final = struct.Struct("=HH")  # nlattr: length, type
NFGENMSG: Final = struct.Struct("!BBH")  # nfgenmsg: family, version, resource id

NETLINK_NETFILTER = 12
NLM_F_REQUEST = 0x01
NLM_F_ACK = 0x04
NLM_F_DUMP = 0x300
NLMSG_ERROR = 2
NLMSG_DONE = 3
_ATTRIBUTE_SIZE: Final = ATTRIBUTE.size
_unpack_attribute = ATTRIBUTE.unpack_from  # for every attribute of every event
NLA_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER


def align(length: int) -> int:
    """Round up to the four bytes that netlink aligns to."""
    return (length + 3) & ~3


def messages(data: bytes) -> Iterator[tuple[int, int, memoryview]]:
    """Yield (type, flags, body) of each message in a datagram; a short tail ends it."""
    view = memoryview(data)
    while len(view) >= HEADER.size:
        length, kind, flags, _, _ = HEADER.unpack_from(view)
        if not HEADER.size <= length <= len(view):
            return
        yield kind, flags, view[HEADER.size : length]
        view = view[align(length) :]


def attributes(view: memoryview, wanted: Container[int] | None = None) -> dict[int, memoryview]:
    """Return attribute type → value; of a repeated one the last, a malformed tail left out.

    `wanted`: only these types; most of what the kernel tells of a flow nobody asks for.
    """
    found = {}
    at, end = 0, len(view)
    while end - at >= _ATTRIBUTE_SIZE:
        length, kind = _unpack_attribute(view, at)
        if not _ATTRIBUTE_SIZE <= length <= end - at:
            break
        kind &= NLA_TYPE_MASK
        if wanted is None or kind in wanted:
            found[kind] = view[at + _ATTRIBUTE_SIZE : at + length]
        at += (length + 3) & ~3
    return found


def nested(view: memoryview) -> Iterator[memoryview]:
    """Yield the values of a list of attributes of one type, a malformed tail left out."""
    at, end = 0, len(view)
    while end - at >= _ATTRIBUTE_SIZE:
        length, _ = _unpack_attribute(view, at)
        if not _ATTRIBUTE_SIZE <= length <= end - at:
            return
        yield view[at + _ATTRIBUTE_SIZE : at + length]
        at += align(length)


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded."""
    body = ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value
    return body.ljust(align(len(body)), b"\0")


def netfilter_request(
    subsystem: int, command: int, flags: int, family: int, resource: int, *attrs: bytes
) -> bytes:
    """Return one nfnetlink request; its sequence number is always 1."""
    body = NFGENMSG.pack(family, 0, resource) + b"".join(attrs)
    length = HEADER.size + len(body)
    return HEADER.pack(length, subsystem << 8 | command, NLM_F_REQUEST | flags, 1, 0) + body
