"""Putting IP fragments back together, for captures; inline the kernel has done it already.

It is bounded in datagrams, in fragments of each and in time, and drops a datagram whose fragments
overlap other than by exact repetition (RFC 5722; Linux does the same for IPv4), because then there
is no telling what the receiver saw.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from ratwall.wire.packet import (
    CHAINED_HEADERS,
    IPV4_FRAGMENT_MASK,
    IPV4_HEADER,
    IPV6_FRAGMENT_MASK,
    IPV6_HEADER,
    PROTOCOL_FRAGMENT,
)

# A capture of a busy link rarely holds more unfinished datagrams; 64 of 64 KiB are 4 MiB.
DATAGRAM_LIMIT: Final = 64
# 64 KiB in the smallest useful fragments of an honest sender (IPv4's minimum MTU of 576) are 119.
FRAGMENT_LIMIT: Final = 128
# RFC 8200 §4.5: reassembly is given up after 60 seconds.
TIMEOUT_US: Final = 60 * 1_000_000
_LENGTH_LIMIT: Final = 0xFFFF

_IPV4: Final = Struct(">BxHHH")
_FRAGMENT_HEADER: Final = Struct(">BxHI")
_UNIT: Final = 8  # offsets count 8-byte units


@dataclass(frozen=True, slots=True)
class _Fragment:
    """One fragment, taken apart; `head` is the header for the whole datagram without its length."""

    key: bytes
    head: bytes
    offset: int
    more: bool
    data: bytes


@dataclass(slots=True)
class _Datagram:
    started: int
    parts: dict[int, bytes] = field(default_factory=dict)
    head: bytes | None = None  # of the fragment at offset 0
    total: int | None = None  # payload length, known from the last fragment


class Defragmenter:
    """Feed it every datagram of a capture; it hands on whole ones."""

    __slots__ = ("_pending", "dropped")

    def __init__(self) -> None:
        self._pending: OrderedDict[bytes, _Datagram] = OrderedDict()
        self.dropped = 0  # datagrams given up: overlapping, too many, too late

    def push(self, datagram: bytes, now: int) -> bytes | None:
        """Return a whole datagram, or None while fragments are missing; `now` in microseconds."""
        fragment = _take_apart(datagram)
        if fragment is None:
            return datagram
        pending = self._pending.get(fragment.key)
        if pending is not None and now - pending.started > TIMEOUT_US:
            self._drop(fragment.key)
            pending = None
        if pending is None:
            pending = self._pending[fragment.key] = _Datagram(now)
            if len(self._pending) > DATAGRAM_LIMIT:
                self._drop(next(iter(self._pending)))
        if not _add(pending, fragment):
            self._drop(fragment.key)
            return None
        whole = _join(pending)
        if whole is not None:
            del self._pending[fragment.key]
        return whole

    def _drop(self, key: bytes) -> None:
        del self._pending[key]
        self.dropped += 1


def _add(pending: _Datagram, fragment: _Fragment) -> bool:
    """Keep a fragment; False when the datagram has become impossible."""
    offset, data = fragment.offset, fragment.data
    known = pending.parts.get(offset)
    if known is not None:
        return known == data
    end = offset + len(data)
    if end > _LENGTH_LIMIT or len(pending.parts) >= FRAGMENT_LIMIT:
        return False
    if not data or (fragment.more and len(data) % _UNIT):
        return False
    if any(other < end and offset < other + len(part) for other, part in pending.parts.items()):
        return False
    if not fragment.more:
        pending.total = end
    if offset == 0:
        pending.head = fragment.head
    pending.parts[offset] = data
    return pending.total is None or max(pending.parts) < pending.total


def _join(pending: _Datagram) -> bytes | None:
    if pending.total is None or pending.head is None:
        return None
    if sum(map(len, pending.parts.values())) != pending.total:
        return None
    payload = b"".join(pending.parts[offset] for offset in sorted(pending.parts))
    head = bytearray(pending.head)
    if head[0] >> 4 == 4:
        length = len(head) + len(payload)
        if length > _LENGTH_LIMIT:
            return None
        head[2:4] = length.to_bytes(2, "big")
    else:
        length = len(head) + len(payload) - IPV6_HEADER
        if length > _LENGTH_LIMIT:
            return None
        head[4:6] = length.to_bytes(2, "big")
    return bytes(head) + payload


def _take_apart(datagram: bytes) -> _Fragment | None:
    """Read a fragment; None for whole datagrams and for what only `packet` should complain of."""
    if len(datagram) >= IPV4_HEADER and datagram[0] >> 4 == 4:
        return _take_apart_ipv4(datagram)
    if len(datagram) >= IPV6_HEADER and datagram[0] >> 4 == 6:
        return _take_apart_ipv6(datagram)
    return None


def _take_apart_ipv4(datagram: bytes) -> _Fragment | None:
    first, length, identification, flags = _IPV4.unpack_from(datagram)
    header = (first & 0x0F) * 4
    if not flags & IPV4_FRAGMENT_MASK or not IPV4_HEADER <= header <= length <= len(datagram):
        return None
    head = bytearray(datagram[:header])
    head[6:8] = b"\0\0"  # neither fragmented nor at an offset; the checksum stays unverified
    return _Fragment(
        key=datagram[12:20] + datagram[9:10] + identification.to_bytes(2, "big"),
        head=bytes(head),
        offset=(flags & 0x1FFF) * _UNIT,
        more=bool(flags & 0x2000),
        data=datagram[header:length],
    )


def _take_apart_ipv6(datagram: bytes) -> _Fragment | None:
    length = int.from_bytes(datagram[4:6], "big") + IPV6_HEADER
    next_at, offset = 6, IPV6_HEADER  # where the number of the next header stands, and that header
    while datagram[next_at] in CHAINED_HEADERS and offset + 2 <= len(datagram):
        next_at, offset = offset, offset + (datagram[offset + 1] + 1) * 8
        if offset > len(datagram):
            return None
    start = offset + _FRAGMENT_HEADER.size
    if datagram[next_at] != PROTOCOL_FRAGMENT or not start <= length <= len(datagram):
        return None
    protocol, flags, identification = _FRAGMENT_HEADER.unpack_from(datagram, offset)
    if not flags & IPV6_FRAGMENT_MASK:
        return None  # an atomic fragment is whole (RFC 6946)
    head = bytearray(datagram[:offset])
    head[next_at] = protocol
    return _Fragment(
        key=datagram[8:40] + identification.to_bytes(4, "big"),
        head=bytes(head),
        offset=flags & 0xFFF8,
        more=bool(flags & 1),
        data=datagram[start:length],
    )
