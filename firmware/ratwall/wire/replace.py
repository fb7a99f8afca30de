"""Putting other bytes into a datagram in flight: the same length, the same place, valid checksums.

It never looks at what the bytes mean: the caller knows which copy of them may pass. Urgent data
(RFC 6093) becomes ordinary data on the way, because an urgent byte is taken out of what an
application reads, and the text would then be another one at either end.
"""

from ratwall.wire.checksum import checksum, ones_complement_sum
from ratwall.wire.packet import Segment, TcpFlag

_FLAGS = 12  # data offset and flags, two bytes, from the beginning of the TCP header
_CHECKSUM = 16
_URGENT_POINTER = 18
_URG = TcpFlag.URG.value
_MODULUS = 0xFFFF


def is_urgent(segment: Segment) -> bool:
    """Whether a segment has, or announces, an urgent byte."""
    return bool(segment.flags & _URG)


def replace_payload(datagram: bytes, segment: Segment, payload: bytes) -> bytes:
    """Return `datagram` with another payload of the same length, and nothing urgent in it.

    The checksum is amended, not computed (RFC 1624): so it is right where the pseudo header cannot
    be known, and stays wrong where it was wrong.
    """
    start = segment.ip_header_length
    out = bytearray(datagram)
    out[start + _FLAGS + 1] &= ~_URG
    out[start + _URGENT_POINTER : start + _URGENT_POINTER + 2] = b"\0\0"
    body = start + segment.tcp_header_length
    out[body : body + len(payload)] = payload
    at = slice(start + _CHECKSUM, start + _CHECKSUM + 2)
    stated = _MODULUS - int.from_bytes(datagram[at], "big")
    end = body + len(payload)
    difference = ones_complement_sum(out[start:end]) - ones_complement_sum(datagram[start:end])
    out[at] = checksum(stated + difference).to_bytes(2, "big")
    return bytes(out)
