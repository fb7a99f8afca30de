"""Datagrams built by scapy, an independent judge of headers, read and rewritten by the box."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, IPOption_RR
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.packet import Packet, Raw

from ratwall.wire.checksum import checksum_valid, ones_complement_sum, pseudo_header_sum
from ratwall.wire.errors import ParseError
from ratwall.wire.packet import Segment, TcpFlag, parse_segment
from ratwall.wire.reset import rewrite_to_reset

V4 = IP(src="192.0.2.7", dst="198.51.100.9")
V6 = IPv6(src="2001:db8::7", dst="2001:db8:1::9")
HELLO = TCP(sport=49152, dport=6606, seq=0xFFFFFFF0, ack=17, flags="PA") / Raw(b"hello, world")

DATAGRAMS: dict[str, Packet] = {
    "ipv4": V4 / HELLO,
    "ipv4 with options": IP(src="192.0.2.7", dst="198.51.100.9", options=[IPOption_RR()]) / HELLO,
    "tcp with options": V4
    / TCP(
        sport=49152, dport=6606, seq=0xFFFFFFF0, ack=17, flags="PA", options=[("Timestamp", (1, 2))]
    )
    / Raw(b"hello, world"),
    "ipv6": V6 / HELLO,
    "hop-by-hop": V6 / IPv6ExtHdrHopByHop() / HELLO,
    "destination options": V6 / IPv6ExtHdrDestOpt() / HELLO,
    "finished routing header": V6 / IPv6ExtHdrRouting(segleft=0) / HELLO,
    "atomic fragment": V6 / IPv6ExtHdrFragment() / HELLO,
    "authentication header": V6 / AH(nh=6, payloadlen=4, spi=1, seq=1, icv=bytes(12)) / HELLO,
    "all of them": V6
    / IPv6ExtHdrHopByHop()
    / IPv6ExtHdrDestOpt()
    / IPv6ExtHdrRouting(segleft=0)
    / IPv6ExtHdrFragment()
    / HELLO,
}

# scapy computes no TCP checksum behind an authentication header.
CHECKSUMMED = [name for name in DATAGRAMS if name != "authentication header"]


def build(name: str) -> bytes:
    return bytes(DATAGRAMS[name])


def segment_of(datagram: bytes) -> Segment:
    segment = parse_segment(datagram)
    assert segment is not None
    return segment


@pytest.mark.parametrize("name", DATAGRAMS)
def test_every_header_shape_leads_to_the_same_segment(name: str) -> None:
    segment = segment_of(build(name))
    assert (segment.source_port, segment.destination_port) == (49152, 6606)
    assert (segment.sequence, segment.acknowledgement) == (0xFFFFFFF0, 17)
    assert segment.flags == TcpFlag.PSH | TcpFlag.ACK
    assert segment.payload == b"hello, world"
    assert segment.missing == 0
    assert len(segment.source) == (4 if segment.version == 4 else 16)


@pytest.mark.parametrize("name", CHECKSUMMED)
def test_checksums_agree_with_scapy_and_break_with_any_bit(name: str) -> None:
    datagram = build(name)
    segment = segment_of(datagram)
    assert checksum_valid(datagram, segment)
    for position in (segment.ip_header_length + 4, len(datagram) - 1):
        broken = bytearray(datagram)
        broken[position] ^= 0x40
        assert not checksum_valid(bytes(broken), segment_of(bytes(broken)))


@pytest.mark.parametrize("length", [0, 1, 2, 1447, 1448, 65_000, 65_001])
def test_checksums_of_any_length_agree_with_scapy(length: int) -> None:
    datagram = bytes(V4 / TCP(dport=443) / Raw(b"\xa5" * length))
    assert checksum_valid(datagram, segment_of(datagram))


def test_a_broken_ipv4_header_checksum_is_noticed() -> None:
    datagram = bytearray(build("ipv4"))
    datagram[8] ^= 1  # time to live
    assert not checksum_valid(bytes(datagram), segment_of(bytes(datagram)))


def test_what_cannot_be_verified_counts_as_valid() -> None:
    whole = build("ipv6")
    cut = whole[:-3]
    assert segment_of(cut).missing == 3
    assert checksum_valid(cut, segment_of(cut))
    routed = bytes(V6 / IPv6ExtHdrRouting(addresses=["2001:db8::1"]) / HELLO)
    assert segment_of(routed).source_routed
    assert checksum_valid(routed, segment_of(routed))


def test_padding_behind_the_datagram_is_not_payload() -> None:
    datagram = build("ipv4") + b"\0" * 6
    assert segment_of(datagram).payload == b"hello, world"
    assert checksum_valid(datagram, segment_of(datagram))


def test_length_zero_of_segmentation_offload_means_the_whole_buffer() -> None:
    datagram = bytearray(build("ipv4"))
    datagram[2:4] = b"\0\0"
    assert segment_of(bytes(datagram)).payload == b"hello, world"


def test_fragments_and_other_protocols_are_none() -> None:
    assert parse_segment(bytes(IP(flags="MF") / HELLO)) is None
    assert parse_segment(bytes(IP(frag=1) / HELLO)) is None
    assert parse_segment(bytes(V6 / IPv6ExtHdrFragment(m=1) / HELLO)) is None
    assert parse_segment(bytes(V6 / IPv6ExtHdrFragment(offset=1) / HELLO)) is None
    assert parse_segment(bytes(IP(proto=17) / Raw(b"x" * 20))) is None
    assert parse_segment(bytes(IPv6(nh=59))) is None


@pytest.mark.parametrize("name", DATAGRAMS)
def test_cut_anywhere_in_the_headers_is_a_parse_error(name: str) -> None:
    datagram = build(name)
    segment = segment_of(datagram)
    headers = segment.ip_header_length + segment.tcp_header_length
    for length in range(headers):
        with pytest.raises(ParseError):
            parse_segment(datagram[:length])
    assert segment_of(datagram[:headers]).payload == b""


@pytest.mark.parametrize(
    ("offset", "value"), [(0, 0x44), (0, 0x15), (3, 10), (32, 0x40), (32, 0xF0)]
)
def test_headers_that_contradict_themselves_are_parse_errors(offset: int, value: int) -> None:
    datagram = bytearray(build("ipv4"))
    datagram[offset] = value
    with pytest.raises(ParseError):
        parse_segment(bytes(datagram))


@given(st.binary(max_size=120))
def test_arbitrary_bytes_never_crash(data: bytes) -> None:
    for first in (b"", b"\x45", b"\x60"):
        try:
            segment = parse_segment(first + data)
        except ParseError:
            continue
        if segment is not None:
            checksum_valid(first + data, segment)
            rewrite_to_reset(first + data, segment, 1)


@pytest.mark.parametrize("name", CHECKSUMMED)
@pytest.mark.parametrize("acknowledgement", [None, 0x12345678])
def test_a_reset_keeps_the_length_and_scapy_finds_it_sound(
    name: str, acknowledgement: int | None
) -> None:
    datagram = build(name)
    reset = rewrite_to_reset(datagram, segment_of(datagram), 0x1_0000_0005, acknowledgement)
    assert len(reset) == len(datagram)
    segment = segment_of(reset)
    assert checksum_valid(reset, segment)
    assert segment.payload == b""
    assert segment.sequence == 5
    assert segment.acknowledgement == (acknowledgement or 0)
    assert segment.flags & TcpFlag.RST
    assert bool(segment.flags & TcpFlag.ACK) == (acknowledgement is not None)
    assert not any(reset[segment.datagram_length + 2 :])
    judged = type(DATAGRAMS[name])(reset[: segment.datagram_length])
    again = judged.copy()
    del again[TCP].chksum
    assert bytes(again) == bytes(judged)


@pytest.mark.parametrize("name", ["ipv4", "ipv6", "tcp with options"])
@pytest.mark.parametrize("payload", [b"", b"ab", b"abc", bytes(1400)])
def test_a_reset_is_sound_even_if_its_padding_is_taken_for_payload(
    name: str, payload: bytes
) -> None:
    """So it arrives in fragments, which the kernel cuts by the length of the buffer."""
    datagram = bytes(DATAGRAMS[name] / Raw(payload))
    reset = bytearray(rewrite_to_reset(datagram, segment_of(datagram), 5))
    length = (2, 0) if reset[0] >> 4 == 4 else (4, 40)
    reset[length[0] : length[0] + 2] = (len(reset) - length[1]).to_bytes(2, "big")
    segment = segment_of(bytes(reset))
    tcp = bytes(reset[segment.ip_header_length :])
    total = ones_complement_sum(tcp) + pseudo_header_sum(
        segment.source, segment.destination, len(tcp)
    )
    assert total % 0xFFFF == 0
