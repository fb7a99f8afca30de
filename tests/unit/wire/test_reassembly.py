"""Segments in any order become bytes in their order, within bounds."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.wire.reassembly import ISLAND_LIMIT, OUT_OF_ORDER_LIMIT, START_PATIENCE, Stream
from ratwall.wire.tls.record import looks_like_record

START = 0xFFFF_FF00  # the numbers wrap soon
TEXT = bytes(range(256)) * 4
RECORD = b"\x16\x03\x01\x00\x20" + bytes(32)


def at(offset: int) -> int:
    return (START + offset) & 0xFFFF_FFFF


@dataclass(frozen=True)
class Piece:
    start: int
    end: int


pieces = st.builds(
    lambda start, length: Piece(start, min(start + length, len(TEXT))),
    st.integers(0, len(TEXT) - 1),
    st.integers(1, 400),
)


def tiling(cuts: list[int]) -> list[Piece]:
    edges = sorted({0, len(TEXT), *cuts})
    return [Piece(*pair) for pair in pairwise(edges)]


whole_text = (
    st.lists(st.integers(1, len(TEXT) - 1), max_size=30)
    .map(tiling)
    .flatmap(lambda parts: st.lists(pieces, max_size=10).map(lambda extra: parts + extra))
    .flatmap(st.permutations)
)


@given(whole_text)
def test_any_order_overlap_and_repetition_gives_the_text_once(order: list[Piece]) -> None:
    stream = Stream(START)
    out = b"".join(stream.push(at(one.start), TEXT[one.start : one.end]) for one in order)
    assert out == TEXT
    assert stream.next_sequence == at(len(TEXT))
    assert stream.buffered == 0
    assert not stream.conflict
    assert not stream.overflowed


@given(st.lists(st.tuples(pieces, st.integers(0, 255)), max_size=20))
def test_the_first_copy_of_every_byte_wins(order: list[tuple[Piece, int]]) -> None:
    """A model that knows nothing of islands: a dictionary of bytes by position."""
    stream = Stream(START)
    model: dict[int, int] = {}
    out = b""
    conflict = False
    for one, colour in order:
        released = len(out)
        for position in range(one.start, one.end):
            if position >= released:
                conflict |= model.setdefault(position, colour) != colour
        out += stream.push(at(one.start), bytes((colour,)) * (one.end - one.start))
    assert out == bytes(model[position] for position in range(len(out)))
    assert len(out) not in model
    assert stream.conflict == conflict
    assert stream.buffered == len(model) - len(out)


def test_in_order_bytes_are_handed_on_without_a_copy() -> None:
    payload = bytes(1000)
    assert Stream(START).push(START, payload) is payload


def test_a_retransmission_gives_nothing_and_a_longer_one_gives_the_rest() -> None:
    stream = Stream(START)
    stream.push(START, b"abc")
    assert stream.push(START, b"abc") == b""
    assert stream.push(START, b"abcdef") == b"def"
    assert not stream.conflict


@pytest.mark.parametrize(
    ("length", "held"),
    [(OUT_OF_ORDER_LIMIT - 1, True), (OUT_OF_ORDER_LIMIT, True), (OUT_OF_ORDER_LIMIT + 1, False)],
)
def test_out_of_order_bytes_are_held_up_to_the_limit(length: int, held: bool) -> None:
    stream = Stream(START)
    payload = bytes(length)
    for offset in range(0, length, 1000):
        stream.push(at(1 + offset), payload[offset : offset + 1000])
    assert stream.overflowed != held
    assert stream.buffered <= OUT_OF_ORDER_LIMIT
    released = stream.push(START, b"x")
    assert (len(released) == length + 1) == held
    assert stream.buffered == 0


def test_a_full_buffer_does_not_stand_in_the_way_of_bytes_in_order() -> None:
    stream = Stream(START)
    stream.push(at(100), bytes(OUT_OF_ORDER_LIMIT))
    assert len(stream.push(START, bytes(200))) == 100 + OUT_OF_ORDER_LIMIT
    assert not stream.overflowed


@pytest.mark.parametrize(
    ("islands", "held"), [(ISLAND_LIMIT - 1, True), (ISLAND_LIMIT, True), (ISLAND_LIMIT + 1, False)]
)
def test_gaps_are_bounded_too(islands: int, held: bool) -> None:
    stream = Stream(START)
    for number in range(islands):
        stream.push(at(1 + 2 * number), b"x")
    assert stream.overflowed != held
    assert stream.buffered == min(islands, ISLAND_LIMIT)


# -- where a stream starts --------------------------------------------------------------------


def test_without_a_number_it_starts_at_the_first_segment() -> None:
    stream = Stream()
    assert stream.push(START, b"abc") == b"abc"
    assert stream.next_sequence == at(3)


def test_a_start_learned_later_puts_what_was_held_in_order() -> None:
    stream = Stream(None, looks_like_record)
    assert stream.push(at(3), b"def") == b""
    assert stream.start_at(START) == b""
    assert stream.push(START, b"abc") == b"abcdef"


def test_a_start_is_corrected_until_a_byte_is_out() -> None:
    stream = Stream(START)
    stream.push(at(10), b"klm")
    assert stream.start_at(at(10)) == b"klm"
    assert stream.start_at(START) == b""
    assert stream.next_sequence == at(13)


def test_bytes_before_a_corrected_start_are_forgotten() -> None:
    stream = Stream(START)
    stream.push(at(5), b"fghij")
    assert stream.start_at(at(7)) == b"hij"
    assert stream.buffered == 0


def test_the_lowest_segment_that_looks_like_a_record_is_the_start() -> None:
    """The second half of a hello overtook the first."""
    stream = Stream(None, looks_like_record)
    assert stream.push(at(20), RECORD[20:]) == b""
    assert stream.push(START, RECORD[:20]) == RECORD


def test_patience_with_an_unknown_start_has_an_end() -> None:
    stream = Stream(None, looks_like_record)
    text = b"none of this begins like a record of TLS"
    for number in range(1, START_PATIENCE):
        assert stream.push(at(10 * number), text[10 * number : 10 * number + 10]) == b""
    assert stream.push(START, text[:10]) == text


@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF_FFFF), st.binary(max_size=50)), max_size=20),
    st.booleans(),
)
def test_arbitrary_segments_never_crash(segments: list[tuple[int, bytes]], known: bool) -> None:
    stream = Stream(START if known else None, looks_like_record)
    for sequence, payload in segments:
        stream.push(sequence, payload)
        assert 0 <= stream.buffered <= OUT_OF_ORDER_LIMIT


# -- one text -----------------------------------------------------------------------------------


@given(st.lists(st.tuples(pieces, st.integers(0, 255)), max_size=20))
def test_what_is_admitted_is_one_text(order: list[tuple[Piece, int]]) -> None:
    """Whatever a receiver takes of it, at one place it finds one byte."""
    stream = Stream(START, keep_text=True)
    seen: dict[int, int] = {}
    out = b""
    for one, colour in order:
        admitted = stream.admit(at(one.start), bytes((colour,)) * (one.end - one.start))
        assert admitted is not None
        assert len(admitted) == one.end - one.start
        for position, byte in enumerate(admitted, one.start):
            assert seen.setdefault(position, byte) == byte
        out += stream.push(at(one.start), admitted)
    assert out == bytes(seen[position] for position in range(len(out)))
    assert stream.held == len(seen)


@given(
    st.lists(st.tuples(pieces, st.integers(0, 255)), max_size=20),
    st.integers(1, 400),
    st.integers(0, len(TEXT)),
    st.booleans(),
)
def test_begun_again_further_on_it_is_the_same_text(
    order: list[tuple[Piece, int]], head: int, further: int, started: bool
) -> None:
    """Nothing that a receiver may hold behind there is forgotten, nor taken for something else."""
    stream = Stream(START if started else None, keep_text=True)
    seen: dict[int, int] = {}
    for one, colour in [(Piece(0, head), 7), *order]:
        admitted = stream.admit(at(one.start), bytes((colour,)) * (one.end - one.start))
        assert admitted is not None
        seen |= dict(enumerate(admitted, one.start))
        stream.push(at(one.start), admitted)
    leading = stream.leading_to(at(further))
    first = further - len(leading)
    assert leading == bytes(seen[place] for place in range(first, further))
    assert first - 1 not in seen

    rest, ready = stream.rest_from(at(further))
    assert ready == bytes(seen[place] for place in range(further, further + len(ready)))
    assert further + len(ready) not in seen
    assert rest.next_sequence == at(further + len(ready))
    assert not rest.overflowed
    late = rest.admit(at(further), bytes(len(TEXT) - further)) or b""
    for place, byte in enumerate(late, further):
        assert byte == seen.get(place, 0)


def test_the_first_copy_of_what_is_released_stays_for_late_comers() -> None:
    stream = Stream(START, keep_text=True)
    stream.push(START, b"genuine")
    assert stream.admit(START, b"another") == b"genuine"
    assert stream.conflict
    assert stream.admit(at(3), b"XXXXmore") == b"uinemore"
    same = b"genuine"
    assert stream.admit(START, same) is same, "the same bytes are handed on as they are"


def test_a_keep_alive_with_garbage_is_no_contradiction() -> None:
    stream = Stream(START, keep_text=True)
    stream.push(START, b"abc")
    assert stream.admit(at(2), b"\0") == b"c"
    assert not stream.conflict


@pytest.mark.parametrize(("ahead", "admitted"), [(-1, True), (0, True), (1, False)])
def test_what_finds_no_room_is_not_admitted(ahead: int, admitted: bool) -> None:
    stream = Stream(START, keep_text=True)
    stream.push(at(10), bytes(1000))
    payload = bytes(OUT_OF_ORDER_LIMIT - 1000 + ahead)
    assert (stream.admit(at(5000), payload) is not None) == admitted
    if admitted:
        stream.push(at(5000), payload)
        assert not stream.overflowed
    assert stream.admit(START, bytes(10)) is not None, "what is in order always is"


@pytest.mark.parametrize(("count", "admitted"), [(-1, True), (0, False)])
def test_islands_beyond_their_number_are_not_admitted(count: int, admitted: bool) -> None:
    stream = Stream(START, keep_text=True)
    for number in range(ISLAND_LIMIT + count):
        stream.push(at(1 + 2 * number), b"x")
    assert (stream.admit(at(2 * ISLAND_LIMIT + 9), b"x") is not None) == admitted


@pytest.mark.parametrize(
    ("acknowledged", "start", "released"),
    [(0, 0, b""), (4, 0, b"head"), (2, 0, b"head"), (50, 50, b"far!"), (60, 60, b"")],
)
def test_a_stream_starts_where_the_receiver_has_read_from(
    acknowledged: int, start: int, released: bytes
) -> None:
    """Told by what it waits for: the bytes that lead up to there, and none of the others."""
    stream = Stream(keep_text=True)
    for place, data in ((-20, b"below"), (50, b"far!"), (0, b"head")):
        assert stream.admit(at(place), data) == data
        assert stream.push(at(place), data) == b"", "it does not guess"
    assert stream.start_before(at(acknowledged)) == (released or b"head" * (acknowledged == 0))
    assert stream.next_sequence == at(start + len(released or b"head" * (acknowledged == 0)))


def test_a_stream_that_can_hold_no_more_starts_by_itself() -> None:
    stream = Stream(keep_text=True)
    step = 1000
    out = b""
    for place in range(0, OUT_OF_ORDER_LIMIT + 2 * step, step):
        out += stream.push(at(place), bytes(step))
    assert stream.next_sequence == at(len(out))
    assert stream.reaches(at(0))
    assert stream.reaches(at(len(out)))
    assert not stream.reaches(at(-1))
    assert not stream.reaches(at(len(out) + 1))
