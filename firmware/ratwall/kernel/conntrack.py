"""Conntrack events: the proof that the kernel holds a flow as blocked, and when a flow ended.

The controller says "blocked" of a flow only after the kernel has shown the BLOCK class on that very
flow. Reads ctnetlink (include/uapi/linux/netfilter/nfnetlink_conntrack.h); changes nothing.
"""

import socket
import struct
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from ratwall.kernel import netlink
from ratwall.kernel.channel import Channel
from ratwall.kernel.marks import FlowClass, Marks

SUBSYSTEM_CTNETLINK = 1
MESSAGE_NEW = 0  # IPCTNL_MSG_CT_NEW: new and update events
MESSAGE_GET = 1
MESSAGE_DELETE = 2
NLM_F_CREATE = 0x400  # set by the kernel on a new entry, absent on an update
GROUPS = (1 << 1) | (1 << 2)  # NFNLGRP_CONNTRACK_UPDATE (2), _DESTROY (3), as a bind mask
CTA_TUPLE_ORIG, CTA_MARK, CTA_COUNTERS_ORIG, CTA_COUNTERS_REPLY = 1, 8, 9, 10
CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2
CTA_IP = ((1, 2, 4), (3, 4, 16))  # (source, destination, length): IPv4, IPv6
CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT = 1, 2, 3
CTA_COUNTERS_BYTES = 2
CTA_TIMESTAMP, CTA_TIMESTAMP_START = 20, 1
NANOSECONDS = 1000  # in a microsecond
RECEIVE_BUFFER = 4 * 1024 * 1024  # bytes: some 10,000 events while the controller is busy
ADDRESSES_REMEMBERED = 4096  # 1 MB: what an office talks to within minutes
PORT = struct.Struct("!H")
_ATTRIBUTE_SIZE: Final = netlink.ATTRIBUTE.size
_FRONT: Final = netlink.HEADER.size + netlink.NFGENMSG.size
_unpack_header = netlink.HEADER.unpack_from
_unpack_attribute = netlink.ATTRIBUTE.unpack_from
MARK = struct.Struct("!I")
BYTES = struct.Struct("!Q")


EndsText = tuple[str, int, str, int]


@dataclass(frozen=True, slots=True)
class FlowEvent:
    """One TCP flow as conntrack shows it; `source` is the end that its first packet came from."""

    ended: bool
    source: IPv4Address | IPv6Address
    source_port: int
    destination: IPv4Address | IPv6Address
    destination_port: int
    flow_class: FlowClass
    bytes_sent: int  # from source; 0 while accounting is off
    bytes_received: int
    started: int = 0  # UTC microseconds of its first packet; 0 while time stamps are off

    @property
    def ends(self) -> EndsText:
        """Source, its port, destination, its port, the addresses as text."""
        return _text(self.source), self.source_port, _text(self.destination), self.destination_port

    @property
    def back(self) -> EndsText:
        """The same from the other end: picked up mid-stream, the server may come first."""
        return _text(self.destination), self.destination_port, _text(self.source), self.source_port


@lru_cache(ADDRESSES_REMEMBERED)
def _text(address: IPv4Address | IPv6Address) -> str:
    return str(address)


@lru_cache(ADDRESSES_REMEMBERED)
def _address(packed: bytes) -> IPv4Address | IPv6Address:
    return ip_address(packed)


# Of these a connection is told several times without anything new in it, once for each step of its
# handshakes; what is proof of a cut, or passed uninspected, is told as often as the kernel does.
_SAID_ONCE = frozenset(FlowClass) - {FlowClass.BLOCK, FlowClass.UNINSPECTED}
TOLD_LIMIT = 8192  # connections whose last class is remembered, 2 MB; beyond, told once more
ENDS_REMEMBERED = 4096  # a connection is told some six times within seconds

Ends = tuple[IPv4Address | IPv6Address, int, IPv4Address | IPv6Address, int]


class Told:
    """What was last told of each connection, so that a repetition is known before it is read."""

    __slots__ = ("_classes",)

    def __init__(self) -> None:
        self._classes: dict[bytes, FlowClass] = {}

    def is_news(self, ends: bytes, flow_class: FlowClass, ended: bool) -> bool:
        """Say whether an event tells anything that the one before it did not."""
        if ended:
            self._classes.pop(ends, None)
            return True
        if self._classes.get(ends) is flow_class and flow_class in _SAID_ONCE:
            return False
        if len(self._classes) >= TOLD_LIMIT:
            del self._classes[next(iter(self._classes))]
        self._classes[ends] = flow_class
        return True


def decode(data: bytes, marks: Marks, told: Told | None = None) -> list[FlowEvent]:
    """Return the TCP flows of a ctnetlink datagram; what is not TCP or malformed is left out.

    So is what was told before, where it is remembered. Written out, not by `netlink.messages` and
    `attributes`: with every connection the controller hears this twice at least.
    """
    found = []
    at, end = 0, len(data)
    while end - at >= netlink.HEADER.size:
        length, kind, _, _, _ = _unpack_header(data, at)
        if not netlink.HEADER.size <= length <= end - at:
            break
        if kind >> 8 == SUBSYSTEM_CTNETLINK:
            event = _event(data, at + _FRONT, at + length, kind & 0xFF, marks, told)
            if event is not None:
                found.append(event)
        at += (length + 3) & ~3
    return found


