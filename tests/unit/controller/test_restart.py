"""What holds over a restart of the controller or of the box."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from ratwall.kernel.marks import FlowClass
from ratwall.ledger import queries
from ratwall.ledger.store import FILE_NAME, open_ledger
from unit.controller.box import (
    CLIENT,
    NOON,
    SERVER,
    Box,
    FakeInspector,
    Running,
    clean,
    eventually,
    proof,
    report,
)
from unit.controller.reading import only_incident

DAY_SECONDS = 86_400
SECOND = 1_000_000


def test_what_the_kernel_let_pass_uninspected_is_counted_over_restarts(
    box: Box,
) -> None:
    def missed() -> dict[str, Any]:
        box.now += 10 * SECOND  # the kernel is asked every few seconds
        found: dict[str, Any] = running.call("status")["uninspected"]
        return found

    box.sets.uninspected = 5
    running = Running(box)
    eventually(lambda: missed()["packets"] == 5)
    box.sets.uninspected = 7
    eventually(lambda: missed()["packets"] == 7)
    when = missed()["last"]
    assert NOON < when < box.now
    running.stop()

    box.sets.uninspected = 8  # one more while the controller was away
    running = Running(box)
    eventually(lambda: missed()["packets"] == 8)
    box.sets.uninspected = 2  # a new table counts from nothing
    eventually(lambda: missed()["packets"] == 10)
    running.stop()
    with box.reading() as ledger:
        assert (
            sum(hour["uninspected"] for hour in queries.dashboard(ledger, box.now)["hours"]) == 10
        )


def test_blocks_and_allows_survive_a_restart_with_the_time_they_had_left(box: Box) -> None:
    first = Running(box)
    first.call("block", server=SERVER, server_port=6606, seconds=3600, reason="mine")
    first.call("block", server=SERVER, server_port=7707, seconds=60, reason="short")
    first.call("allow", server=SERVER, server_port=443, reason="mine")
    first.call("allow", server=SERVER, server_port=80, device=CLIENT, seconds=600, reason="mine")
    first.stop()
    box.sets.blocked, box.sets.allowed = {}, {}  # a reboot
    box.now += 100 * SECOND + 1

    second = Running(box)
    assert box.sets.blocked == {(SERVER, 6606): 3500}  # rounded up to whole seconds
    assert box.sets.allowed == {(None, SERVER, 443): None, (CLIENT, SERVER, 80): 500}
    second.stop()


def test_what_the_kernel_refuses_at_the_start_is_tried_again(box: Box) -> None:
    first = Running(box)
    first.call("block", server=SERVER, server_port=6606, seconds=3600, reason="mine")
    first.call("allow", server=SERVER, server_port=443, reason="mine")
    first.stop()
    box.sets.blocked, box.sets.allowed = {}, {}
    box.sets.broken = True

    second = Running(box)
    box.now += 10 * SECOND
    eventually(lambda: "nft" in (second.call("status")["kernel_problem"] or ""))
    assert (box.sets.blocked, box.sets.allowed) == ({}, {})
    box.sets.broken = False
    box.now += 10 * SECOND
    eventually(lambda: box.sets.allowed == {(None, SERVER, 443): None})
    assert box.sets.blocked == {(SERVER, 6606): 3580}
    eventually(lambda: second.call("status")["kernel_problem"] is None)
    second.stop()


def test_a_block_tried_again_does_not_shorten_one_that_came_meanwhile(box: Box) -> None:
    first = Running(box)
    first.call("block", server=SERVER, server_port=6606, seconds=3600, reason="mine")
    first.stop()
    box.sets.broken = True
    second = Running(box)
    eventually(lambda: "counters" in (second.call("status")["kernel_problem"] or ""))  # one turn
    box.sets.broken = False
    inspector = FakeInspector(box.state)
    inspector.send(report())  # a rule's block of a day
    eventually(lambda: box.sets.blocked == {(SERVER, 6606): DAY_SECONDS})
    box.now += 10 * SECOND
    eventually(lambda: box.sets.blocked == {(SERVER, 6606): DAY_SECONDS - 10})
    inspector.close()
    second.stop()


def test_of_two_blocks_of_a_server_the_longer_one_holds_after_a_restart(box: Box) -> None:
    first = Running(box)
    inspector = FakeInspector(box.state)
    inspector.send(report())  # a day
    eventually(lambda: box.sets.blocked)
    first.call("block", server=SERVER, server_port=6606, seconds=2 * DAY_SECONDS, reason="mine")
    inspector.close()
    first.stop()
    box.sets.blocked = {}
    second = Running(box)
    assert box.sets.blocked == {(SERVER, 6606): 2 * DAY_SECONDS}
    second.stop()


def test_an_incident_goes_on_after_a_restart(box: Box) -> None:
    for port in (6606, 7707):
        running = Running(box)
        inspector = FakeInspector(box.state)
        inspector.send(report(server_port=port))
        eventually(lambda port=port: (SERVER, port) in box.sets.blocked)
        inspector.close()
        running.stop()
    assert only_incident(box)["count"] == 2


def test_copying_the_state_directory_copies_the_story(box: Box, tmp_path: Path) -> None:
    running = Running(box)
    running.call("block", server=SERVER, server_port=6606, reason="mine")
    running.stop()
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(box.state / FILE_NAME, copy / FILE_NAME)  # one file after a clean stop
    with open_ledger(copy / FILE_NAME, read_only=True) as ledger:
        assert len(queries.actions(ledger, box.now)) == 1


def test_what_ended_while_nobody_listened_has_ended_and_what_runs_goes_on(box: Box) -> None:
    first = Running(box)
    inspector = FakeInspector(box.state)
    for port in (50_000, 50_001):
        inspector.send(clean(client_port=port))
    with box.reading() as ledger:
        eventually(lambda: len(queries.flows(ledger)) == 2)
    inspector.close()
    first.stop()

    box.now += 60 * SECOND
    event = proof(destination_port=443, source_port=50_001, flow_class=FlowClass.CLEAN)
    box.watch.table = [event]
    second = Running(box)
    second.call("status")

    def ends() -> dict[int, int | None]:
        with box.reading() as ledger:
            return {flow["client_port"]: flow["end"] for flow in queries.flows(ledger)}

    eventually(lambda: ends() == {50_000: box.now, 50_001: None})
    box.now += 5 * SECOND
    box.watch.show(replace(event, ended=True))
    eventually(lambda: ends()[50_001] == box.now)
    second.stop()
