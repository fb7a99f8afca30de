"""Notices that the wall clock was set, by comparing it with one that nobody can set.

Design note: what is written down has wall time, since people read it and it outlives a boot; so
timers have it too. Whoever keeps a time for later is told how far the clock was moved and moves
along: what had an hour left has an hour left, and what was five seconds apart still is. Slewing is
no step: between two looks it moves a clock by less than a thousandth.
"""

from collections.abc import Callable
from typing import Final, TypeVar

STEP_US: Final = 2_000_000  # a hundred times what slewing and a busy turn come to
ASLEEP_US: Final = 60_000_000  # between two looks, which are a quarter of a second apart

Key = TypeVar("Key")


class ClockWatch:
    """Look often; both clocks are microseconds."""

    def __init__(self, wall: Callable[[], int], steady: Callable[[], int]) -> None:
        """`steady` goes on while the machine sleeps (CLOCK_BOOTTIME)."""
        self._wall, self._steady = wall, steady
        self._last = wall(), steady()

    def look(self) -> tuple[int, bool]:
        """Return how far the wall clock was set since the last look, 0 if it was not.

        And whether nobody has looked for a long time: the machine, or this process, stood still.
        """
        wall, steady = self._wall(), self._steady()
        passed = steady - self._last[1]
        by = wall - self._last[0] - passed
        self._last = wall, steady
        return (by if abs(by) >= STEP_US else 0), passed >= ASLEEP_US


def moved(times: dict[Key, int], by: int) -> None:
    """Move all times that are kept by a key."""
    for key in times:
        times[key] += by
