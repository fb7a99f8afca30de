"""Records followed by their headers, where only the first bytes of each segment were copied."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.rhythm.records import UNDER_WAY, RecordTrail, SeenRecord

DATA = 23
COPIED = 44  # what is left of 96 bytes behind the headers of IPv4 and TCP with time stamps


def record(length: int, kind: int = DATA) -> bytes:
    return bytes((kind, 3, 3)) + length.to_bytes(2, "big") + bytes(length)


def lengths(seen: list[SeenRecord]) -> list[int]:
    return [one.length for one in seen]


def test_a_record_in_two_segments_is_one() -> None:
    trail = RecordTrail()
    whole = record(3000)
    assert lengths(trail.take(1000, whole[:COPIED], 1448)) == [3000]
    assert trail.take(2448, whole[1448 : 1448 + COPIED], 1448) == []
    assert trail.take(3896, whole[2896 : 2896 + COPIED], 109) == []
    assert lengths(trail.take(4005, record(21), 26)) == [21]


def test_a_retransmission_is_no_record() -> None:
    trail = RecordTrail()
    assert lengths(trail.take(1000, record(21), 26)) == [21]
    assert trail.take(1000, record(21), 26) == []
    both = record(21) + record(60)
    assert lengths(trail.take(1000, both[:COPIED], len(both))) == [60], "what is new in it counts"


def test_what_was_sent_again_with_something_new_behind_it_is_the_new_alone() -> None:
    """As a lost first half is sent again: the header of the second lies behind what is copied."""
    trail = RecordTrail()
    half, rest = record(32) + record(32), record(32) + record(80)
    assert lengths(trail.take(1000, half[:COPIED], len(half))) == [32, 32]
    whole = half + rest
    assert lengths(trail.take(1000, whole[:COPIED], len(whole))) == [117], "the rest is one"
    assert trail.take(1000, whole[:COPIED], len(whole)) == [], "and again: nothing"
    assert lengths(trail.take(1000 + len(whole), half[:COPIED], len(half))) == [32, 32]


def test_what_is_sent_again_is_nothing_even_where_the_trail_was_lost() -> None:
    trail = RecordTrail()
    assert trail.take(1000, b"GET / HTTP/1.1\r\n", 16) == []
    assert lengths(trail.take(1016, record(28), 33)) == [28]
    assert trail.take(1000, record(28), 33 - 17) == []


@pytest.mark.parametrize(("back", "heard"), [(-1, False), (0, False), (1, True)])
def test_a_false_number_far_ahead_does_not_make_it_deaf(back: int, heard: bool) -> None:
    trail = RecordTrail()
    trail.take(1000 + UNDER_WAY + back - 26, record(21), 26)
    assert bool(trail.take(1000, record(21), 26)) == heard


def test_several_in_one_segment_are_taken_apart_as_far_as_copied() -> None:
    trail = RecordTrail()
    both = record(32) + record(32) + record(32) + record(80)
    assert lengths(trail.take(1000, both[:COPIED], len(both))) == [32, 32, 117], "the rest is one"
    assert lengths(trail.take(1000 + len(both), record(32), 37)) == [32]


def test_after_a_lost_copy_it_goes_on_with_the_next_segment() -> None:
    trail = RecordTrail()
    trail.take(1000, record(100)[:COPIED], 105)
    assert lengths(trail.take(1500, record(28), 33)) == [28]


def test_what_is_no_record_is_none() -> None:
    trail = RecordTrail()
    assert trail.take(1000, b"GET / HTTP/1.1\r\n", 16) == []
    assert lengths(trail.take(1016, record(28), 33)) == [28]


def test_sequence_numbers_wrap_around() -> None:
    trail = RecordTrail()
    start = (1 << 32) - 10
    assert lengths(trail.take(start, record(21), 26)) == [21]
    assert lengths(trail.take(16, record(40), 45)) == [40]


@given(
    st.lists(st.integers(1, 16_000), min_size=1, max_size=20),
    st.integers(0, 2**32 - 1),
    st.integers(100, 1448),
)
def test_whole_segments_give_every_record_once(sizes: list[int], start: int, mss: int) -> None:
    stream = b"".join(record(size) for size in sizes)
    trail, seen = RecordTrail(), []
    for offset in range(0, len(stream), mss):
        part = stream[offset : offset + mss]
        # A header split between two segments is not copied whole: the record is then missed.
        seen += lengths(trail.take((start + offset) % 2**32, part, len(part)))
    assert len(seen) <= len(sizes)
    if mss > len(stream):
        assert seen == sizes


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=60), st.integers(0, 1500))))
def test_nothing_makes_it_fail(segments: list[tuple[int, bytes, int]]) -> None:
    trail = RecordTrail()
    for sequence, copied, more in segments:
        trail.take(sequence, copied, len(copied) + more)
