"""How regular the starts of connections are, in percent: the spread of the gaps between them.

Pure. It is how narrow the gaps lie in RITA's beacon score (rita.py), without what asks for hours of
data: a reconnect loop of a few minutes must do. A score says nothing of what the loop is for.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final

LEAST_STARTS: Final = 12  # of twelve by chance four in a thousand get to 85, of six one in twelve
SECOND: Final = 1_000_000
TOGETHER_US: Final = SECOND  # starts closer than this are one attempt: several addresses, a retry


def regularity(starts: Sequence[int]) -> int:
    """Return 0 (no rhythm at all, or too few starts) to 100 (a clock)."""
    kept = _apart(starts)
    if len(kept) < LEAST_STARTS:
        return 0
    gaps = [later - one for one, later in pairwise(kept)]
    middle = median(gaps)
    deviation = median(abs(gap - middle) for gap in gaps)
    return max(0, round(100 * (1 - deviation / middle)))


def period(starts: Sequence[int]) -> int:
    """Return the middle one of the gaps between starts, microseconds; 0 for fewer than two."""
    gaps = [later - one for one, later in pairwise(_apart(starts))]
    return round(median(gaps)) if gaps else 0


def _apart(starts: Sequence[int]) -> list[int]:
    kept: list[int] = []
    for start in sorted(starts):
        if not kept or start - kept[-1] >= TOGETHER_US:
            kept.append(start)
    return kept
