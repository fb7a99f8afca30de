"""Fixed sleeps between failed attempts: told apart from patience, chance and slow timers."""

import random

import pytest

from ratwall.loops.attempts import (
    ASKS_AGAIN_US,
    ENOUGH,
    FAILS_SOON_US,
    KEPT,
    PATIENCE_US,
    ROUND_TRIP_US,
    SAME_ATTEMPT_US,
    SECOND,
    SLEEP_EARLY_US,
    STEADY_US,
    Attempt,
    Attempts,
    Surroundings,
    find_loop,
    loop_evidence,
)
from ratwall.verdict.judge import Thresholds, Verdict, weigh

PORTS = frozenset({6606, 7707, 8808})


def tried(*gaps: float, ports: tuple[int, ...] = (6606,), refused: bool = True) -> Attempts:
    attempts, at = Attempts(), 0
    for number, gap in enumerate((0.0, *gaps)):
        at += round(gap * SECOND)
        attempts.failed(Attempt(at, ports[number % len(ports)], 50_000 + number, refused))
    return attempts


def rule(attempts: Attempts) -> str | None:
    found = find_loop(attempts)
    return None if found is None else found.rule


@pytest.mark.parametrize(("more", "found"), [(-1, None), (0, "loop.five-seconds"),
                                            (1, "loop.five-seconds")])  # fmt: skip
def test_six_attempts_are_enough(more: int, found: str | None) -> None:
    assert rule(tried(*[5.002] * (ENOUGH - 1 + more))) == found


@pytest.mark.parametrize(("refused", "fails_after"), [
    (True, 0.0), (True, 0.03), (True, 0.5), (False, 0.05), (False, 2.0), (False, 21.0),
])  # fmt: skip
def test_the_time_to_fail_is_part_of_the_gap(refused: bool, fails_after: float) -> None:
    dice = random.Random(1)
    gaps = [5 + fails_after + dice.uniform(0, 0.1) for _ in range(ENOUGH - 1)]
    assert rule(tried(*gaps, refused=refused)) == "loop.five-seconds"


@pytest.mark.parametrize("gap", [6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 26.0, 30.0, 35.0])
def test_who_is_refused_at_once_and_sleeps_for_longer_is_another(gap: float) -> None:
    assert rule(tried(*[gap] * 12)) is None


@pytest.mark.parametrize("gap", [9.0, 10.0, 15.0, 20.0, 30.0, 35.0])
def test_without_an_answer_it_takes_the_patience_of_a_system(gap: float) -> None:
    assert rule(tried(*[gap] * 12, refused=False)) is None


FOUND = "loop.five-seconds"
LIMITS = [
    (True, -SLEEP_EARLY_US, -1, None), (True, -SLEEP_EARLY_US, 0, FOUND),
    (True, -SLEEP_EARLY_US, 1, FOUND),
    (True, ROUND_TRIP_US, -1, FOUND), (True, ROUND_TRIP_US, 0, FOUND),
    (True, ROUND_TRIP_US, 1, None),
    (False, FAILS_SOON_US, -1, FOUND), (False, FAILS_SOON_US, 0, FOUND),
    (False, FAILS_SOON_US, 1, None),
    (False, PATIENCE_US[0], -1, None), (False, PATIENCE_US[0], 0, FOUND),
    (False, PATIENCE_US[0], 1, FOUND),
    (False, PATIENCE_US[1], -1, FOUND), (False, PATIENCE_US[1], 0, FOUND),
    (False, PATIENCE_US[1], 1, None),
]  # fmt: skip


@pytest.mark.parametrize(("refused", "failed", "over", "found"), LIMITS)
def test_a_gap_has_its_bounds(refused: bool, failed: int, over: int, found: str | None) -> None:
    gap = 5 + (failed + over) / SECOND
    assert rule(tried(*[gap] * (ENOUGH - 1), refused=refused)) == found


def test_one_short_gap_speaks_against_a_sleep_for_as_long_as_it_is_remembered() -> None:
    """A timer with a jitter has five steady gaps in a row now and then, and short ones before."""
    steady = [5.1] * (ENOUGH - 1)
    assert rule(tried(4.7, *steady)) is None
    assert rule(tried(4.7, *[5.1] * KEPT)) == FOUND


@pytest.mark.parametrize(("after", "attempts"), [(-1, 1), (0, 2), (1, 2)])
def test_a_system_that_asks_again_by_itself_makes_no_attempt(after: int, attempts: int) -> None:
    """Windows sends a SYN that was refused twice more, from the same port."""
    found = Attempts()
    assert found.failed(Attempt(0, 6606, 50_000, True))
    again = found.failed(Attempt(SAME_ATTEMPT_US + after, 6606, 50_000, True))
    assert (again, len(found.tries)) == (attempts == 2, attempts)
    assert found.failed(Attempt(SECOND, 6606, 50_001, True)), "another port is another attempt"


