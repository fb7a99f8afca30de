"""The arithmetic of the paired slices: a drift of the machine cancels, a true cost is found."""

import pytest

from bench.slices import Slice, interval, ratios


def slices(rates: list[float]) -> list[Slice]:
    return [Slice(place % 2 == 0, place, place + 1, rate, 0, 0) for place, rate in enumerate(rates)]


def test_a_machine_that_slows_down_evenly_costs_nothing() -> None:
    assert ratios(slices([100, 90, 80, 70, 60])) == pytest.approx([1, 1])


def test_a_cost_of_a_tenth_is_a_tenth() -> None:
    assert ratios(slices([90, 100, 90, 100, 90])) == pytest.approx([0.9, 0.9])


def test_every_slice_without_has_its_pair() -> None:
    assert len(ratios(slices([1] * 7))) == 3


def test_the_interval_holds_the_median_and_narrows_with_more_pairs() -> None:
    few, many = [0.9, 1.0, 1.1], [0.9, 1.0, 1.1] * 60
    for values in (few, many):
        low, high = interval(values)
        assert low <= 1.0 <= high
    assert interval(few) == (0.9, 1.1)
    assert interval(many) == (1.0, 1.0)
    assert interval(many) == interval(many), "the same figures give the same interval"
