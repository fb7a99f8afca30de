"""Fixed sleeps between failed attempts: told apart from patience, chance and slow timers."""

import random

import pytest

from ratwall.loops.attempts import (
    ENOUGH,
    KEPT,
    SECOND,
    STEADY_US,
    Attempts,
    Surroundings,
    find_loop,
    loop_evidence,
)
from ratwall.verdict.judge import Thresholds, Verdict, weigh

PORTS = frozenset({6606, 7707, 8808})


def tried(*gaps: float, ports: tuple[int, ...] = (6606,)) -> Attempts:
    attempts, at = Attempts(), 0
    for number, gap in enumerate((0.0, *gaps)):
        at += round(gap * SECOND)
        attempts.failed(at, ports[number % len(ports)])
    return attempts


def rule(attempts: Attempts) -> str | None:
    found = find_loop(attempts)
    return None if found is None else found.rule


@pytest.mark.parametrize(("more", "found"), [(-1, None), (0, "loop.five-seconds"),
                                            (1, "loop.five-seconds")])  # fmt: skip
def test_six_attempts_are_enough(more: int, found: str | None) -> None:
    assert rule(tried(*[5.002] * (ENOUGH - 1 + more))) == found


@pytest.mark.parametrize("fails_after", [0.0, 0.03, 1.0, 21.0])
def test_the_time_to_fail_is_part_of_the_gap(fails_after: float) -> None:
    dice = random.Random(1)
    gaps = [5 + fails_after + dice.uniform(0, 0.1) for _ in range(ENOUGH - 1)]
    assert rule(tried(*gaps)) == "loop.five-seconds"


def test_quasars_three_seconds_and_a_random_part() -> None:
    dice = random.Random(2)
    gaps = [3 + dice.uniform(0.25, 0.75) + 0.05 for _ in range(ENOUGH - 1)]
    assert rule(tried(*gaps)) == "loop.three-seconds"


@pytest.mark.parametrize(
    "gaps",
    [
        (1, 2, 4, 8, 16, 32, 64),  # who waits longer each time
        (60, 60, 60, 60, 60, 60),  # a program that asks every minute
        (1, 1, 1, 1, 1, 1),
        (5, 9, 6, 14, 5, 7),
        (5.0, 5.0, 5.0, 5.0, 5.0 + STEADY_US / SECOND + 0.001),
        (4.9, 4.9, 4.9, 4.9, 4.9),  # a sleep is never short
    ],
)
def test_what_is_no_loop(gaps: tuple[float, ...]) -> None:
    assert rule(tried(*gaps)) is None


@pytest.mark.parametrize(("over", "found"), [(-1, "loop.five-seconds"), (0, "loop.five-seconds"),
                                             (1, None)])  # fmt: skip
def test_gaps_may_differ_a_little(over: int, found: str | None) -> None:
    assert rule(tried(5.1, 5.1, 5.1, 5.1, 5.1 + (STEADY_US + over) / SECOND)) == found


def test_a_pause_starts_the_count_anew() -> None:
    """The device slept, or the clock was set: one gap breaks the loop, six attempts make it."""
    broken = tried(5, 5, 5, 3600, 5, 5, 5)
    assert rule(broken) is None
    for _ in range(2):
        broken.failed(broken.tries[-1][0] + 5 * SECOND, 6606)
    assert rule(broken) == "loop.five-seconds"


def test_an_answer_ends_it() -> None:
    attempts = tried(5, 5, 5, 5, 5)
    attempts.succeeded()
    attempts.failed(60 * SECOND, 6606)
    assert rule(attempts) is None


def test_attempts_may_be_told_out_of_order() -> None:
    """One that is never answered is told of when the kernel forgets it, two minutes later."""
    attempts = Attempts()
    for start in (0, 10, 5, 20, 15, 25):
        attempts.failed(start * SECOND, 6606)
    assert rule(attempts) == "loop.five-seconds"


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_newest_attempts_are_kept(more: int) -> None:
    attempts = tried(*[7.0] * (KEPT - 1 + more))
    assert len(attempts.tries) == min(KEPT, KEPT + more)


def verdict(attempts: Attempts, devices: int | None, named: bool) -> Verdict:
    loop = find_loop(attempts)
    assert loop is not None
    around = Surroundings(devices, named)
    evidence = tuple(loop_evidence(loop, attempts.ports, around, PORTS))
    return weigh(evidence, Thresholds()).verdict


FIVE = [5.0] * (ENOUGH - 1)


@pytest.mark.parametrize(
    ("ports", "devices", "named", "expected"),
    [
        ((6606, 7707, 8808), 1, False, Verdict.ALERT),
        ((6606,), 1, False, Verdict.ALERT),
        ((4711,), 1, False, Verdict.ALERT),
        ((443,), 1, True, Verdict.WATCH),  # an update server that is away
        ((443,), 9, False, Verdict.WATCH),
        ((443,), 9, True, Verdict.WATCH),
    ],
)
def test_a_loop_alone_is_no_incident_and_never_blocks(
    ports: tuple[int, ...], devices: int, named: bool, expected: Verdict
) -> None:
    assert verdict(tried(*FIVE, ports=ports), devices, named) == expected
