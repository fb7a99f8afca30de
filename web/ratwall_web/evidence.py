"""How the evidence of an incident adds up to its score, laid out so that it can be drawn.

Pure: numbers in, numbers out. The bars form a staircase: each begins where the last one ended, and
the end of the last is the sum, which counts as at most 100.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FULL_SCORE = 100


@dataclass(frozen=True, slots=True)
class Step:
    """One piece of evidence; `start` and `width` are in points on the common scale."""

    text: str
    points: int
    technique: str | None
    start: int
    width: int


@dataclass(frozen=True, slots=True)
class Scale:
    """All pieces, strongest first; `length` is the scale's end in points."""

    steps: tuple[Step, ...]
    total: int
    score: int
    length: int

    @property
    def capped(self) -> bool:
        """Tell whether the pieces add up to more than the score can be."""
        return self.total > FULL_SCORE


def explain(evidence: Sequence[dict[str, Any]], score: int) -> Scale:
    """Lay the pieces of evidence end to end, strongest first."""
    steps = []
    end = 0
    for piece in sorted(evidence, key=lambda piece: -int(piece["points"])):
        points = int(piece["points"])
        start = min(end, end + points)
        steps.append(Step(piece["text"], points, piece["technique"], max(0, start), abs(points)))
        end += points
    reach = max((step.start + step.width for step in steps), default=0)
    return Scale(tuple(steps), total=end, score=score, length=max(FULL_SCORE, reach))
