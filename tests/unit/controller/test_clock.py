"""The wall clock is set by hours: no loop is made up or missed, and no timer is lost."""

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ratwall.controller.clock import ASLEEP_US, STEP_US, ClockWatch
from ratwall.controller.proofs import WAIT_US, Proofs, Reported
from ratwall.controller.service import COUNTERS_US, YOUNG_US
from ratwall.ledger import queries
from ratwall.rhythm.beats import BeatLog
from ratwall.rhythm.records import SeenRecord
from ratwall.wire.tls.registry import ContentType
from unit.controller.box import (
    CLIENT,
    NOON,
    SERVER,
    Box,
    FakeInspector,
    Running,
    clean,
    eventually,
    report,
)
from unit.controller.office import MAC, SECOND, Office

HOUR = 3600 * SECOND
YEAR = 365 * 24 * HOUR
STEPS = (5 * HOUR, -5 * HOUR)


class Times:
    """Two clocks; `wall` can be set."""

    def __init__(self) -> None:
        self.wall, self.steady = NOON, 7 * HOUR
        self.watch = ClockWatch(lambda: self.wall, lambda: self.steady)

    def look(self, wall: int, steady: int) -> tuple[int, bool]:
        self.wall += wall
        self.steady += steady
        return self.watch.look()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_is_told_once_and_slewing_is_none(sign: int) -> None:
    times = Times()
    assert times.look(SECOND, SECOND) == (0, False)
    assert times.look(SECOND + sign * (STEP_US - 1), SECOND) == (0, False)
    assert times.look(SECOND + sign * STEP_US, SECOND) == (sign * STEP_US, False)
    assert times.look(SECOND, SECOND) == (0, False)
    assert times.look(sign * 5 * HOUR, 0) == (sign * 5 * HOUR, False)


def test_a_clock_that_is_slewed_for_a_day_is_never_told_of() -> None:
    times = Times()
    for _ in range(1000):
        assert times.look(100_050_000, 100_000_000)[0] == 0  # a two-thousandth fast


def test_who_slept_is_told_of() -> None:
    times = Times()
    assert times.look(ASLEEP_US - 1, ASLEEP_US - 1) == (0, False)
    assert times.look(ASLEEP_US, ASLEEP_US) == (0, True)
    assert times.look(0, ASLEEP_US) == (-ASLEEP_US, True)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.ledger.close()


def set_clock(office: Office, by: int) -> None:
    office.now += by
    for listener in office.listeners:
        listener.clock_set(by)


@pytest.mark.parametrize("by", STEPS)
def test_a_loop_goes_on_over_a_step(office: Office, by: int) -> None:
    office.loop(4)
    set_clock(office, by)
    office.loop(2)
    assert office.rules() == ["loop.five-seconds"]
    beats = office.found[0].facts["beats"]
    assert [later - one for one, later in pairwise(beats)] == [5 * SECOND] * 5
    office.loop(100)  # it is told again after an hour by the clock that goes on, not before
    assert office.rules().count("loop.five-seconds") == 1


@pytest.mark.parametrize("by", STEPS)
def test_no_loop_is_made_up_by_a_step(office: Office, by: int) -> None:
    """One attempt every five seconds would be a loop; these are apart by anything up to minutes."""
    drawn = random.Random(1)
    for number in range(60):
        office.end(port=443)
        office.now += round(drawn.uniform(6, 90) * SECOND)
        office.tick()
        if number % 7 == 3:
            set_clock(office, by if number % 2 else -by + 12_345_678)
    assert "loop.five-seconds" not in office.rules()
    assert "loop.three-seconds" not in office.rules()


@pytest.mark.parametrize("by", STEPS)
def test_failures_are_as_old_as_before(office: Office, by: int) -> None:
    office.loop(9)
    set_clock(office, by)
    office.loop(1)
    (finding,) = [one for one in office.found if one.rule == "model.failed-connections"]
    assert finding.facts["failures"] == 10
    office.restart()
    office.found.clear()
    office.now += 5 * SECOND
    office.loop(6)
    assert "loop.five-seconds" in office.rules()


@pytest.mark.parametrize("by", STEPS)
def test_a_rhythm_inside_a_connection_goes_on_over_a_step(by: int) -> None:
    log, at = BeatLog(), NOON
    beat = [SeenRecord(ContentType.APPLICATION_DATA, length) for length in (28, 60)]
    for _ in range(2):
        assert log.take(at, beat)
        at += 12 * SECOND
    log.clock_set(by)
    at += by
    for _ in range(2):
        assert log.take(at, beat)
        at += 12 * SECOND
    for times in (log.times, log.sent, log.events.times):
        assert [later - one for one, later in pairwise(times)] == [12 * SECOND] * 3


