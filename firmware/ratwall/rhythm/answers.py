"""Whether the beats of a client are answered, and the answers acknowledged, as these families do.

What the server says is not copied. But a client of these families answers the server's answer, and
it takes the same time after each beat: two ways over the line and a moment at either end.

Design note: honest programs write several messages in a row as well. So it is asked of how many
beats a message follows after one and the same delay, and how likely that is where every second
event has some message behind it at a time of its own.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Final

from ratwall.rhythm.beats import ANSWER_US
from ratwall.rhythm.fold import TOLERANCE_US

DELAY_US: Final = 150_000  # from the delay that all have: queues on the way, a busy machine
ANSWER_MOST: Final = 160  # of its record: 80 was measured; it holds a word and a number
SAME_SIZE: Final = 16  # a block of the cipher, or the digits of the number
# That an event of an honest program has a message behind it at a given delay, within the above:
# half of them have any behind them, in bursts of some five a second.
BY_CHANCE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Answered:
    """Of how many beats the answer was answered, out of how many, and how likely by chance."""

    beats: int
    of: int
    chance: float


NO_ANSWERS: Final = Answered(0, 0, 1.0)


def answered(beats: Sequence[int], sent: Sequence[int], sizes: Sequence[int]) -> Answered:
    """Look for the delay after which most beats are followed by a message of one size.

    `sent` are the times of all messages, `sizes` the lengths of their records.
    """
    behind = [_behind(beat, sent, sizes) for beat in beats]
    # The newest may be answered yet.
    counted = behind if behind and behind[-1] else behind[:-1]
    best = max(
        (sum(_has(each, one) for each in counted) for some in counted for one in some), default=0
    )
    number = len(counted)
    if best < 2:
        return Answered(best, number, 1.0)
    # One of them is free: it says what the delay is.
    tail = sum(
        comb(number - 1, hits) * BY_CHANCE**hits * (1 - BY_CHANCE) ** (number - 1 - hits)
        for hits in range(best - 1, number)
    )
    return Answered(best, number, tail)


def _behind(beat: int, sent: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return delay and size of what follows a beat.

    On a short line the answer comes within the tolerance of a beat, and may have been taken for it.
    """
    first = bisect_left(sent, beat - TOLERANCE_US)
    if first == len(sent):
        return []
    began = sent[first]
    last = bisect_right(sent, began + ANSWER_US)
    behind = range(first + 1, last)
    return [(sent[at] - began, sizes[at]) for at in behind if sizes[at] <= ANSWER_MOST]


def _has(behind: Sequence[tuple[int, int]], one: tuple[int, int]) -> bool:
    delay, size = one
    return any(
        abs(other - delay) <= DELAY_US and abs(its - size) <= SAME_SIZE for other, its in behind
    )
