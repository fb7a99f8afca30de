"""Finding a period in the times of bursts, whatever else was written in between.

Pure: times in, a rhythm out. From the newest burst it walks back: was there one a period before,
and one before that? What lies between (commands, their results) is stepped over; one beat that is
missing may be. Nothing is decided here about who beats.

Design note: chance is counted, not guessed. Were the bursts without any rhythm, each step back
would find one within the tolerance with probability p = 1 - exp(-2 * tolerance * rate); a chain is
worth telling when p to the power of its steps, times the periods tried, is small.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import pstdev
from typing import Final

SECOND: Final = 1_000_000  # microseconds
TOLERANCE_US: Final = (
    100_000  # a timer of the system, a busy machine, a queue on the way: 16 to 80 ms
)
TOLERANCE_SHARE: Final = 0.005  # of long periods: timers of programs that add their own work
PERIOD_LOW: Final = 1 * SECOND
PERIOD_HIGH: Final = 600 * SECOND
STOCK_LOW: Final = 9_500_000  # [10, 15) s as drawn by the families, and the tolerance
STOCK_HIGH: Final = 15_500_000
REDRAWN_LOW: Final = 9_900_000  # a period drawn anew each time stays inside its bounds
REDRAWN_HIGH: Final = 15_200_000
CHAIN: Final = 24  # beats that are followed back: twice what any decision takes
TRIED: Final = 12  # bursts before the newest that may be the beat before it
MISSED_IN_A_ROW: Final = 1  # a copy can be lost, or a beat fall into the results of a command
# Of a period drawn evenly between 10 and 15 s the standard deviation is 1.44 s; of twelve such gaps
# one set in a hundred stays below this, and of a steady timer's on a bad line none gets there.
DEVIATION_US: Final = 700_000
DOUBLE_SHARE: Final = 4  # at most every fourth gap of a redrawn rhythm may hold a missed beat


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Beats that follow one another: their times, oldest first, and the period in microseconds."""

    beats: tuple[int, ...]
    period: int  # the mean of a redrawn one
    redrawn: bool
    chance: float  # that bursts without a rhythm look like this

    @property
    def gaps(self) -> list[int]:
        """The gaps between two beats, microseconds, without those in which one was missed."""
        gaps = (later - one for one, later in pairwise(self.beats))
        return [gap for gap in gaps if gap < 1.5 * self.period]


def constant(times: Sequence[int], low: int = PERIOD_LOW, high: int = PERIOD_HIGH) -> Rhythm | None:
    """Return the longest chain of beats that ends at the newest time, its period in [low, high]."""
    best: tuple[int, ...] = ()
    tried = 0
    newest = len(times) - 1
    for index in range(newest - 1, max(-1, newest - 1 - TRIED), -1):
        gap = times[newest] - times[index]
        if gap > high:
            break
        if gap < low:
            continue
        tried += 1
        chain = _walk_back(times, newest, gap)
        if len(chain) > len(best):
            best = chain
    if len(best) < 3:
        return None
    period = _mean_period(best)
    chance = tried * _chance(times, tolerance(period)) ** (len(best) - 2)
    return Rhythm(best, period, redrawn=False, chance=min(1.0, chance))


def redrawn(times: Sequence[int]) -> Rhythm | None:
    """Return the longest chain of beats that ends at the newest time, each gap in the bounds of a
    period that is drawn anew; None if it could as well be a constant one."""
    # The longest chain that ends at each time, by how many beats it has and where it came from.
    lengths, before = [1] * len(times), [-1] * len(times)
    for index, at in enumerate(times):
        for low, high in ((REDRAWN_LOW, REDRAWN_HIGH), (2 * REDRAWN_LOW, 2 * REDRAWN_HIGH)):
            first = bisect_left(times, at - high, 0, index)
            for earlier in range(first, index):
                if times[earlier] > at - low:
                    break
                if lengths[earlier] + 1 > lengths[index]:
                    lengths[index], before[index] = lengths[earlier] + 1, earlier
    chain, index = [], len(times) - 1
    while index >= 0:
        chain.append(times[index])
        index = before[index]
    beats = tuple(reversed(chain))
    if len(beats) < 3:
        return None
    chance = _chance(times, (REDRAWN_HIGH - REDRAWN_LOW) // 2) ** (len(beats) - 1)
    found = Rhythm(beats, _mean_period(beats), redrawn=True, chance=chance)
    single = found.gaps
    missed = len(beats) - 1 - len(single)
    if missed * DOUBLE_SHARE > len(beats) or len(single) < 2 or pstdev(single) < DEVIATION_US:
        return None
    return found


def tolerance(period: int) -> int:
    """Return how far from its time a beat may be, microseconds."""
    return max(TOLERANCE_US, round(period * TOLERANCE_SHARE))


def _walk_back(times: Sequence[int], newest: int, gap: int) -> tuple[int, ...]:
    """Return the chain with about this period that ends at `newest`."""
    beats = [times[newest], times[newest] - gap]
    allowed = tolerance(gap)
    missed = 0
    steps = 1
    while missed <= MISSED_IN_A_ROW and len(beats) < CHAIN:
        # The estimate gets better with every beat: the error of one gap must not add up.
        period = (beats[0] - beats[-1]) / steps
        expected = beats[-1] - round(period * (missed + 1))
        found = _nearest(times, expected, allowed)
        if found is None:
            if expected < times[0] - allowed:
                break
            missed += 1
            continue
        steps += missed + 1
        missed = 0
        beats.append(found)
    return tuple(reversed(beats))


def _nearest(times: Sequence[int], expected: int, allowed: int) -> int | None:
    place = bisect_left(times, expected - allowed)
    candidates = list(_within(times, place, expected + allowed))
    return min(candidates, key=lambda at: abs(at - expected)) if candidates else None


def _within(times: Sequence[int], place: int, latest: int) -> Iterator[int]:
    while place < len(times) and times[place] <= latest:
        yield times[place]
        place += 1


def _mean_period(beats: Sequence[int]) -> int:
    """Return the period, beats that were missed counted in."""
    gaps = [later - one for one, later in pairwise(beats)]
    shortest = min(gaps)
    steps = sum(max(1, round(gap / shortest)) for gap in gaps)
    return (beats[-1] - beats[0]) // steps


def _chance(times: Sequence[int], allowed: int) -> float:
    """Return the probability that a random time has a burst within `allowed` on either side."""
    span = max(1, times[-1] - times[0])
    return 1 - math.exp(-2 * allowed * len(times) / span)