def test_a_loop_is_found_although_the_system_asks_again() -> None:
    found = Attempts()
    for number in range(ENOUGH):
        for again in (0, SECOND // 2, SECOND):
            found.failed(Attempt(number * 6_020_000 + again, 6606, 50_000 + number, True))
    assert rule(found) == FOUND


def asking_again(gap: float, *, times: int = 2) -> Attempts:
    """Attempts of a system that asks a server that refuses again, half a second apart."""
    found = Attempts()
    for number in range(ENOUGH):
        for again in range(times + 1):
            at = round(number * gap * SECOND) + again * SECOND // 2
            found.failed(Attempt(at, 443, 50_000 + number, True))
    return found


@pytest.mark.parametrize(
    ("gap", "times", "found"),
    [
        (5.02, 0, FOUND),  # refused at once
        (6.02, 2, FOUND),  # the sleep begins when the last of three is refused
        (7.02, 4, FOUND),
        (5.02, 2, None),  # a timer of five seconds: it slept for four
        (6.02, 0, None),  # a timer of six seconds: nothing says that it failed for one
        (7.02, 2, FOUND),  # as if the system had waited for one more
        (7.2, 2, None),
    ],
)
def test_the_sleep_is_what_follows_when_the_system_has_asked_last(
    gap: float, times: int, found: str | None
) -> None:
    assert rule(asking_again(gap, times=times)) == found


@pytest.mark.parametrize(("over", "found"), [(-1, FOUND), (0, FOUND), (1, None)])
def test_what_is_not_seen_of_a_refusal_has_its_bound(over: int, found: str | None) -> None:
    rest = (ROUND_TRIP_US + ASKS_AGAIN_US + over) / SECOND
    assert rule(asking_again(6 + rest)) == found


@pytest.mark.parametrize("repeats", [0, 2])
def test_a_sleep_that_was_seen_is_a_fact_of_its_own(repeats: int) -> None:
    """So AsyncRAT at a web port whose server refuses is an alert; a page on a timer is none."""
    loop = find_loop(asking_again(5.02 + repeats / 2, times=repeats))
    assert loop is not None
    evidence = tuple(loop_evidence(loop, (443,), Surroundings(devices=1, named=False), PORTS))
    assert ("loop.sleep" in {fact.id for fact in evidence}) is (repeats > 0)
    verdict = Verdict.ALERT if repeats else Verdict.WATCH
    assert weigh(evidence, Thresholds()).verdict is verdict
    named = tuple(loop_evidence(loop, (443,), Surroundings(devices=1, named=True), PORTS))
    assert weigh(named, Thresholds()).verdict is Verdict.WATCH


def test_quasar_s_system_asks_again_too() -> None:
    dice, found, at = random.Random(3), Attempts(), 0
    for number in range(ENOUGH):
        for again in (0, SECOND // 2, SECOND):
            found.failed(Attempt(at + again, 4782, 50_000 + number, True))
        at += SECOND + round((3.04 + dice.uniform(0.25, 0.75)) * SECOND)
    assert rule(found) == "loop.three-seconds"


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
        (30, 30, 30, 30, 30, 30),  # a driver
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
        last = broken.tries[-1]
        broken.failed(Attempt(last.start + 5 * SECOND, 6606, last.source_port + 1, True))
    assert rule(broken) == "loop.five-seconds"


def test_an_answer_ends_it() -> None:
    attempts = tried(5, 5, 5, 5, 5)
    attempts.succeeded()
    attempts.failed(Attempt(60 * SECOND, 6606, 50_000, True))
    assert rule(attempts) is None


def test_attempts_may_be_told_out_of_order() -> None:
    """One that is never answered is told of when the kernel forgets it, two minutes later."""
    attempts = Attempts()
    for start in (0, 10, 5, 20, 15, 25):
        attempts.failed(Attempt(start * SECOND, 6606, 50_000 + start, False))
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
        ((443,), 1, False, Verdict.WATCH),  # a page that is asked for again and again
        ((443,), 1, True, Verdict.WATCH),  # an update server that is away
        ((443,), 9, False, Verdict.WATCH),
        ((443,), 9, True, Verdict.WATCH),
    ],
)
def test_a_loop_alone_is_no_incident_and_never_blocks(
    ports: tuple[int, ...], devices: int, named: bool, expected: Verdict
) -> None:
    assert verdict(tried(*FIVE, ports=ports), devices, named) == expected
