"""Other bytes in the same place, and every receiver's checksum still agrees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.packet import Packet, Raw

from ratwall.wire.checksum import checksum_valid
from ratwall.wire.packet import parse_segment
from ratwall.wire.replace import is_urgent, replace_payload

NETWORKS: dict[str, Packet] = {
    "IPv4": IP(src="203.0.113.7", dst="192.168.77.11"),
    "IPv6": IPv6(src="2001:db8:99::7", dst="2001:db8:77::11"),
    "IPv6 with options": IPv6(src="2001:db8:99::7", dst="2001:db8:77::11") / IPv6ExtHdrDestOpt(),
}


def datagram(network: Packet, payload: bytes, **fields: object) -> bytes:
    options = [("Timestamp", (7, 9)), ("NOP", None), ("NOP", None)]
    return bytes(network / TCP(sport=6606, dport=49152, options=options, **fields) / Raw(payload))


@given(
    st.sampled_from(sorted(NETWORKS)),
    st.integers(0, 60).flatmap(
        lambda size: st.tuples(*(st.binary(min_size=size, max_size=size) for _ in range(2)))
    ),
)
def test_the_checksum_is_that_of_the_new_bytes(name: str, payloads: tuple[bytes, bytes]) -> None:
    before = datagram(NETWORKS[name], payloads[0])
    segment = parse_segment(before)
    assert segment is not None
    after = replace_payload(before, segment, payloads[1])
    replaced = parse_segment(after)
    assert replaced is not None
    assert (replaced.payload, len(after)) == (payloads[1], len(before))
    assert checksum_valid(after, replaced)
    assert replaced.sequence == segment.sequence


def test_a_wrong_checksum_stays_wrong() -> None:
    before = datagram(NETWORKS["IPv4"], b"abcd", chksum=0x1234)
    segment = parse_segment(before)
    assert segment is not None
    after = replace_payload(before, segment, b"efgh")
    replaced = parse_segment(after)
    assert replaced is not None
    assert not checksum_valid(after, replaced)


def test_padding_behind_the_datagram_is_no_part_of_it() -> None:
    before = datagram(NETWORKS["IPv4"], b"ab") + b"\xff\xff\xff\xff"
    segment = parse_segment(before)
    assert segment is not None
    after = replace_payload(before, segment, b"cd")
    replaced = parse_segment(after)
    assert replaced is not None
    assert after.endswith(b"cd\xff\xff\xff\xff")
    assert checksum_valid(after, replaced)


@pytest.mark.parametrize(("flags", "urgent"), [("PA", False), ("PAU", True)])
def test_urgent_bytes_become_ordinary_ones(flags: str, urgent: bool) -> None:
    before = datagram(NETWORKS["IPv6"], b"abc", flags=flags, urgptr=2)
    segment = parse_segment(before)
    assert segment is not None
    assert is_urgent(segment) is urgent
    after = replace_payload(before, segment, segment.payload)
    replaced = parse_segment(after)
    assert replaced is not None
    assert not is_urgent(replaced)
    assert IPv6(after)[TCP].urgptr == 0
    assert checksum_valid(after, replaced)
