"""The beats of a rhythm laid out on a line, so that a person sees the clock in them.

Pure: times in, positions out. The line is as long as the beats last; its unit is a thousandth of
it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LINE = 1000
SECOND = 1_000_000  # microseconds


@dataclass(frozen=True, slots=True)
class BeatLine:
    """Where the beats stand on the line, their period in seconds, and when the first and last
    were (UTC microseconds)."""

    ticks: tuple[int, ...]
    period: float
    redrawn: bool
    first: int
    last: int


def beat_line(detections: Sequence[Mapping[str, Any]]) -> BeatLine | None:
    """Return the line of the newest rhythm among what was found, None if there is none."""
    for detection in detections:
        facts = detection["facts"]
        beats = facts.get("beats")
        if not beats:
            continue
        first, last = beats[0], beats[-1]
        span = max(1, last - first)
        return BeatLine(
            ticks=tuple(round((at - first) * LINE / span) for at in beats),
            period=facts["period_us"] / SECOND,
            redrawn=bool(facts["redrawn"]),
            first=first,
            last=last,
        )
    return None
