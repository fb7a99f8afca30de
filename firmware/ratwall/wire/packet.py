"""From an IP datagram to its TCP segment, IPv4 and IPv6, without touching the payload.

It never reassembles (the kernel has done so inline; `fragments` does it in replay) and never judges
flags or sequence numbers. The common shape, IPv4 without a surprise, takes one unpack each for the
IP and the TCP header, because this runs for every queued packet.
"""

from dataclasses import dataclass
from enum import IntFlag
from struct import Struct
from typing import NamedTuple

from ratwall.wire.errors import ParseError

IPV4_HEADER = 20
IPV6_HEADER = 40
TCP_HEADER = 20

PROTOCOL_TCP = 6
PROTOCOL_ROUTING = 43
PROTOCOL_FRAGMENT = 44
PROTOCOL_AUTHENTICATION = 51
# Headers that only stand between IP and TCP, with a length in 8-byte units after the first 8:
# hop-by-hop, routing, destination options (RFC 8200 §4), mobility, HIP, shim6.
CHAINED_HEADERS = frozenset({0, PROTOCOL_ROUTING, 60, 135, 139, 140})

# More fragments, or an offset other than 0: not a whole datagram (RFC 791 §3.1, RFC 8200 §4.5).
IPV4_FRAGMENT_MASK = 0x3FFF
IPV6_FRAGMENT_MASK = 0xFFF9

_IPV4 = Struct(">BxH2xHxB2x4s4s")
_IPV6 = Struct(">4xHBx16s16s")
_TCP = Struct(">HHIIBB")


class TcpFlag(IntFlag):
    """TCP control bits (RFC 9293 §3.1)."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20


@dataclass(slots=True)
class Segment:
    """One TCP segment and where in its datagram it stands; lengths in bytes."""

    version: int  # 4 or 6
    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    sequence: int
    acknowledgement: int
    flags: int
    payload: bytes
    ip_header_length: int  # everything before TCP, options and extension headers included
    tcp_header_length: int
    datagram_length: int  # as the IP header states it; what lies behind it is padding
    source_routed: bool = False  # IPv6: the address in the header is not the final destination

    @property
    def missing(self) -> int:
        """Payload bytes that the IP header promises but the buffer lacks (a short snap length)."""
        stated = self.datagram_length - self.ip_header_length - self.tcp_header_length
        return stated - len(self.payload)


class Transport(NamedTuple):
    """What an IP datagram carries, and where; lengths in bytes from the beginning."""

    version: int
    source: bytes
    destination: bytes
    protocol: int  # IANA protocol number
    header_length: int
    datagram_length: int
    source_routed: bool


def parse_segment(datagram: bytes) -> Segment | None:
    """Read one IP datagram; None for what is not TCP or is a fragment; ParseError if malformed."""
    transport = find_transport(datagram)
    if transport is None or transport.protocol != PROTOCOL_TCP:
        return None
    return _parse_tcp(datagram, transport)


def find_transport(datagram: bytes) -> Transport | None:
    """Walk the IP headers of one datagram; None for a fragment; ParseError if malformed."""
    if not datagram:
        raise ParseError("empty datagram", 0)
    version = datagram[0] >> 4
    if version == 4:
        return _walk_ipv4(datagram)
    if version == 6:
        return _walk_ipv6(datagram)
    raise ParseError(f"IP version {version}, 4 or 6 expected", 0)


def _walk_ipv4(datagram: bytes) -> Transport | None:
    available = len(datagram)
    if available < IPV4_HEADER:
        raise ParseError(f"IPv4 header cut short, {available} bytes", available)
    first, length, fragment, protocol, source, destination = _IPV4.unpack_from(datagram)
    header = (first & 0x0F) * 4
    if header < IPV4_HEADER:
        raise ParseError(f"IPv4 header length {header}, at least 20 allowed", 0)
    if length == 0:
        length = available  # segmentation offload writes no length
    if length < header:
        raise ParseError(f"IPv4 length {length} below its header of {header}", 2)
    if fragment & IPV4_FRAGMENT_MASK:
        return None
    if protocol == PROTOCOL_AUTHENTICATION:
        protocol, header = _skip_authentication(datagram, header)
    return Transport(4, source, destination, protocol, header, length, False)


def _skip_authentication(datagram: bytes, offset: int) -> tuple[int, int]:
    """Step over an authentication header, its length in 4-byte units less 2 (RFC 4302 §2.2)."""
    if offset + 2 > len(datagram):
        raise ParseError("authentication header cut short", len(datagram))
    return datagram[offset], offset + (datagram[offset + 1] + 2) * 4


def _walk_ipv6(datagram: bytes) -> Transport | None:
    available = len(datagram)
    if available < IPV6_HEADER:
        raise ParseError(f"IPv6 header cut short, {available} bytes", available)
    length, protocol, source, destination = _IPV6.unpack_from(datagram)
    # Length 0 is a jumbogram or segmentation offload: the buffer is all there is to go by.
    length = length + IPV6_HEADER if length else available
    offset = IPV6_HEADER
    source_routed = False
    while protocol != PROTOCOL_TCP:
        if protocol in CHAINED_HEADERS:
            if offset + 4 > available:
                raise ParseError("extension header cut short", available)
            if protocol == PROTOCOL_ROUTING and datagram[offset + 3]:
                source_routed = True  # segments left (RFC 8200 §4.4)
            protocol, offset = datagram[offset], offset + (datagram[offset + 1] + 1) * 8
        elif protocol == PROTOCOL_FRAGMENT:
            if offset + 8 > available:
                raise ParseError("fragment header cut short", available)
            if (datagram[offset + 2] << 8 | datagram[offset + 3]) & IPV6_FRAGMENT_MASK:
                return None
            protocol, offset = datagram[offset], offset + 8
        elif protocol == PROTOCOL_AUTHENTICATION:
            protocol, offset = _skip_authentication(datagram, offset)
        else:
            break
    return Transport(6, source, destination, protocol, offset, length, source_routed)


def _parse_tcp(datagram: bytes, transport: Transport) -> Segment:
    version, source, destination, _, offset, length, source_routed = transport
    end = min(length, len(datagram))
    if offset + TCP_HEADER > end:
        raise ParseError("TCP header cut short", end)
    source_port, destination_port, sequence, acknowledgement, data_offset, flags = _TCP.unpack_from(
        datagram, offset
    )
    header = (data_offset >> 4) * 4
    if header < TCP_HEADER:
        raise ParseError(f"TCP header length {header}, at least 20 allowed", offset + 12)
    start = offset + header
    if start > end:
        raise ParseError(f"TCP header of {header} bytes in {end - offset}", offset + 12)
    return Segment(
        version,
        source,
        destination,
        source_port,
        destination_port,
        sequence,
        acknowledgement,
        flags,
        datagram[start:end],
        offset,
        header,
        length,
        source_routed,
    )
