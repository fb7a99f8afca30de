"""A ledger that is full, broken, gone or old: protection goes on, and the status says so."""

from dataclasses import replace

import pytest

from ratwall.controller import storage
from ratwall.controller.service import COUNTERS_US
from ratwall.controller.storage import RETENTION_BYTES
from ratwall.ledger import queries
from ratwall.ledger.store import FILE_NAME, Ledger, LedgerError, open_ledger
from unit.controller.box import (
    SERVER,
    Box,
    FakeInspector,
    Running,
    clean,
    eventually,
    report,
)
from unit.controller.reading import flows_written, only_incident

DAY_SECONDS = 86_400
SECOND = 1_000_000


def test_without_a_usable_disk_it_protects_and_says_that_nothing_is_kept(box: Box) -> None:
    full = True

    def opening() -> Ledger:
        if full:
            raise LedgerError("cannot open the ledger: database or disk is full")
        return open_ledger(box.state / FILE_NAME)

    box.open_ledger = opening
    running = Running(box)
    inspector = FakeInspector(box.state)
    inspector.send(report())
    eventually(lambda: box.sets.blocked)
    notice = running.call("status")["ledger"]["notice"]
    assert notice == "nothing is kept: cannot open the ledger: database or disk is full"

    full = False
    box.now += 61 * SECOND
    eventually(lambda: running.call("status")["ledger"]["notice"] is None)
    inspector.send(report(client_port=50_009))
    only_incident(box)  # it is written from now on
    inspector.close()
    running.stop()


def test_the_status_says_that_the_disk_is_full_before_a_row_is_refused(box: Box) -> None:
    running = Running(box)
    box.free_bytes = storage.SHORT_BYTES
    assert running.call("status")["ledger"]["notice"] is None
    box.free_bytes = storage.SHORT_BYTES - 1
    notice = running.call("status")["ledger"]["notice"]
    assert notice.startswith("the disk is full (33 MB left): the office is protected, but")
    running.stop()


def test_a_broken_ledger_is_set_aside_and_the_status_says_so(box: Box) -> None:
    (box.state / FILE_NAME).write_bytes(b"#" * 8192)
    running = Running(box)
    assert "was set aside as" in running.call("status")["ledger"]["notice"]
    running.stop()


def test_a_ledger_that_is_taken_away_under_it_is_started_anew(
    box: Box, running: Running, inspector: FakeInspector
) -> None:
    inspector.send(report())
    eventually(lambda: box.sets.blocked)
    for leftover in box.state.glob(f"{FILE_NAME}*"):
        leftover.unlink()
    box.now += 10 * SECOND
    eventually((box.state / FILE_NAME).exists)
    running.call("block", server=SERVER, server_port=7707, reason="mine")
    with box.reading() as ledger:
        assert len(queries.actions(ledger, box.now)) == 1


def test_what_a_killed_inspector_said_last_is_taken_in(box: Box) -> None:
    """It leaves without reading what it was told: the kernel says so before it gives its words."""
    running = Running(box)
    inspector = FakeInspector(box.state)
    for number in range(100):
        inspector.send(clean(client_port=number))
    inspector.close()
    eventually(lambda: flows_written(box) == 100)
    running.stop()


def test_what_waits_is_written_when_it_is_told_to_stop(box: Box) -> None:
    running = Running(box)
    inspector = FakeInspector(box.state)
    for number in range(100):
        inspector.send(clean(client_port=number))
    running.call("status")
    eventually(lambda: running.service.writer.waiting or flows_written(box) == 100)
    inspector.close()
    running.stop()
    assert flows_written(box) == 100
    assert not list((box.state / "run").iterdir())  # the sockets are gone


def test_old_history_is_forgotten_while_it_runs(box: Box, inspector: FakeInspector) -> None:
    inspector.send(clean())
    eventually(lambda: flows_written(box) == 1)
    box.now += (box.settings.ledger.retention_days + 1) * DAY_SECONDS * SECOND
    eventually(lambda: flows_written(box) == 0)


@pytest.mark.parametrize(("growth", "kept"), [(1, 0), (RETENTION_BYTES, 100)])
def test_a_ledger_that_grows_fast_is_held_to_its_limit_at_once(
    box: Box, monkeypatch: pytest.MonkeyPatch, growth: int, kept: int
) -> None:
    monkeypatch.setattr(storage, "RETENTION_BYTES", growth)
    limits = replace(box.settings.ledger, max_megabytes=0)  # whatever there is, is too much
    box.settings = replace(box.settings, ledger=limits)
    running = Running(box)
    inspector = FakeInspector(box.state)
    for number in range(100):  # a few pages of the file
        inspector.send(clean(client_port=50_000 + number))
    eventually(lambda: flows_written(box) == 100)
    box.sets.uninspected = 3
    box.now += COUNTERS_US  # long before the ten minutes are over
    eventually(lambda: running.call("status")["uninspected"]["packets"] == 3)
    eventually(lambda: flows_written(box) == kept)
    inspector.close()
    running.stop()