def _event(
    data: bytes, at: int, end: int, kind: int, marks: Marks, told: Told | None
) -> FlowEvent | None:
    """Read the attributes from `at` to `end`."""
    raw, mark, sent, received, stamp = b"", b"", b"", b"", b""
    while end - at >= _ATTRIBUTE_SIZE:
        length, attribute = _unpack_attribute(data, at)
        if not _ATTRIBUTE_SIZE <= length <= end - at:
            break
        attribute &= netlink.NLA_TYPE_MASK
        if attribute == CTA_TUPLE_ORIG:
            raw = data[at + _ATTRIBUTE_SIZE : at + length]
        elif attribute == CTA_MARK:
            mark = data[at + _ATTRIBUTE_SIZE : at + length]
        elif attribute == CTA_COUNTERS_ORIG:
            sent = data[at + _ATTRIBUTE_SIZE : at + length]
        elif attribute == CTA_COUNTERS_REPLY:
            received = data[at + _ATTRIBUTE_SIZE : at + length]
        elif attribute == CTA_TIMESTAMP:
            stamp = data[at + _ATTRIBUTE_SIZE : at + length]
        at += (length + 3) & ~3
    ends = _ends(raw)
    if ends is None:
        return None
    ended = kind == MESSAGE_DELETE
    flow_class = marks.class_of(_number(mark, MARK))
    if told is not None and not told.is_news(raw, flow_class, ended):
        return None
    return FlowEvent(ended, *ends, flow_class, _bytes(sent), _bytes(received), _started(stamp))


@lru_cache(ENDS_REMEMBERED)
def _ends(raw: bytes) -> Ends | None:
    """Read the ends of a flow from its tuple attribute; None if it is not TCP's."""
    parts = netlink.attributes(memoryview(raw))
    protocol = netlink.attributes(parts.get(CTA_TUPLE_PROTO, memoryview(b"")))
    if bytes(protocol.get(CTA_PROTO_NUM, b"")) != bytes([socket.IPPROTO_TCP]):
        return None
    addresses = netlink.attributes(parts.get(CTA_TUPLE_IP, memoryview(b"")))
    ports = protocol.get(CTA_PROTO_SRC_PORT), protocol.get(CTA_PROTO_DST_PORT)
    if any(port is None or len(port) != PORT.size for port in ports):
        return None
    for source, destination, length in CTA_IP:
        ends = addresses.get(source), addresses.get(destination)
        if ends[0] is not None and ends[1] is not None and len(ends[0]) == len(ends[1]) == length:
            return (
                _address(bytes(ends[0])),
                _number(ports[0], PORT),
                _address(bytes(ends[1])),
                _number(ports[1], PORT),
            )
    return None


def _bytes(counters: bytes) -> int:
    if not counters:
        return 0
    return _number(netlink.attributes(memoryview(counters)).get(CTA_COUNTERS_BYTES), BYTES)


def _started(stamp: bytes) -> int:
    if not stamp:
        return 0
    start = netlink.attributes(memoryview(stamp)).get(CTA_TIMESTAMP_START)
    return _number(start, BYTES) // NANOSECONDS


def _number(value: bytes | memoryview | None, size: struct.Struct) -> int:
    """Read one number; 0 for an attribute that is missing or not of its size."""
    return int(size.unpack(value)[0]) if value is not None and len(value) == size.size else 0


class BlockWatch:
    """The event socket: poll `fileno()`, then `read()`.

    `overflows` counts the times that the kernel dropped events because nobody read them; after one,
    `dump()` says what the table holds.
    """

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self.overflows = 0
        self._told = Told()
        self._channel = Channel(groups=GROUPS, receive_buffer=RECEIVE_BUFFER)
        self._channel.never_wait()

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._channel.fileno()

    def read(self) -> list[FlowEvent]:
        """Return some of what has come."""
        events: list[FlowEvent] = []
        for data in self._channel.waiting():
            if data is None:
                self.overflows += 1
                self._told = Told()  # what was missed is not known
                continue
            events.extend(decode(data, self._marks, self._told))
        return events

    def dump(self) -> list[FlowEvent]:
        """Return every TCP flow now in the conntrack table; OSError if the kernel refuses."""
        request = netlink.netfilter_request(
            SUBSYSTEM_CTNETLINK, MESSAGE_GET, netlink.NLM_F_DUMP, socket.AF_UNSPEC, 0
        )
        with Channel(receive_buffer=RECEIVE_BUFFER) as channel:
            return [
                event for data in channel.answers(request) for event in decode(data, self._marks)
            ]

    def close(self) -> None:
        """Leave the event groups."""
        self._channel.close()
