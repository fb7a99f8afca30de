"""How regular starts are: a clock, a loop with some jitter, people, chance."""

import random

import pytest

from ratwall.detections.regularity import LEAST_STARTS, SECOND, period, regularity


def starts(gaps: list[float]) -> list[int]:
    at, found = 0.0, [0]
    for gap in gaps:
        at += gap
        found.append(round(at * SECOND))
    return found


def test_a_clock_has_a_hundred() -> None:
    assert regularity(starts([5.0] * 20)) == 100


@pytest.mark.parametrize(("count", "told"), [(LEAST_STARTS - 1, 0), (LEAST_STARTS, 100)])
def test_a_few_starts_say_nothing(count: int, told: int) -> None:
    assert regularity(starts([5.0] * (count - 1))) == told


def test_the_measured_loops_of_the_families_score_high_and_chance_does_not() -> None:
    dice = random.Random(4)
    asyncrat = [5 + dice.uniform(0.01, 0.2) for _ in range(30)]
    quasar = [3 + dice.uniform(0.25, 0.75) + dice.uniform(0.01, 0.1) for _ in range(30)]
    assert regularity(starts(asyncrat)) >= 95
    assert regularity(starts(quasar)) >= 90
    by_chance = [
        regularity(starts([1 + dice.expovariate(1 / 12) for _ in range(30)])) for _ in range(500)
    ]
    assert max(by_chance) < 85, "what beaconing-rare asks for"
    assert sum(score >= 65 for score in by_chance) < 15, "what high-volume-beacon asks for"


def test_several_starts_at_once_are_one_attempt() -> None:
    doubled = [at + extra for at in starts([10.0] * 15) for extra in (0, SECOND // 5)]
    assert regularity(doubled) == 100


def test_the_period_is_the_middle_gap() -> None:
    assert period([]) == period([5]) == 0
    assert period(starts([5.0, 5.0, 0.1, 60.0])) == 5 * SECOND


def test_some_that_are_missing_do_not_hide_a_clock() -> None:
    clock = starts([5.0] * 30)
    assert regularity([at for number, at in enumerate(clock) if number % 7]) == 100
