"""What connections that come again and again score: our regularity, RITA's score, the loops.

Draws the RATs' reconnect loops and honest timers, some with a server that is away, and prints one
line a pattern: the middle of the scores, and in how many draws of ten minutes a loop is found.
Plays no packets. The times are parameters of this file, drawn from a seed.
"""

import argparse
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "firmware")]

from ratwall.controller.histories import STARTS_KEPT  # noqa: E402
from ratwall.detections.regularity import regularity  # noqa: E402
from ratwall.detections.rita import beacon_score  # noqa: E402
from ratwall.loops.attempts import Attempt, Attempts, Surroundings, find_loop, loop_evidence  # noqa: E402
from ratwall.verdict.judge import Thresholds, Verdict, weigh  # noqa: E402

MICROSECONDS = 1_000_000
HOUR, DAY = 3600, 86_400
TEN_MINUTES = 600
MIDNIGHT = 1_750_032_000  # the day that is played, UTC
DRAWS = 40

Gaps = Callable[[random.Random], Iterator[float]]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One program: the gaps between its connections, what each sends, when in the day it runs."""

    name: str
    gaps: Gaps
    size: tuple[int, int]  # bytes of a connection, least and most
    hours: tuple[int, int] = (0, 24)
    fails: bool = False
    refused: bool = True  # rather than left without an answer
    port: int = 443
    again: int = 0  # how often its system asks a server that refuses again


def every(period: float, spread: float = 0.0, late: float = 0.02) -> Gaps:
    """Return gaps of a timer: drawn within ± `spread`, and up to `late` seconds over each time."""

    def draw(dice: random.Random) -> Iterator[float]:
        while True:
            yield period + dice.uniform(-spread, spread) + dice.uniform(0, late)

    return draw


def backing_off(first: float, longest: float) -> Gaps:
    """Return gaps that double, with a tenth of jitter, up to the longest."""

    def draw(dice: random.Random) -> Iterator[float]:
        gap = first
        while True:
            yield gap * dice.uniform(0.9, 1.1)
            gap = min(longest, gap * 2)

    return draw


def person(dice: random.Random) -> Iterator[float]:
    """Yield gaps of somebody who reads: pages of several connections, minutes in between."""
    while True:
        for _ in range(dice.randint(2, 8)):
            yield dice.expovariate(1 / 0.3)
        yield dice.expovariate(1 / 180)


def quasar(dice: random.Random) -> Iterator[float]:
    while True:
        yield 3 + dice.uniform(0.25, 0.75) + dice.uniform(0.01, 0.1)


AGAIN_US = 500_000  # between a refusal and the next time that Windows asks
SYNS = (60, 60)  # bytes with headers of an attempt that is refused
UNANSWERED = (180, 180)  # of one that nobody answers: a SYN and two more
PATTERNS = (
    Pattern("AsyncRAT, server refuses", every(5, late=0.2), SYNS, fails=True, port=6606),
    Pattern("AsyncRAT, server refuses, Windows asks again", every(6, late=0.2), SYNS, fails=True,
            again=2, port=6606),
    Pattern("AsyncRAT, server silent", every(26, late=0.2), UNANSWERED, fails=True, refused=False,
            port=6606),
    Pattern("AsyncRAT at 443, server refuses", every(5, late=0.2), SYNS, fails=True),
    Pattern("AsyncRAT at 443, Windows asks again", every(6, late=0.2), SYNS, fails=True, again=2),
    Pattern("Quasar, server refuses", quasar, SYNS, fails=True, port=1337),
    Pattern("page polled every 5 s", every(5), (700, 760), (8, 17)),
    Pattern("page polled every 5 s, server away", every(5), SYNS, (8, 17), fails=True),
    Pattern("page polled every 5 s, server away, Windows asks again", every(5), SYNS, (8, 17),
            fails=True, again=2),
    Pattern("page polled every 5 s ± 0.1 s, server away", every(5, 0.1), SYNS, (8, 17), fails=True),
    Pattern("monitoring agent, 60 s", every(60, late=0.5), (1200, 1400)),
    Pattern("monitoring agent, 60 s, server away", every(60, late=0.5), SYNS, fails=True),
    Pattern("driver that retries every 5 s ± 0.5 s", every(5, 0.5), SYNS, fails=True, port=9100),
    Pattern("driver that retries every 6 s", every(6), SYNS, fails=True, port=9100),
    Pattern("driver that retries every 6 s, Windows asks again", every(6), SYNS, fails=True,
            again=2, port=9100),
    Pattern("driver that retries every 10 s", every(10), SYNS, fails=True, port=9100),
    Pattern("driver that retries every 15 s, server silent", every(15), UNANSWERED, fails=True,
            refused=False, port=9100),
    Pattern("driver that retries every 26 s", every(26), SYNS, fails=True, port=9100),
    Pattern("driver that retries every 30 s", every(30), SYNS, fails=True, port=9100),
    Pattern("driver that retries every 30 s, server silent", every(30), UNANSWERED, fails=True,
            refused=False, port=9100),
    Pattern("mail checked every 5 min", every(300, late=3), (900, 4000), (8, 17)),
    Pattern("update check, an hour ± 5 min", every(HOUR, 300), (2000, 2600)),
    Pattern("agent that backs off, server away", backing_off(1, 300), SYNS, fails=True),
    Pattern("person at one site", person, (600, 30_000), (8, 17)),
)  # fmt: skip
FAMILY_PORTS = frozenset({1337, 6606, 7707, 8808})
LONE = Surroundings(devices=1, named=False)  # the worst that a server can look like


def connections(pattern: Pattern, dice: random.Random, seconds: int) -> list[tuple[int, int]]:
    """Return start (UTC µs) and size of each connection of a span, at most within its hours."""
    begin, end = (hour * HOUR for hour in pattern.hours)
    end = min(end, begin + seconds)
    at, found = begin + dice.uniform(0, 5), []
    for gap in pattern.gaps(dice):
        if at >= end:
            break
        found.append((round((MIDNIGHT + at) * MICROSECONDS), dice.randint(*pattern.size)))
        at += gap
    return found


def rita(played: Sequence[tuple[int, int]]) -> int | None:
    """Return RITA's score in a day's data, in thousandths."""
    window = (MIDNIGHT * MICROSECONDS, (MIDNIGHT + DAY) * MICROSECONDS)
    found = beacon_score([start for start, _ in played], [size for _, size in played], window)
    return None if found is None else found.total


def loops(pattern: Pattern, played: Sequence[tuple[int, int]]) -> tuple[bool, bool]:
    """Say whether the failed attempts are a loop at any time, and whether that is an alert at an
    address that has no name here and one device."""
    attempts = Attempts()
    for number, (start, _) in enumerate(played):
        for again in range(pattern.again + 1):
            at = start + again * AGAIN_US
            attempts.failed(Attempt(at, pattern.port, 40_000 + number % 20_000, pattern.refused))
        loop = find_loop(attempts)
        if loop:
            evidence = tuple(loop_evidence(loop, attempts.ports, LONE, FAMILY_PORTS))
            return True, weigh(evidence, Thresholds()).verdict is Verdict.ALERT
    return False, False


def line(pattern: Pattern, draws: int) -> str:
    """Return a row of the table."""
    ours, shortly, daily, looped, told = [], [], [], 0, 0
    for seed in range(draws):
        dice = random.Random(f"{pattern.name} {seed}")
        short = connections(pattern, dice, TEN_MINUTES)
        day = connections(pattern, dice, DAY)
        ours.append(regularity([start for start, _ in day[-STARTS_KEPT:]]))
        shortly.append(rita(short))
        daily.append(rita(day))
        if pattern.fails:
            found, alerted = loops(pattern, short)
            looped, told = looped + found, told + alerted
    ends = f"{looped} of {draws} | {told} of {draws}" if pattern.fails else "answered | no"
    scores = f"{round(median(ours))} | {_middle(shortly)} | {_middle(daily)}"
    return f"| {pattern.name} | {scores} | {ends} |"


def _middle(scores: Sequence[int | None]) -> str:
    counted = [score for score in scores if score is not None]
    return f"{median(counted) / 1000:.3f}" if len(counted) * 2 > len(scores) else "none"


def told_at(port: int, around: Surroundings) -> str:
    """Return the points and verdict of a five-second loop at one port that no family uses."""
    attempts = Attempts()
    for number in range(6):
        attempts.failed(Attempt(number * 5 * MICROSECONDS, port, 40_000 + number, True))
    loop = find_loop(attempts)
    assert loop is not None
    evidence = tuple(loop_evidence(loop, attempts.ports, around, frozenset()))
    points, verdict = sum(fact.points for fact in evidence), weigh(evidence, Thresholds()).verdict
    return f"{points} points, {verdict.value}"


def main() -> int:
    """Print the table, and what a loop is worth in each surroundings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS)
    options = parser.parse_args()
    print("| pattern | regularity | RITA, 10 minutes | RITA, a day | loop found | alert |")
    print("|---|---|---|---|---|---|")
    print("| AsyncRAT, connected | 0 | none | none | answered | no |")
    for pattern in PATTERNS:
        print(line(pattern, options.draws), flush=True)
    for devices, named in ((1, False), (1, True), (2, True), (12, False), (12, True)):
        for port in (443, 9100):
            told = told_at(port, Surroundings(devices, named))
            print(f"loop at {port}, {devices} devices, named {named}: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
