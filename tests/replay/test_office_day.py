"""A morning of a simulated office, every rule enforced: nothing is blocked, every alert is known.

The whole day takes minutes: tests/bench/office_day.py. Here it is the hour in which most begins.
"""

import pytest

from office import Day
from ratwall_lab.day import DAY, HOUR, KINDS, OPENS, clip, plan
from ratwall_lab.day import Conversation as Talk
from ratwall_lab.day import Service as Site

# What is told of, and why that is right: nobody in the office can know it better than its owner.
JUSTIFIED = {
    "198.51.100.91": "a model: one device, a server of this week, a block every 12 s",
}
RAT = Site("", "198.51.100.99", 6606, named=False)


def test_the_plan_is_of_an_office() -> None:
    assert sum(KINDS.values()) >= 40
    day = plan(1)
    assert plan(1) == day
    assert {one.service.version for one in day} == {"1.0", "1.2", "1.3"}
    assert all(0 <= one.start < DAY for one in day)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_morning_passes_without_a_block(seed: int) -> None:
    day = Day(seed, clip(plan(seed), OPENS, OPENS + HOUR))
    day.play()
    assert day.connections > 500
    assert day.copies > 4000
    found = day.incidents()
    assert {one["server"] for one in found} <= set(JUSTIFIED)
    assert {one["state"] for one in found} <= {"alert"}
    assert (day.kernel.cut, day.sets.blocked) == ([], {})


def test_among_all_that_a_rat_is_seen() -> None:
    """Or the silence above would prove nothing: one device more, that beats like the stock RAT."""
    morning = clip(plan(1), OPENS, OPENS + HOUR / 4)
    device = "192.168.77.21"
    beats = tuple(12.5 * number for number in range(1, 40))
    answers = tuple(at + 0.1 for at in beats)
    rat = Talk(device, RAT, OPENS + 60, 600, prefixed=tuple(sorted((*beats, *answers))))
    day = Day(1, sorted([*morning, rat], key=lambda one: one.start))
    day.play()
    seen = [one for one in day.incidents() if one["server"] == RAT.address]
    assert [one["state"] for one in seen] == ["blocking"]
    assert [ends[2] for ends in day.kernel.cut] == [RAT.address]
