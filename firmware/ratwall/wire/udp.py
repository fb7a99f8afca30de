"""From an IP datagram to what its UDP datagram carries, IPv4 and IPv6.

It never reassembles and never checks the checksum: what it reads are copies of what passed.
"""

from dataclasses import dataclass
from struct import Struct

from ratwall.wire.errors import ParseError
from ratwall.wire.packet import find_transport

PROTOCOL_UDP = 17
UDP_HEADER = 8

_UDP = Struct(">HHH2x")


@dataclass(frozen=True, slots=True)
class UdpDatagram:
    """One UDP datagram; `payload` may be shorter than stated where a copy was cut off."""

    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    payload: bytes


def parse_udp(datagram: bytes) -> UdpDatagram | None:
    """Read one IP datagram; None for what is not UDP or is a fragment; ParseError if malformed."""
    transport = find_transport(datagram)
    if transport is None or transport.protocol != PROTOCOL_UDP:
        return None
    start = transport.header_length
    end = min(transport.datagram_length, len(datagram))
    if start + UDP_HEADER > end:
        raise ParseError("UDP header cut short", end)
    source_port, destination_port, length = _UDP.unpack_from(datagram, start)
    if length < UDP_HEADER:
        raise ParseError(f"UDP length {length} below its header of {UDP_HEADER}", start + 4)
    return UdpDatagram(
        transport.source,
        transport.destination,
        source_port,
        destination_port,
        datagram[start + UDP_HEADER : min(end, start + length)],
    )
