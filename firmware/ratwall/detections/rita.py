"""RITA's beacon score, recomputed: a peer's measure to set beside our own regularity.

Pure. It never makes anything fire: honest timers score as high as a reconnect loop does, which the
comparison in docs/detection.md shows. It scores starts of connections, so what beats inside one
connection that stays up is one start, and has no score.

Design note: the formula is that of RITA v5 (activecm/rita a3c5150, `analysis/beacons.go`) with its
default settings, written anew. Times are whole seconds, as in Zeek's logs that RITA reads; scores
and weights are integers. Where RITA's sum of weighted floats falls between two thousandths, the
larger one is taken here: a score may be one thousandth above RITA's.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median
from typing import Final

SECOND: Final = 1_000_000  # microseconds
FULL: Final = 1000  # a score of 1.000: RITA rounds to thousandths
# RITA's defaults (default_config.hjson), each with what it is for.
WEIGHTS: Final = {"times": 25, "sizes": 25, "duration": 25, "histogram": 25}  # percent
LEAST_SECONDS: Final = 4  # different seconds with a start: three gaps, as quartiles need
STROBE: Final = 86_400  # connections: one a second all day is told of as a strobe, not scored
BINS: Final = 24  # of the histogram: hours of a day
SKEW_SPREAD: Final = 10  # spread of the quartiles (seconds or bytes) below which nothing is skewed
DURATION_HOURS: Final = 6  # bins with connections that the duration asks for
IDEAL_RUN: Final = 12  # bins in a row that are as long as it gets
MODES_HOURS: Final = 11  # bins with connections before two heights of bars may explain them
MODES_LEFT_OUT: Final = 1  # bins that may be of a third height
HEIGHT_SHARE: Final = 20  # bars that differ by less than a 20th of the highest are of one height


@dataclass(frozen=True, slots=True)
class BeaconScore:
    """Scores in thousandths, and the gaps that they were made from: (seconds, how often)."""

    total: int
    times: int
    sizes: int
    duration: int
    histogram: int
    gaps: tuple[tuple[int, int], ...]
    bins: tuple[int, ...]


def beacon_score(
    starts: Sequence[int], sizes: Sequence[int], window: tuple[int, int]
) -> BeaconScore | None:
    """Return RITA's score of one pair's connections, None where RITA gives none.

    `starts` are UTC microseconds in any order, `sizes` the bytes that the client sent in each, with
    IP headers; `window` are the first and last microsecond of all that was seen, of all pairs.
    Connections that still run are to be left out, as RITA does.
    """
    seconds = sorted(start // SECOND for start in starts)
    first, last = window[0] // SECOND, window[1] // SECOND
    if len(sizes) != len(starts):
        raise ValueError(f"{len(starts)} starts with {len(sizes)} sizes")
    if len(set(seconds)) < LEAST_SECONDS or len(seconds) >= STROBE or last <= first:
        return None
    gaps = [later - one for one, later in pairwise(seconds) if later > one]
    bins = _bins(seconds, first, last)
    parts = {
        "times": _steadiness(gaps, when_tiny=1.0),
        "sizes": _steadiness(sizes, when_tiny=0.0),
        "duration": _duration(seconds, bins, last - first),
        "histogram": max(_flatness(bins), _two_heights(bins)),
    }
    weighted = sum(WEIGHTS[part] * score for part, score in parts.items())
    return BeaconScore(
        total=(weighted + 50) // 100,  # weights are percent; half a thousandth is rounded up
        **parts,
        gaps=tuple(sorted(Counter(gaps).items())),
        bins=bins,
    )


def _steadiness(values: Sequence[int], when_tiny: float) -> int:
    """Return the mean of how symmetric and how narrow the values lie; `values` are three or more.

    The median of values below 1 cannot be divided by: the narrowness is `when_tiny` then.
    """
    ordered = sorted(values)
    half = len(ordered) // 2  # of an odd number, the middle one belongs to neither half
    low, middle, high = median(ordered[:half]), median(ordered), median(ordered[-half:])
    skew = 0.0
    if high - low >= SKEW_SPREAD and middle not in (low, high):
        skew = (low + high - 2 * middle) / (high - low)
    narrow = when_tiny
    if middle >= 1:
        deviation = median(abs(value - middle) for value in ordered)
        narrow = max(0.0, (middle - deviation) / middle)
    return _thousandths((1 - abs(skew) + narrow) / 2)


def _bins(seconds: Sequence[int], first: int, last: int) -> tuple[int, ...]:
    """Return how many starts lie in each 24th of the window; what is outside counts at its end."""
    counts = [0] * BINS
    for second in seconds:
        counts[min(max((second - first) * BINS // (last - first), 0), BINS - 1)] += 1
    return tuple(counts)


def _flatness(bins: Sequence[int]) -> int:
    """Return 1 less the coefficient of variation of the bars, empty ones too; 0 from 1 on."""
    mean = sum(bins) / len(bins)
    deviation = math.sqrt(sum((count - mean) ** 2 for count in bins) / len(bins))
    return _thousandths(max(0.0, 1 - deviation / mean))


def _two_heights(bins: Sequence[int]) -> int:
    """Return how many of the bars are of the two commonest heights, 0 for too few bars."""
    bars = [count for count in bins if count]
    if len(bars) < MODES_HOURS:
        return 0
    step = -(-max(bars) // HEIGHT_SHARE)
    commonest = Counter(bar // step for bar in bars).most_common(2)
    fitting = sum(count for _, count in commonest)
    return min(FULL, _thousandths(fitting / (len(bars) - MODES_LEFT_OUT)))


def _duration(seconds: Sequence[int], bins: Sequence[int], span: int) -> int:
    """Return how much of the window is covered, or how long a run of hours is, if that is more."""
    if sum(count > 0 for count in bins) < DURATION_HOURS:
        return 0
    coverage = -(-(seconds[-1] - seconds[0]) * FULL // span)  # both are rounded up, as in RITA
    consistency = -(-_longest_run(bins) * FULL // IDEAL_RUN)
    return min(FULL, max(coverage, consistency))


def _longest_run(bins: Sequence[int]) -> int:
    """Return the most bars in a row; the last is followed by the first."""
    runs = [len(list(run)) for busy, run in groupby([*bins, *bins], key=bool) if busy]
    return max(runs)  # of full days twice as many: the score is bounded all the same


def _thousandths(score: float) -> int:
    return math.floor(score * FULL + 0.5)  # half is rounded up, not to even as Python would
