"""Answers to beats: after one delay, of one size, after enough of the beats."""

import pytest

from ratwall.rhythm.answers import ANSWER_MOST, DELAY_US, SAME_SIZE, answered
from ratwall.rhythm.beats import ANSWER_US, SECOND
from ratwall.rhythm.fold import TOLERANCE_US

BEATS = [number * 12 * SECOND for number in range(1, 7)]
DELAY = 330_000
Answer = tuple[int, int]  # delay, size


def heard(*answers: Answer | None, beats: list[int] = BEATS) -> int:
    """How many of the beats are found answered; None: this one was not."""
    messages = [(beat, 80) for beat in beats]
    messages += [
        (beat + answer[0], answer[1])
        for beat, answer in zip(beats, answers, strict=False)
        if answer is not None
    ]
    messages.sort()
    return answered(beats, [at for at, _ in messages], [size for _, size in messages]).beats


def test_each_beat_is_answered() -> None:
    assert heard(*[(DELAY, 72)] * 6) == 6


def test_some_answers_may_be_missing() -> None:
    assert heard(None, (DELAY, 72), None, (DELAY, 72), (DELAY, 80)) == 3


def test_of_one_beat_an_answer_says_nothing() -> None:
    assert answered(BEATS[:1], [BEATS[0], BEATS[0] + DELAY], [80, 72]).chance == 1


@pytest.mark.parametrize(("over", "number"), [(-1, 2), (0, 2), (1, 1)])
def test_the_delay_is_the_same(over: int, number: int) -> None:
    assert heard((DELAY, 72), (DELAY + DELAY_US + over, 72)) == number


@pytest.mark.parametrize(("over", "number"), [(-1, 2), (0, 2), (1, 1)])
def test_the_size_is_the_same(over: int, number: int) -> None:
    assert heard((DELAY, 72), (DELAY, 72 + SAME_SIZE + over)) == number


@pytest.mark.parametrize(("over", "number"), [(-1, 6), (0, 6), (1, 0)])
def test_it_is_short(over: int, number: int) -> None:
    assert heard(*[(DELAY, ANSWER_MOST + over)] * 6) == number


@pytest.mark.parametrize(("over", "number"), [(-1, 6), (0, 6), (1, 0)])
def test_it_comes_soon(over: int, number: int) -> None:
    assert heard(*[(ANSWER_US + over, 72)] * 6) == number


def test_an_answer_that_was_taken_for_the_beat_is_one_all_the_same() -> None:
    """On a short line it comes within the tolerance of a beat."""
    delay = TOLERANCE_US // 2
    times = sorted(BEATS + [beat + delay for beat in BEATS])
    shifted = [BEATS[0], *(beat + delay for beat in BEATS[1:])]
    assert answered(shifted, times, [80] * len(times)).beats == 6


def test_more_answers_are_less_likely_by_chance() -> None:
    chances = [
        answered(
            BEATS[:number],
            sorted(BEATS[:number] + [beat + DELAY for beat in BEATS[:number]]),
            [72] * 2 * number,
        ).chance
        for number in range(1, 7)
    ]
    assert chances == sorted(chances, reverse=True)
    assert chances[-1] < 1e-3
