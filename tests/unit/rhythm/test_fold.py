"""Periods found in times, whatever lies between, and how likely they are by chance."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.rhythm.fold import (
    PERIOD_HIGH,
    PERIOD_LOW,
    SECOND,
    STOCK_HIGH,
    STOCK_LOW,
    constant,
    redrawn,
    tolerance,
)


def beats(period: float, number: int, jitter: float = 0.003, seed: int = 1) -> list[int]:
    dice = random.Random(seed)
    return [round((n * period + dice.gauss(0, jitter)) * SECOND) for n in range(1, number + 1)]


@pytest.mark.parametrize("period", [1.5, 10.0, 13.531, 60.0, 590.0])
def test_a_constant_period_is_found(period: float) -> None:
    found = constant(beats(period, 8))
    assert found is not None
    assert len(found.beats) == 8
    assert found.period / SECOND == pytest.approx(period, rel=0.01)


def test_what_lies_between_is_stepped_over() -> None:
    times = beats(12.0, 10)
    between = [at + 3_700_000 for at in times[:5]] + [times[3] + 8_100_000]
    found = constant(sorted(times + between))
    assert found is not None
    assert set(found.beats) == set(times)


def test_one_missing_beat_is_stepped_over_and_two_end_the_chain() -> None:
    times = beats(12.0, 10)
    one = constant(times[:4] + times[5:])
    two = constant(times[:4] + times[6:])
    assert one is not None
    assert two is not None
    assert (len(one.beats), len(two.beats)) == (9, 4)
    assert one.period / SECOND == pytest.approx(12.0, abs=0.01), "it counts as two periods"


@pytest.mark.parametrize(("by", "kept"), [(-1, True), (0, True), (1, False)])
def test_a_beat_may_be_late_by_the_tolerance(by: int, kept: bool) -> None:
    times = [0, 12 * SECOND, 24 * SECOND, 36 * SECOND]
    times[0] += tolerance(12 * SECOND) + by
    found = constant(times)
    assert found is not None
    assert (times[0] in found.beats) == kept


@pytest.mark.parametrize(
    ("period", "found"),
    [(PERIOD_LOW - 1, False), (PERIOD_LOW, True), (PERIOD_HIGH, True), (PERIOD_HIGH + 1, False)],
)
def test_periods_have_bounds(period: int, found: bool) -> None:
    chain = constant([number * period for number in range(5)])
    assert (chain is not None and chain.period == period) == found


def test_by_chance_few_are_found() -> None:
    """Bursts without a rhythm, twelve seconds apart on average: the chance that is stated holds."""
    dice, hits, tries, stated = random.Random(7), 0, 3000, []
    for _ in range(tries):
        at, times = 0.0, []
        for _ in range(24):
            at += dice.expovariate(1 / 12)
            times.append(round(at * SECOND))
        found = constant(times, STOCK_LOW, STOCK_HIGH)
        if found is not None and len(found.beats) >= 4:
            hits += 1
            stated.append(found.chance)
    assert hits / tries < 0.01
    assert all(chance > 1e-4 for chance in stated), "no chain is called rarer than it was"


def test_a_redrawn_period_is_found_and_a_steady_one_is_not_one() -> None:
    dice, at, times = random.Random(3), 0.0, []
    for _ in range(13):
        at += dice.uniform(10, 15)
        times.append(round(at * SECOND))
    found = redrawn(times)
    assert found is not None
    assert len(found.beats) == 13
    assert redrawn(beats(12.0, 13)) is None
    assert redrawn(beats(12.0, 40, jitter=0.2)) is None, "a steady timer on a bad line"
    assert redrawn(beats(25.0, 13)) is None, "twice as slow is not the same with gaps"


@given(st.lists(st.integers(0, 10**12), max_size=64, unique=True).map(sorted))
def test_any_times_are_taken_and_beats_are_among_them(times: list[int]) -> None:
    for found in (constant(times), redrawn(times)):
        if found is not None:
            assert set(found.beats) <= set(times)
            assert list(found.beats) == sorted(found.beats)
            assert 0 <= found.chance <= 1