class Stepped:
    """A running controller whose clock can be set."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.steady = 0
        box.steady = lambda: self.steady
        self.running = Running(box)

    def pass_by(self, seconds: float) -> None:
        """Let both clocks go on; seen in between it is a step and the same step back."""
        self.box.now += round(seconds * SECOND)
        self.steady += round(seconds * SECOND)

    def turn(self) -> None:
        """Wait until the controller has looked at the clock."""
        self.running.call("status")
        self.running.call("status")


@pytest.fixture
def stepped(box: Box) -> Iterator[Stepped]:
    made = Stepped(box)
    yield made
    made.running.stop()


def times_of_actions(box: Box) -> dict[str, object]:
    with box.reading() as ledger:
        return {one["kind"]: one["expires"] for one in queries.actions(ledger, box.now)}


def first_seen(box: Box) -> list[int]:
    with box.reading() as ledger:
        return [int(row[0]) for row in ledger.sql("SELECT first_seen FROM device")]


@pytest.mark.parametrize("by", STEPS)
def test_a_block_has_the_time_left_that_it_had(box: Box, stepped: Stepped, by: int) -> None:
    stepped.running.call("block", server=SERVER, server_port=6606, seconds=3600, reason="mine")
    stepped.running.call("quarantine", device=CLIENT, seconds=3600)
    stepped.pass_by(600)
    box.sets.blocked.clear()  # whatever the kernel's own timers say
    box.sets.held.clear()
    box.now += by
    eventually(lambda: box.sets.blocked == {(SERVER, 6606): 3000})
    eventually(lambda: [one.seconds for one in box.sets.held] == [3000])
    left = dict.fromkeys(("block", "quarantine"), box.now + 3000 * SECOND)
    eventually(lambda: times_of_actions(box) == left)


@pytest.mark.parametrize("by", STEPS)
def test_what_is_done_every_few_seconds_goes_on(box: Box, stepped: Stepped, by: int) -> None:
    stepped.turn()
    box.now += by
    stepped.turn()
    box.sets.uninspected = 5
    stepped.pass_by(COUNTERS_US / SECOND)
    eventually(lambda: stepped.running.call("status")["uninspected"]["packets"] == 5)


@pytest.mark.parametrize("sleeps", [True, False], ids=["sleep", "step"])
def test_the_table_is_read_after_a_step_and_after_sleep(
    box: Box, stepped: Stepped, sleeps: bool
) -> None:
    stepped.turn()
    looks = box.watch.dumps
    if sleeps:
        stepped.pass_by(ASLEEP_US / SECOND)
    else:
        box.now += HOUR
    eventually(lambda: box.watch.dumps > looks)


@pytest.mark.parametrize(("age", "corrected"), [(0, True), (YOUNG_US, False)])
def test_a_clock_set_right_after_the_start_makes_nobody_old(
    box: Box, stepped: Stepped, age: int, corrected: bool
) -> None:
    inspector = FakeInspector(box.state)
    inspector.send(clean(mac=MAC))
    eventually(lambda: first_seen(box) == [NOON])
    inspector.close()
    stepped.running.service.started = NOON - age
    stepped.turn()
    looks = box.watch.dumps
    box.now += YEAR
    eventually(lambda: box.watch.dumps > looks)  # the step was seen
    stepped.turn()
    stepped.running.stop()
    assert first_seen(box) == [NOON + (YEAR if corrected else 0)]


def test_an_attempt_joins_its_incident_whatever_the_clock_says(box: Box, stepped: Stepped) -> None:
    """A day after it was opened by the clock, and a minute after it by the time that passed."""
    inspector = FakeInspector(box.state)
    inspector.send(report())
    eventually(lambda: len(incidents(box)) == 1)
    looks = box.watch.dumps
    box.now += 25 * HOUR
    eventually(lambda: box.watch.dumps > looks)  # the step was seen
    stepped.pass_by(60)
    inspector.send(report(client_port=50_001))
    eventually(lambda: [one["count"] for one in incidents(box)] == [2])
    (one,) = incidents(box)
    assert (one["opened"], one["updated"]) == (NOON + 25 * HOUR, box.now)
    inspector.close()


@pytest.mark.parametrize("by", STEPS)
def test_an_incident_of_an_earlier_life_stays_when_it_was(box: Box, by: int) -> None:
    """It was opened by a clock that was right as far as anybody knows."""
    first = Running(box)
    inspector = FakeInspector(box.state)
    inspector.send(report())
    eventually(lambda: len(incidents(box)) == 1)
    inspector.close()
    first.stop()
    box.now += SECOND
    second = Stepped(box)
    looks = box.watch.dumps
    box.now += by
    eventually(lambda: box.watch.dumps > looks)
    second.running.stop()
    assert [one["opened"] for one in incidents(box)] == [NOON]


@pytest.mark.parametrize("by", [YEAR, -YEAR])
def test_the_verdict_memory_outlives_a_step_of_a_year(box: Box, stepped: Stepped, by: int) -> None:
    """It lasts a month: a clock that is put right must not make it old, here or in inspectors."""
    inspector = FakeInspector(box.state)
    inspector.send(report())
    (learned,) = inspector.receive_until("memory")["entries"]
    box.now += by
    told = inspector.receive_until("clock")
    assert told == {"type": "clock", "by": by, "since": NOON, "until": NOON}
    stepped.turn()
    assert stepped.running.service.remembers(SERVER, 6606)
    inspector.close()
    fresh = FakeInspector(box.state)
    assert fresh.receive_until("memory")["entries"] == [{**learned, "learned": NOON + by}]
    fresh.close()
    stepped.running.stop()
    again = Running(box)
    assert again.service.remembers(SERVER, 6606)
    again.stop()


@pytest.mark.parametrize("by", STEPS)
def test_a_proof_waits_for_its_report_as_long_as_before(by: int) -> None:
    line = Proofs()
    ends = CLIENT, 50_000, SERVER, 6606
    line.prove(ends, NOON)
    line.clock_set(by)
    assert line.report(ends, Reported(5, 2), NOON + by + WAIT_US - 1)
    line.prove(ends, NOON)
    line.clock_set(by)
    assert not line.report(ends, Reported(5, 2), NOON + by + WAIT_US)


def incidents(box: Box) -> list[dict[str, Any]]:
    with box.reading() as ledger:
        return queries.incidents(ledger)
