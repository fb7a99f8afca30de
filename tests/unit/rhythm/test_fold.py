"""Periods found in times, whatever lies between, and how likely they are by chance."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.rhythm.fold import (
    CHAIN,
    EVENTS,
    LATE_US,
    PERIOD_HIGH,
    PERIOD_LOW,
    SECOND,
    STOCK_HIGH,
    STOCK_LOW,
    Chains,
    Rhythm,
    beats_faster,
    constant,
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


def redrawn(times: list[int]) -> Rhythm | None:
    chains = Chains()
    for at in times:
        chains.take(at)
    return chains.redrawn()


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


def test_the_beat_before_the_newest_may_be_the_one_that_is_missing() -> None:
    """Else a rhythm would be lost for a period after each beat that was."""
    times = beats(12.0, 5)
    del times[3]
    assert constant(times, STOCK_LOW, STOCK_HIGH) is None
    found = constant(times, STOCK_LOW, STOCK_HIGH, skips=True)
    assert found is not None
    assert found.beats == tuple(times)


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize(("by", "kept"), [(-1, True), (0, True), (1, False)])
def test_one_beat_may_come_with_the_first_retransmission(place: int, by: int, kept: bool) -> None:
    times = [number * 12 * SECOND for number in range(5)]
    times[place] += LATE_US + by
    found = constant(times, STOCK_LOW, STOCK_HIGH, skips=True)
    assert found is not None
    assert (times[place] in found.beats) == kept
    assert found.period == 12 * SECOND, "it says nothing about the period"


@pytest.mark.parametrize("period", [20.0, 24.0, 30.0])
def test_half_of_a_timer_is_no_rhythm(period: float) -> None:
    """Every second beat of it would be missing."""
    assert constant(beats(period, 20), STOCK_LOW, STOCK_HIGH, skips=True) is None


@pytest.mark.parametrize(
    ("period", "faster"), [(2.0, True), (4.0, True), (5.0, True), (12.0, False)]
)
def test_a_faster_timer_is_known_by_what_lies_between(period: float, faster: bool) -> None:
    times = beats(period, 30)
    found = constant(times, STOCK_LOW, STOCK_HIGH, skips=True)
    assert found is not None
    assert beats_faster(times, found) == faster


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
    dice, tries, stated = random.Random(7), 3000, []
    for _ in range(tries):
        at, times = 0.0, []
        for _ in range(24):
            at += dice.expovariate(1 / 12)
            times.append(round(at * SECOND))
        found = constant(times, STOCK_LOW, STOCK_HIGH, skips=True)
        if found is not None and len(found.beats) >= 4:
            stated.append(found.chance)
    for chance, most in ((1e-2, 1e-2), (1e-3, 3e-3), (1e-4, 1e-3)):
        assert sum(one <= chance for one in stated) <= most * tries, chance


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


def test_ten_and_fifteen_seconds_in_turn_are_not_drawn() -> None:
    at, times = 0, []
    for number in range(20):
        at += (10, 15)[number % 2] * SECOND
        times.append(at)
    assert redrawn(times) is None


@pytest.mark.parametrize("more", [-1, 0, 1, 300])
def test_a_redrawn_rhythm_that_goes_on_costs_no_more(more: int) -> None:
    """Of long ones the newest beats are told; the oldest events are let go of."""
    dice, at, times = random.Random(5), 0.0, []
    chains = Chains()
    for _ in range(EVENTS + more):
        at += dice.uniform(10, 15)
        times.append(round(at * SECOND))
        chains.take(times[-1])
    found = chains.redrawn()
    assert found is not None
    assert list(found.beats) == times[-CHAIN:]
    assert len(chains.times) == min(EVENTS, EVENTS + more)


@given(st.lists(st.integers(0, 10**12), max_size=64, unique=True).map(sorted))
def test_any_times_are_taken_and_beats_are_among_them(times: list[int]) -> None:
    for found in (constant(times), constant(times, skips=True), redrawn(times)):
        if found is not None:
            assert set(found.beats) <= set(times)
            assert list(found.beats) == sorted(found.beats)
            assert 0 <= found.chance <= 1
