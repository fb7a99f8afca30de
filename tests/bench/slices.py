"""Slices of one run, with copies and without in turn, and what their comparison is worth."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

SEED = 1  # of the bootstrap: the same figures give the same interval
DRAWS = 4000  # the interval's ends stand still in the third digit
INTERVAL = (0.025, 0.975)


@dataclass(slots=True)
class Slice:
    """A second or so, by the machine's monotonic clock."""

    copied: bool  # whether the kernel copied what the observed said
    started: float
    ended: float
    rate: float  # bytes or handshakes of the others, per second
    cpu: float  # of the controller, seconds per second
    copies: float  # that the controller read, per second


def ratios(slices: Sequence[Slice]) -> list[float]:
    """Return, for each slice without, the mean of the two with around it as a share of it."""
    return [
        (before.rate + after.rate) / 2 / one.rate
        for before, one, after in zip(slices[::2], slices[1::2], slices[2::2], strict=False)
    ]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median, by bootstrap."""
    dice = random.Random(SEED)
    medians = sorted(statistics.median(dice.choices(values, k=len(values))) for _ in range(DRAWS))
    low, high = (medians[int(part * (DRAWS - 1))] for part in INTERVAL)
    return low, high
