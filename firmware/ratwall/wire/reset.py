"""Turning a datagram in flight into a TCP reset for its own receiver, in place.

The result keeps the buffer's length: the IP datagram becomes shorter and padding follows it, for a
shortened buffer is malformed inside PPPoE and lost under segmentation offload. It never chooses the
sequence number: the caller knows what the receiver expects next.

A datagram that came in fragments leaves in fragments, which the kernel cuts by the buffer's length:
the padding is then taken for payload, which a reset may have (RFC 9293 §3.5.3). So the padding is
chosen to make the one checksum right both ways.
"""

from struct import Struct

from ratwall.wire.checksum import checksum, ones_complement_sum, pseudo_header_sum
from ratwall.wire.packet import IPV6_HEADER, TCP_HEADER, Segment, TcpFlag

_TCP = Struct(">HHIIBBHHH")
_NO_OPTIONS = (TCP_HEADER // 4) << 4  # the data offset field of a header without options
_IPV4_LENGTH = slice(2, 4)
_IPV4_CHECKSUM = slice(10, 12)
_IPV6_LENGTH = slice(4, 6)
_TCP_CHECKSUM = 16


def rewrite_to_reset(
    datagram: bytes, segment: Segment, sequence: int, acknowledgement: int | None = None
) -> bytes:
    """Rewrite `datagram` into a reset with the given numbers and the same length (RFC 9293 §3.5.2).

    `sequence` must be the next byte that the receiver expects: below it a reset is ignored, above
    it the receiver answers with a challenge ACK (RFC 5961 §3.2). Without `acknowledgement` the
    reset carries none.
    """
    start = segment.ip_header_length
    end = start + TCP_HEADER
    flags = TcpFlag.RST if acknowledgement is None else TcpFlag.RST | TcpFlag.ACK
    out = bytearray(len(datagram))
    out[:start] = datagram[:start]
    _TCP.pack_into(
        out,
        start,
        segment.source_port,
        segment.destination_port,
        sequence & 0xFFFFFFFF,
        (acknowledgement or 0) & 0xFFFFFFFF,
        _NO_OPTIONS,
        flags,
        0,  # window
        0,  # checksum, below
        0,  # urgent pointer
    )
    if segment.version == 4:
        out[_IPV4_LENGTH] = end.to_bytes(2, "big")
        out[_IPV4_CHECKSUM] = b"\0\0"
        header = (out[0] & 0x0F) * 4
        out[_IPV4_CHECKSUM] = checksum(ones_complement_sum(out[:header])).to_bytes(2, "big")
    else:
        out[_IPV6_LENGTH] = (end - IPV6_HEADER).to_bytes(2, "big")
    total = ones_complement_sum(out[start:end]) + pseudo_header_sum(
        segment.source, segment.destination, TCP_HEADER
    )
    position = start + _TCP_CHECKSUM
    out[position : position + 2] = checksum(total).to_bytes(2, "big")
    padding = len(out) - end
    if padding >= 2:
        # As payload it would add its length to the pseudo header, and what it holds.
        out[end : end + 2] = checksum(padding).to_bytes(2, "big")
    return bytes(out)
