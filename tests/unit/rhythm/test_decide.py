"""A period alone says nothing: what is told needs a second fact, and what is cut needs more."""

import pytest

from ratwall.rhythm.beats import SECOND, BeatLog
from ratwall.rhythm.decide import (
    PING_MOST,
    RARE_AGE_US,
    RARE_DEVICES,
    REDRAWN_BEATS,
    STEADY_BEATS,
    STOCK_BEATS,
    Circumstances,
    Decision,
    decide,
)
from ratwall.rhythm.records import SeenRecord
from ratwall.verdict.judge import Thresholds, Verdict, weigh

STOCK = (21, 69)
ANSWER_AFTER = 80_000
NEW_HERE = Circumstances(named=False, tls_version="TLS 1.3", devices=1, age=0)
KNOWN = Circumstances(named=True, tls_version="TLS 1.3", devices=9, age=RARE_AGE_US)


def beating(
    number: int, period: int = 12_345_000, shape: tuple[int, ...] = STOCK, answered: bool = True
) -> BeatLog:
    log = BeatLog()
    for beat in range(1, number + 1):
        at = beat * period
        log.take(at, [SeenRecord(23, length) for length in shape])
        if answered:
            answer = (*shape[:-1], 80)
            log.take(at + ANSWER_AFTER, [SeenRecord(23, length) for length in answer])
    return log


def verdict(decision: Decision | None) -> Verdict | None:
    return None if decision is None else weigh(decision.evidence, Thresholds()).verdict


@pytest.mark.parametrize(("beats", "found"), [(-1, False), (0, True), (1, True)])
def test_the_stock_rhythm_is_confirmed_at_its_fourth_beat(beats: int, found: bool) -> None:
    decision = decide(beating(STOCK_BEATS + beats), NEW_HERE)
    assert (decision is not None) == found
    if decision is not None:
        assert (decision.rule, verdict(decision)) == ("rhythm.stock", Verdict.BLOCK)


def test_a_known_named_server_may_beat_like_that() -> None:
    assert decide(beating(30), KNOWN) is None


@pytest.mark.parametrize(
    ("around", "expected"),
    [
        (Circumstances(named=False, tls_version="TLS 1.0", devices=9, age=RARE_AGE_US), "block"),
        (Circumstances(named=True, tls_version="TLS 1.0", devices=9, age=RARE_AGE_US), "alert"),
        (Circumstances(named=False, tls_version="TLS 1.3", devices=9, age=RARE_AGE_US), "alert"),
        (Circumstances(named=True, tls_version="TLS 1.3", devices=1, age=0), "alert"),
        (Circumstances(named=None, tls_version=None, devices=1, age=0), "alert"),
        (Circumstances(named=None), None),
        # 21 bytes are the length of four under TLS 1.3 alone.
        (Circumstances(named=False, tls_version="TLS 1.2", devices=1, age=0), "watch"),
    ],
)
def test_the_other_facts_decide(around: Circumstances, expected: str | None) -> None:
    shape = (32, 32, 32, 80) if around.old else STOCK
    log = beating(STEADY_BEATS, shape=shape)
    assert verdict(decide(log, around)) == expected


@pytest.mark.parametrize(
    ("around", "expected"),
    [
        (Circumstances(named=False, tls_version="TLS 1.0", devices=1, age=0), "block"),
        (Circumstances(named=False, tls_version="TLS 1.0", devices=9, age=RARE_AGE_US), "watch"),
        (NEW_HERE, "watch"),
    ],
)
def test_without_the_answers_answer_it_takes_all_the_others(
    around: Circumstances, expected: str
) -> None:
    log = beating(STOCK_BEATS, shape=(32, 32, 32, 80) if around.old else STOCK, answered=False)
    assert verdict(decide(log, around)) == expected


