"""Fragments made by scapy become the datagram they came from."""

import random

import pytest
from scapy.layers.inet import IP, TCP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, fragment6
from scapy.packet import Raw

from ratwall.wire.fragments import DATAGRAM_LIMIT, FRAGMENT_LIMIT, TIMEOUT_US, Defragmenter
from ratwall.wire.packet import parse_segment

PAYLOAD = bytes(random.Random(1).randbytes(4000))
WHOLE4 = IP(src="192.0.2.1", dst="192.0.2.2", id=7) / TCP(dport=443) / Raw(PAYLOAD)
WHOLE6 = (
    IPv6(src="2001:db8::1", dst="2001:db8::2")
    / IPv6ExtHdrFragment(id=7)
    / TCP(dport=443)
    / Raw(PAYLOAD)
)
# What only routers on the way read stands before the fragment header.
WITH_OPTIONS6 = (
    IPv6(src="2001:db8::1", dst="2001:db8::2")
    / IPv6ExtHdrDestOpt()
    / IPv6ExtHdrFragment(id=7)
    / TCP(dport=443)
    / Raw(PAYLOAD)
)
FRAGMENTS = {
    "IPv4": [bytes(part) for part in fragment(WHOLE4, 1000)],
    "IPv6": [bytes(part) for part in fragment6(WHOLE6, 1000)],
    "IPv6 with options": [bytes(part) for part in fragment6(WITH_OPTIONS6, 1000)],
}


def feed(parts: list[bytes], defragmenter: Defragmenter | None = None) -> list[bytes]:
    defragmenter = defragmenter or Defragmenter()
    results = (defragmenter.push(part, 0) for part in parts)
    return [whole for whole in results if whole is not None]


@pytest.mark.parametrize("name", FRAGMENTS)
@pytest.mark.parametrize("seed", range(5))
def test_any_order_and_repetition_gives_the_datagram_once(name: str, seed: int) -> None:
    parts = FRAGMENTS[name] + FRAGMENTS[name][:1]
    if seed:
        random.Random(seed).shuffle(parts)
    (whole, *more) = feed(parts)
    segment = parse_segment(whole)
    assert segment is not None
    assert segment.payload == PAYLOAD
    assert segment.missing == 0
    assert not more


@pytest.mark.parametrize("name", FRAGMENTS)
def test_without_one_fragment_nothing_comes(name: str) -> None:
    for missing in range(len(FRAGMENTS[name])):
        parts = FRAGMENTS[name][:missing] + FRAGMENTS[name][missing + 1 :]
        assert feed(parts) == []


def test_whole_datagrams_pass_untouched() -> None:
    datagram = bytes(IP() / TCP())
    assert Defragmenter().push(datagram, 0) is datagram
    assert feed([b"", b"\x45", b"garbage"]) == [b"", b"\x45", b"garbage"]


def test_fragments_that_overlap_differently_are_dropped() -> None:
    defragmenter = Defragmenter()
    first = bytes(IP(id=9, flags="MF") / Raw(b"A" * 16))
    second = bytes(IP(id=9, frag=1) / Raw(b"B" * 16))
    assert feed([first, second], defragmenter) == []
    assert defragmenter.dropped == 1


def test_time_runs_out() -> None:
    first, *rest = FRAGMENTS["IPv4"]
    for late, comes in ((TIMEOUT_US, True), (TIMEOUT_US + 1, False)):
        defragmenter = Defragmenter()
        defragmenter.push(first, 0)
        results = [defragmenter.push(part, late) for part in rest]
        assert any(whole is not None for whole in results) == comes


@pytest.mark.parametrize(
    ("others", "survives"), [(DATAGRAM_LIMIT - 1, True), (DATAGRAM_LIMIT, False)]
)
def test_unfinished_datagrams_are_bounded(others: int, survives: bool) -> None:
    defragmenter = Defragmenter()
    first, *rest = FRAGMENTS["IPv4"]
    defragmenter.push(first, 0)
    for number in range(others):
        defragmenter.push(bytes(IP(id=1000 + number, flags="MF") / Raw(bytes(8))), 0)
    assert bool(feed(rest, defragmenter)) == survives


@pytest.mark.parametrize(
    ("count", "comes"),
    [(FRAGMENT_LIMIT - 1, True), (FRAGMENT_LIMIT, True), (FRAGMENT_LIMIT + 1, False)],
)
def test_fragments_of_a_datagram_are_bounded(count: int, comes: bool) -> None:
    parts = [
        bytes(IP(id=5, frag=number, flags="MF" if number < count - 1 else 0) / Raw(bytes(8)))
        for number in range(count)
    ]
    assert bool(feed(parts)) == comes


def test_a_datagram_beyond_64_kib_is_dropped() -> None:
    parts = [
        bytes(IP(id=5, frag=0, flags="MF") / Raw(bytes(8))),
        bytes(IP(id=5, frag=8191) / Raw(bytes(100))),
    ]
    defragmenter = Defragmenter()
    assert feed(parts, defragmenter) == []
    assert defragmenter.dropped == 1


def test_a_repetition_with_other_bytes_is_dropped() -> None:
    defragmenter = Defragmenter()
    parts = [bytes(IP(id=9, flags="MF") / Raw(letter * 16)) for letter in (b"A", b"B")]
    last = bytes(IP(id=9, frag=2) / Raw(b"C" * 16))
    assert feed([*parts, last], defragmenter) == []
    assert defragmenter.dropped == 1
