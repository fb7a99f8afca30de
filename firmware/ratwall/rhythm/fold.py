"""Finding a period in the times of bursts, whatever else was written in between.

Pure: times in, a rhythm out. From the newest burst it walks back: was there one a period before,
and one before that? What lies between (commands, their results) is stepped over; one beat that is
missing may be, and one may have come late. Nothing is decided here about who beats.

Design note: chance is counted, not guessed. Were the bursts without any rhythm, each step back
would find one as near as the worst of the chain with probability p = 1 - exp(-2 * off * rate); a
chain is worth telling when p to the power of its steps, times the periods tried, is small.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import pstdev
from typing import Final

SECOND: Final = 1_000_000  # microseconds
TOLERANCE_US: Final = 150_000  # a timer of the system, a busy machine, a queue on the way
TOLERANCE_SHARE: Final = 0.005  # of long periods: timers of programs that add their own work
PERIOD_LOW: Final = 1 * SECOND
PERIOD_HIGH: Final = 600 * SECOND
STOCK_LOW: Final = 9_500_000  # [10, 15) s as drawn by the families, and the tolerance
STOCK_HIGH: Final = 15_500_000
REDRAWN_LOW: Final = 9_900_000  # a period drawn anew each time stays inside its bounds
REDRAWN_HIGH: Final = 15_200_000
EVENTS: Final = 64  # that are kept for a redrawn rhythm
CHAIN: Final = 24  # beats that are followed back: twice what any decision takes
TRIED: Final = 12  # bursts before the newest that may be the beat before it
MISSED_IN_A_ROW: Final = 1  # a copy can be lost, or a beat fall into the results of a command
CLOCK_US: Final = 25_000  # of a beat on time: no clock and no line is judged better than this
LATE_US: Final = 700_000  # of a beat whose segment was lost: it comes with the first time-out
MISSING_SHARE: Final = 3  # beats there must be for each that is missing
FASTER: Final = (2, 3, 5, 7)  # parts of 10 to 15 s in which timers of 2 s and more beat
LATE_MOST: Final = 1  # of a chain; a second one would say as little as two that are missing
# Of a period drawn evenly between 10 and 15 s the standard deviation is 1.44 s; of twelve such gaps
# one set in a hundred stays below this, and of a steady timer's on a bad line none gets there.
DEVIATION_LOW_US: Final = 700_000
DEVIATION_HIGH_US: Final = 2_100_000  # of ten and of fifteen seconds in turn it is 2.5 s
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


def constant(
    times: Sequence[int],
    low: int = PERIOD_LOW,
    high: int = PERIOD_HIGH,
    newest: int | None = None,
    *,
    skips: bool = False,
) -> Rhythm | None:
    """Return the longest chain of beats that ends at a time, its period in [low, high].

    `newest` is that time's index; without it the newest of all. With `skips` the beat before it may
    be late, or missing.
    """
    newest = len(times) - 1 if newest is None else newest
    best, tried, most = None, 0, 1 + skips
    for index in range(newest - 1, max(-1, newest - 1 - TRIED), -1):
        gap = times[newest] - times[index]
        if gap > high * most:
            break
        for steps in range(1, most + 1):
            if not low * steps <= gap <= high * steps:
                continue
            tried += 1
            chain = _walk_back(times, newest, index, steps)
            if chain.whole and (best is None or chain.beats_time_better(best)):
                best = chain
    if best is None or best.on_time < 3:
        return None
    chance = tried * met_by_chance(times, max(best.off, CLOCK_US)) ** (best.on_time - 2)
    chance *= met_by_chance(times, LATE_US // 2) ** best.late
    beats = tuple(reversed(best.beats))
    return Rhythm(beats, best.period, redrawn=False, chance=min(1.0, chance))


@dataclass(slots=True)
class Chains:
    """How events may follow one another as beats of a period that is drawn anew each time.

    Of each event the longest chain that ends there is kept, by its length and its last step, so
    that a new one costs a look at those of the last half minute.
    """

    times: "array[int]" = field(default_factory=lambda: array("q"))
    _lengths: bytearray = field(default_factory=bytearray)  # beats of the chain, at most 255
    _back: bytearray = field(default_factory=bytearray)  # events back to the one before; 0: none

    def take(self, at: int) -> None:
        """Take in an event; they come in the order of their times."""
        times, lengths = self.times, self._lengths
        here, length, back = len(times), 1, 0
        for low, high in ((REDRAWN_LOW, REDRAWN_HIGH), (2 * REDRAWN_LOW, 2 * REDRAWN_HIGH)):
            for earlier in range(bisect_left(times, at - high), bisect_right(times, at - low)):
                if lengths[earlier] + 1 > length:
                    length, back = lengths[earlier] + 1, here - earlier
        times.append(at)
        lengths.append(min(length, 255))
        self._back.append(back)
        if len(times) > EVENTS:
            del times[0], lengths[0], self._back[0]

    def clock_set(self, by: int) -> None:
        """Move all times: the clock that they are of was set."""
        for number, at in enumerate(self.times):
            self.times[number] = at + by

    @property
    def length(self) -> int:
        """How many beats the longest chain has that ends at the newest event."""
        return self._lengths[-1] if self._lengths else 0

    def redrawn(self) -> Rhythm | None:
        """Return the longest chain that ends at the newest event; None if its gaps are not those
        of a period that is drawn evenly between its bounds."""
        if self.length < 3:
            return None
        beats = list(self._chain())[::-1]
        chance = met_by_chance(self.times, (REDRAWN_HIGH - REDRAWN_LOW) // 2) ** (len(beats) - 1)
        found = Rhythm(tuple(beats), _mean_period(beats), redrawn=True, chance=chance)
        single = found.gaps
        missed = len(beats) - 1 - len(single)
        if missed * DOUBLE_SHARE > len(beats) or len(single) < 2:
            return None
        return found if DEVIATION_LOW_US <= pstdev(single) <= DEVIATION_HIGH_US else None

    def _chain(self) -> Iterator[int]:
        index = len(self.times) - 1
        for _ in range(CHAIN):
            yield self.times[index]
            if not self._back[index] or self._back[index] > index:
                return
            index -= self._back[index]


def tolerance(period: int) -> int:
    """Return how far from its time a beat may be, microseconds."""
    return max(TOLERANCE_US, round(period * TOLERANCE_SHARE))


def beats_faster(times: Sequence[int], rhythm: Rhythm) -> bool:
    """Say whether there is as much at a fraction of the period: every second beat of five seconds
    is one of ten."""
    beats = rhythm.beats[1:]
    allowed = tolerance(rhythm.period)
    for parts in FASTER:
        between = rhythm.period // parts
        hits = sum(_nearest(times, beat - between, allowed) is not None for beat in beats)
        if hits * 2 >= len(beats):
            return True
    return False


@dataclass(slots=True)
class _Chain:
    """Beats back from the newest, and how well they keep time."""

    beats: list[int]
    period: int
    steps: int  # periods from the newest to the oldest that is on time
    on_time: int = 2
    late: int = 0
    off: int = 0  # the most that one on time was off, microseconds

    @property
    def whole(self) -> bool:
        """Most beats are there: else a timer of twice or three times the period would do."""
        return (self.steps + 1 - len(self.beats)) * MISSING_SHARE <= len(self.beats)

    def beats_time_better(self, other: "_Chain") -> bool:
        """Say whether it keeps time for longer, or as long and better."""
        return (self.on_time, -self.off) > (other.on_time, -other.off)


def _walk_back(times: Sequence[int], newest: int, before: int, steps: int) -> _Chain:
    """Return the chain that ends at one index and has its beat before that at another.

    With two `steps` it is the beat before that: the one between them came late, or not at all.
    """
    end, exact = times[newest], times[before]
    chain = _Chain([end], (end - exact) // steps, steps)
    allowed = tolerance(chain.period)
    late = _late(times, end - chain.period, allowed) if steps > 1 else None
    since = 0  # periods from the last beat on time
    found: int | None = exact
    while len(chain.beats) < CHAIN:
        if found is not None:
            if late is not None and chain.late < LATE_MOST:
                chain.beats.append(late)
                chain.late += 1
            chain.beats.append(found)
            exact, late, since = found, None, 0
        elif since > MISSED_IN_A_ROW or exact - chain.period * since < times[0] - allowed:
            break
        else:
            late = _late(times, exact - chain.period * since, allowed)
        since += 1
        expected = exact - chain.period * since
        found = _nearest(times, expected, allowed)
        if found is not None:
            chain.on_time += 1
            chain.off = max(chain.off, abs(found - expected))
            chain.steps += since
            # The estimate gets better with every beat: the error of one gap must not add up.
            chain.period = (end - found) // chain.steps
    return chain


def _late(times: Sequence[int], expected: int, allowed: int) -> int | None:
    """Return a beat that came late, as one whose segment was lost."""
    place = bisect_right(times, expected + allowed)
    return times[place] if times[place] <= expected + LATE_US else None


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


def met_by_chance(times: Sequence[int], allowed: int) -> float:
    """Return the probability that a random time has a burst within `allowed` on either side."""
    span = max(1, times[-1] - times[0])
    return 1 - math.exp(-2 * allowed * len(times) / span)