def test_a_redrawn_rhythm_is_nothing_without_answers() -> None:
    """Many programs have some message every ten to fifteen seconds."""
    log, at = BeatLog(), 0
    for gap in (10.1, 14.9, 12.2, 11.0, 13.7, 10.6, 14.2, 12.9, 10.3, 14.6, 11.8, 13.1, 10.9):
        log.take(at, [SeenRecord(23, length) for length in STOCK])
        at += round(gap * SECOND)
    assert log.events.length >= REDRAWN_BEATS
    assert decide(log, NEW_HERE) is None


@pytest.mark.parametrize(("over", "rule"), [(-1, "rhythm.stock"), (0, "rhythm.stock"), (1, None)])
def test_a_ping_is_short(over: int, rule: str | None) -> None:
    """What comes to the second by chance is as long as other messages."""
    log = beating(STOCK_BEATS, shape=(21, PING_MOST + over))
    found = decide(log, NEW_HERE)
    assert (None if found is None else found.rule) == rule


def test_the_first_message_may_be_longer() -> None:
    log = BeatLog()
    log.take(0, [SeenRecord(23, length) for length in (21, 1200)])
    for beat in range(1, STOCK_BEATS):
        for later, size in ((0, 69), (ANSWER_AFTER, 65)):
            log.take(beat * 12_345_000 + later, [SeenRecord(23, length) for length in (21, size)])
    assert verdict(decide(log, NEW_HERE)) == Verdict.BLOCK


@pytest.mark.parametrize("period", [2, 4, 5])
def test_a_faster_timer_is_not_taken_for_the_stock_rhythm(period: int) -> None:
    found = decide(beating(40, period * SECOND, answered=False), NEW_HERE)
    assert found is None or found.rule == "rhythm.steady"


@pytest.mark.parametrize(("beats", "found"), [(-1, False), (0, True), (1, True)])
def test_another_timer_is_told_when_nameless_and_new(beats: int, found: bool) -> None:
    log = beating(STEADY_BEATS + beats, 37 * SECOND, (26,), answered=False)
    decision = decide(log, NEW_HERE)
    assert (decision is not None) == found
    if decision is not None:
        assert (decision.rule, verdict(decision)) == ("rhythm.steady", Verdict.WATCH)


def test_a_keep_alive_of_a_known_server_is_nothing() -> None:
    log = beating(40, 12 * SECOND, (26,), answered=False)
    assert decide(log, KNOWN) is None
    named = Circumstances(named=True, tls_version="TLS 1.2", devices=1, age=0)
    assert decide(log, named) is None, "new, but named, and not the shape"


@pytest.mark.parametrize(
    ("devices", "age", "rare"),
    [
        (RARE_DEVICES, RARE_AGE_US - 1, True),
        (RARE_DEVICES + 1, RARE_AGE_US - 1, False),
        (RARE_DEVICES, RARE_AGE_US, False),
    ],
)
def test_rare_is_known_to_few_and_not_for_long(devices: int, age: int, rare: bool) -> None:
    assert Circumstances(devices=devices, age=age).rare == rare


def test_a_redrawn_rhythm_takes_twelve() -> None:
    log, at, gaps = BeatLog(), 0, (10.1, 14.9, 12.2, 11.0, 13.7, 10.6, 14.2, 12.9, 10.3, 14.6, 11.8)
    for number in range(REDRAWN_BEATS):
        for later, shape in ((0, STOCK), (ANSWER_AFTER, (21, 65))):
            log.take(at + later, [SeenRecord(23, length) for length in shape])
        found = decide(log, NEW_HERE)
        if number < REDRAWN_BEATS - 1:
            assert found is None
            at += round(gaps[number] * SECOND)
    assert found is not None
    assert (found.rule, verdict(found)) == ("rhythm.redrawn", Verdict.BLOCK)


def test_the_evidence_names_the_second_fact() -> None:
    decision = decide(beating(STOCK_BEATS), NEW_HERE)
    assert decision is not None
    ids = [item.id for item in decision.evidence]
    assert ids == ["rhythm.stock", "rhythm.shape", "rhythm.answered", "rhythm.no-name",
                   "rhythm.rare"]  # fmt: skip
    assert "4 times, every 12.3 seconds" in decision.evidence[0].text
