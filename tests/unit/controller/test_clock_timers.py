"""Every part that keeps a time for later waits as long as before when the clock is set."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ratwall.controller.capacity import LOOK_US
from ratwall.controller.lookups import HOURLY_LIMIT, KILL_US, _Asked
from ratwall.controller.observation import READ_AGAIN_US
from ratwall.controller.policies import WAIT_US
from ratwall.controller.protection import SILENT_US, STARTING_US, Protection
from ratwall.kernel.crowding import Stage
from ratwall.kernel.marks import FlowClass
from unit.controller import test_captures, test_lookups, test_policies
from unit.controller.box import CLIENT, SERVER, Box, FakeInspector, Running, eventually
from unit.controller.test_capacity import Table
from unit.controller.test_observation import ENDS, Kernel, event, make

SECOND = 1_000_000
HOUR = 3600 * SECOND
COUNTERS = {"queued": 9, "flows": 8, "blocked": 7, "reports_lost": 6, "uptime_s": 5}
steps = pytest.mark.parametrize("by", [5 * HOUR, -5 * HOUR], ids=["forward", "back"])


@steps
def test_a_relay_is_told_after_three_seconds(by: int) -> None:
    office = test_policies.Office()
    office.watch.take_event(test_policies.EVENT)
    office.now += by
    office.watch.clock_set(by)
    office.passes(WAIT_US - 1)
    assert office.found == []
    office.passes(1)
    assert len(office.found) == 1
    office.now += by
    office.watch.clock_set(by)
    office.watch.take_event(replace(test_policies.EVENT, source_port=50_001))
    office.passes(WAIT_US)
    assert len(office.found) == 1, "it was told a moment ago, whatever the clock says"


@steps
def test_what_passed_uninspected_is_read_again_five_seconds_later(by: int) -> None:
    kernel = Kernel()
    observation = make(kernel)
    kernel.classes = {ENDS: FlowClass.UNINSPECTED}
    observation.follow(inspected=True)
    kernel.now += HOUR
    observation.follow(inspected=True)  # what an inspector that has come is owed is done
    kernel.classes = {ENDS: FlowClass.UNINSPECTED}
    observation.take_event(event(FlowClass.UNINSPECTED))
    kernel.now += by
    observation.clock_set(by)
    kernel.now += READ_AGAIN_US - 1
    observation.follow(inspected=True)
    assert kernel.classes == {ENDS: FlowClass.UNINSPECTED}
    kernel.now += 1
    observation.follow(inspected=True)
    assert kernel.classes == {ENDS: FlowClass.NONE}


@steps
def test_the_conntrack_table_is_watched(by: int) -> None:
    table = Table()
    assert table.at(100) is Stage.CALM
    table.now += by
    table.capacity.clock_set(by)
    table.count = 900
    table.capacity.look(table.now + LOOK_US - 1)
    assert table.capacity.stage is Stage.CALM
    table.capacity.look(table.now + LOOK_US)
    assert table.capacity.stage is Stage.FULL


@steps
def test_a_capture_runs_as_long_as_was_asked_for(tmp_path: Path, by: int) -> None:
    desk = test_captures.Desk(tmp_path)
    desk.captures.switch_on(CLIENT, 60, "root", "")
    desk.now += by
    desk.captures.clock_set(by)
    desk.now += 60 * SECOND - 1
    desk.captures.tick(desk.now)
    assert len(desk.captures.listing()) == 1
    desk.now += 1
    desk.captures.tick(desk.now)
    assert desk.captures.listing() == []
    desk.books.ledger.close()


@steps
def test_a_look_up_that_hangs_is_ended_and_no_more_are_made_than_may_be(
    tmp_path: Path, by: int
) -> None:
    desk = test_lookups.Desk(tmp_path / "ledger.sqlite3")
    lookups = desk.lookups
    lookups._started.extend(desk.now + number for number in range(HOURLY_LIMIT))
    desk.now += by
    lookups.clock_set(by)
    desk.now += HOUR - 1
    lookups.tick(desk.now)
    assert len(lookups._started) == HOURLY_LIMIT
    desk.now += HOURLY_LIMIT
    lookups.tick(desk.now)
    assert len(lookups._started) == 0
    child = test_lookups.FakeChild(b"")
    child.code = None
    asked = ("192.168.1.10", 1, SERVER, 443)
    lookups._running = (_Asked(asked, None), child, desk.now)
    desk.now += by
    lookups.clock_set(by)
    lookups.tick(desk.now + KILL_US)
    assert not child.killed
    lookups.tick(desk.now + KILL_US + 1)
    assert child.killed
    desk.books.ledger.close()


@steps
def test_a_box_is_starting_for_as_long_as_before(by: int) -> None:
    protection = Protection(started=0)
    protection.clock_set(by)
    for after, state in ((-1, "starting"), (0, "bypassed")):
        now = by + STARTING_US + after
        protection.update(alive=0, connected=0, rules=True, enforce=True, now=now)
        assert protection.state == state


@pytest.fixture
def talking(box: Box) -> Iterator[tuple[Running, list[int]]]:
    """A controller that has heard of an inspector, and its clock that nobody can set."""
    steady = [0]
    box.steady = lambda: steady[0]
    running = Running(box)
    inspector = FakeInspector(box.state)
    inspector.send({"type": "status", "worker": 0, "pid": 77, **COUNTERS})
    yield running, steady
    inspector.close()
    running.stop()


@steps
def test_an_inspector_was_heard_of_as_long_ago_as_before(
    box: Box, talking: tuple[Running, list[int]], by: int
) -> None:
    running, steady = talking
    eventually(lambda: running.call("status")["state"] == "protecting")
    before = running.call("status")["interruptions"]
    box.now += by
    after = running.call("status")
    assert (after["state"], after["interruptions"]) == ("protecting", before)
    box.now += SILENT_US
    steady[0] += SILENT_US
    eventually(lambda: running.call("status")["state"] == "bypassed")
