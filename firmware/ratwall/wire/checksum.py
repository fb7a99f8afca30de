"""The Internet checksum (RFC 1071), for TCP over IPv4 and IPv6 and for the IPv4 header.

Adding 16-bit words with end-around carry is arithmetic modulo 65535, because 2**16 leaves 1 there:
so one big integer and one remainder do in a microsecond what a loop over 730 words does in twenty.
"""

from ratwall.wire.packet import IPV4_HEADER, PROTOCOL_TCP, Segment

_MODULUS = 0xFFFF
_CHECKSUM_OFFSET = 16  # of the checksum field within the TCP header


def ones_complement_sum(data: bytes | bytearray) -> int:
    """Sum of the 16-bit words of `data` modulo 65535, an odd last byte padded with zero."""
    number = int.from_bytes(data, "big")
    if len(data) & 1:
        number <<= 8
    return number % _MODULUS


def checksum(partial: int) -> int:
    """The value for a checksum field, from the sum of everything else (RFC 1071 §1)."""
    return _MODULUS - partial % _MODULUS


def pseudo_header_sum(source: bytes, destination: bytes, length: int) -> int:
    """Sum of the TCP pseudo header (RFC 9293 §3.1, RFC 8200 §8.1), segment `length` in bytes."""
    addresses = int.from_bytes(source, "big") + int.from_bytes(destination, "big")
    return (addresses + PROTOCOL_TCP + length) % _MODULUS


def checksum_valid(datagram: bytes, segment: Segment) -> bool:
    """Whether a receiver would accept the checksums: TCP's, and over IPv4 the header's.

    What cannot be verified counts as valid: a segment that the buffer holds only in part, and one
    with a routing header still in progress, whose pseudo header holds another destination.
    """
    if segment.version == 4:
        header = (datagram[0] & 0x0F) * 4
        if ones_complement_sum(datagram[: max(header, IPV4_HEADER)]) != 0:
            return False
    if segment.source_routed or segment.missing:
        return True
    tcp = datagram[segment.ip_header_length : segment.datagram_length]
    total = ones_complement_sum(tcp) + pseudo_header_sum(
        segment.source, segment.destination, len(tcp)
    )
    return total % _MODULUS == 0
