"""Bursts, and which of them hold a message with its length in front."""

import pytest

from ratwall.rhythm.beats import APART_US, KEPT, LATE_US, OPEN, QUIET_US, SECOND, BeatLog
from ratwall.rhythm.records import SeenRecord

SHAPES = {
    "TLS 1.0": (32, 32, 32, 80),
    "TLS 1.2": (28, 100),
    "TLS 1.3": (21, 69),
}


def records(*lengths: int, kind: int = 23) -> list[SeenRecord]:
    return [SeenRecord(kind, length) for length in lengths]


@pytest.mark.parametrize("version", SHAPES)
def test_a_message_of_the_families_is_recognised(version: str) -> None:
    log = BeatLog()
    for at, length in enumerate(SHAPES[version]):
        log.take(at * 1000, records(length))
    assert (list(log.sent), list(log.sizes)) == ([0], [SHAPES[version][-1]])


# The last two are one small write, and a larger one, of any program under TLS 1.0.
@pytest.mark.parametrize(
    "lengths", [(26,), (19,), (254,), (53, 1300), (21,), (41, 41), (32, 32), (32, 48)]
)
def test_other_programs_do_not_write_like_that(lengths: tuple[int, ...]) -> None:
    log = BeatLog()
    log.take(0, records(*lengths))
    assert not log.sent


def test_what_is_not_application_data_does_not_count() -> None:
    log = BeatLog()
    assert not log.take(0, records(21, 69, kind=22))
    assert len(log.times) == 0


@pytest.mark.parametrize(("gap", "bursts"), [(-1, 1), (0, 2), (1, 2)])
def test_a_pause_parts_two_bursts(gap: int, bursts: int) -> None:
    log = BeatLog()
    log.take(0, records(50))
    log.take(QUIET_US + gap, records(50))
    assert len(log.times) == bursts


def test_it_is_news_when_a_burst_turns_out_to_hold_a_message() -> None:
    log = BeatLog()
    assert log.take(0, records(21)), "a burst began"
    assert log.take(1000, records(69)), "and holds a message"
    assert not log.take(2000, records(21)), "the length of a second says nothing yet"
    assert log.take(3000, records(65)), "its message does"


@pytest.mark.parametrize("version", SHAPES)
@pytest.mark.parametrize(("late", "bursts"), [(-1, 1), (0, 2), (1, 2)])
def test_a_message_that_was_lost_belongs_to_its_length(
    version: str, late: int, bursts: int
) -> None:
    """Its segment was lost and comes again later: the beat was when its length was written."""
    shape = SHAPES[version]
    parted = len(shape) // 2
    log = BeatLog()
    log.take(0, records(*shape[:parted]))
    log.take(LATE_US + late, records(*shape[parted:]))
    assert len(log.times) == bursts
    assert (0 in log.sent) == (bursts == 1)


def test_a_lost_message_that_came_in_one_piece_belongs_to_its_length_too() -> None:
    log = BeatLog()
    log.take(0, records(32, 32))
    log.take(1_200_000, records(117))
    assert (list(log.sent), len(log.times)) == ([0], 1)


@pytest.mark.parametrize("lengths", [(21,), (28,), (32, 32)])
def test_small_keep_alives_are_not_each_others_message(lengths: tuple[int, ...]) -> None:
    log = BeatLog()
    for number in range(5):
        log.take(number * 2 * SECOND, records(*lengths))
    assert (len(log.times), len(log.sent)) == (5, 0)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_newest_bursts_are_kept(more: int) -> None:
    log = BeatLog()
    for number in range(KEPT + more):
        log.take(number * SECOND, records(50))
    assert len(log.times) == min(KEPT, KEPT + more)
    assert log.bursts == KEPT + more
    assert log.times[-1] == (KEPT + more - 1) * SECOND


@pytest.mark.parametrize("version", SHAPES)
def test_lengths_written_at_about_the_same_time_have_their_messages_in_turn(version: str) -> None:
    """The line is slow: a result's length and a ping's leave before the message of either."""
    shape = SHAPES[version]
    parted = len(shape) // 2
    log = BeatLog()
    for at, lengths in enumerate((shape[:parted], shape[:parted], shape[parted:], shape[parted:])):
        log.take(at * 1000, records(*lengths))
    assert list(log.sent) == [0, 1000]


def test_a_connection_keeps_to_one_length() -> None:
    """Of a client that wrote 4 bytes first, 11 bytes are no length."""
    log = BeatLog()
    for number in range(4):
        log.take(number * SECOND, records(21, 69) if number % 2 == 0 else records(28, 100))
    assert (list(log.sent), log.prefix) == ([0, 2 * SECOND], 21)


@pytest.mark.parametrize(("over", "kept"), [(-1, True), (0, True), (1, False)])
def test_so_many_lengths_may_wait_for_their_messages(over: int, kept: bool) -> None:
    log = BeatLog()
    for at in range(OPEN + over):
        log.take(at, records(21))
    log.take(1000, records(69))
    assert (list(log.sent) == [0]) == kept


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_newest_messages_are_kept(more: int) -> None:
    log = BeatLog()
    for number in range(KEPT + more):
        log.take(number * SECOND, records(21, 69))
    assert len(log.sent) == len(log.sizes) == min(KEPT, KEPT + more)
    assert log.messages == KEPT + more


@pytest.mark.parametrize(("gap", "events"), [(-1, 1), (0, 2), (1, 2)])
def test_messages_soon_after_one_another_are_one_event(gap: int, events: int) -> None:
    log = BeatLog()
    log.take(0, records(21, 69))
    log.take(APART_US + gap, records(21, 65))
    assert len(log.events.times) == events
