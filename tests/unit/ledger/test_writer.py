"""Writing: batches, ids before the disk, repeats recognised, and disks that fail."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratwall.ledger import queries, writer
from ratwall.ledger.models import Certificate, Device, Flow, HourlyRollup, Note
from ratwall.ledger.store import FILE_NAME, Ledger, open_ledger
from ratwall.ledger.writer import HOUR, SEEN_US, LedgerWriter

MAC = "02:00:00:00:00:01"


def test_a_flow_is_on_the_disk_after_the_flush_and_not_before(
    ledger: Ledger, writer: LedgerWriter, flow: dict[str, Any], now: int
) -> None:
    flow["device"] = writer.device(MAC, "192.168.1.10", now)
    flow_id = writer.insert(Flow, flow, spare=True)
    writer.update(Flow, flow_id, {"proven": True})
    assert queries.flows(ledger) == []
    assert writer.waiting > 0

    assert writer.flush()

    (written,) = queries.flows(ledger)
    assert written["id"] == flow_id
    assert written["proven"] is True
    assert written["device"] == {"id": 1, "mac": MAC, "address": "192.168.1.10", "name": None}
    assert writer.waiting == 0


def test_rows_that_are_written_together_may_name_their_columns_in_any_order(
    ledger: Ledger, writer: LedgerWriter, flow: dict[str, Any], now: int
) -> None:
    flow["device"] = writer.device(MAC, "192.168.1.10", now)
    ports = [50_000, 50_001, 50_002, 50_003]
    for port in ports:
        row = {**flow, "client_port": port}
        writer.insert(Flow, row if port % 2 else dict(reversed(row.items())))
    assert writer.flush()
    written = queries.flows(ledger)
    assert sorted(row["client_port"] for row in written) == ports
    assert {row["server"] for row in written} == {flow["server"]}


def test_ids_go_on_after_a_restart(path: Path, flow: dict[str, Any], now: int) -> None:
    ids = []
    for _ in range(2):
        with open_ledger(path) as ledger:
            writer = LedgerWriter(ledger)
            flow["device"] = writer.device(MAC, "192.168.1.10", now)
            ids.append(writer.insert(Flow, flow))
            writer.flush()
    assert ids == [1, 2]


def test_a_device_is_its_mac_wherever_it_is(ledger: Ledger, writer: LedgerWriter, now: int) -> None:
    first = writer.device(MAC, "192.168.1.10", now)
    moved = writer.device(MAC, "192.168.1.77", now + 5)
    other = writer.device("02:00:00:00:00:02", "192.168.1.10", now)
    assert first == moved != other
    writer.flush()
    row = ledger.row(Device.select().where(Device.id == first))
    assert row is not None
    assert (row["address"], row["first_seen"], row["last_seen"]) == ("192.168.1.77", now, now + 5)


def test_what_is_told_of_an_address_is_told_of_the_device_that_has_it_now(
    writer: LedgerWriter, now: int
) -> None:
    """Before the rows are written, and after somebody else has got the address."""
    first = writer.device("02:00:00:00:00:01", "192.168.1.10", now)
    assert writer.device(None, "192.168.1.10", now) == first
    second = writer.device("02:00:00:00:00:02", "192.168.1.10", now)
    assert second != first
    assert writer.device(None, "192.168.1.10", now) == second


def test_a_device_known_by_address_alone_gets_its_mac_when_it_shows(
    ledger: Ledger, now: int
) -> None:
    before = LedgerWriter(ledger)
    nameless = before.device(None, "192.168.1.10", now)
    before.flush()
    after = LedgerWriter(ledger)
    assert after.device(MAC, "192.168.1.10", now) == nameless
    after.flush()
    assert [device["mac"] for device in queries.devices(ledger)] == [MAC]


def test_a_certificate_is_kept_once_and_its_der_when_it_comes(
    ledger: Ledger, writer: LedgerWriter, certificate: dict[str, Any], now: int
) -> None:
    bare = writer.certificate(certificate, None, now)
    writer.flush()
    again = LedgerWriter(ledger)
    assert again.certificate(certificate, b"0\x82", now + 1) == bare
    again.flush()
    assert again.certificate(certificate, None, now + SEEN_US + 1) == bare
    again.flush()
    (row,) = ledger.rows(Certificate.select())
    assert (row["der"], row["first_seen"], row["last_seen"]) == (b"0\x82", now, now + SEEN_US + 1)


@pytest.mark.parametrize(("after", "written"), [(-1, False), (0, True), (1, True)])
def test_last_seen_is_exact_to_the_minute(
    ledger: Ledger, writer: LedgerWriter, now: int, after: int, written: bool
) -> None:
    writer.device(MAC, "192.168.1.10", now)
    writer.flush()
    writer.device(MAC, "192.168.1.10", now + SEEN_US + after)
    assert (writer.waiting > 0) is written
    writer.flush()
    assert ledger.value(Device.select(Device.last_seen)) == now + written * (SEEN_US + after)


def test_hours_add_up_over_flushes(ledger: Ledger, writer: LedgerWriter, now: int) -> None:
    for _ in range(2):
        writer.count(now, "inspected")
        writer.count(now + 1, "inspected", 2)
        writer.count(now, "blocked")
        writer.count(now + HOUR, "inspected")
        writer.flush()
    rows = ledger.rows(HourlyRollup.select().order_by(HourlyRollup.hour))
    assert [(row["inspected"], row["blocked"]) for row in rows] == [(6, 2), (2, 0)]
    assert rows[0]["hour"] == now // HOUR * HOUR


def test_a_locked_ledger_loses_nothing_and_says_so(
    path: Path, ledger: Ledger, writer: LedgerWriter, now: int
) -> None:
    ledger.database.execute_sql("PRAGMA busy_timeout=50")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer.count(now, "inspected")
    writer.device(MAC, "192.168.1.10", now)
    assert not writer.flush(durable=True)
    assert writer.problem is not None
    assert "database is locked" in writer.problem
    other.close()

    assert writer.flush(durable=True)

    assert (writer.problem, writer.lost) == (None, 0)
    assert ledger.rows(HourlyRollup.select(HourlyRollup.inspected)) == [{"inspected": 1}]
    assert len(queries.devices(ledger)) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.root
def test_a_full_disk_keeps_what_is_there_and_what_waits(
    small_disk: Path, flow: dict[str, Any], now: int
) -> None:
    with open_ledger(small_disk / FILE_NAME) as ledger:
        writer = LedgerWriter(ledger)
        flow["device"] = writer.device(MAC, "192.168.1.10", now)
        writer.insert(Flow, flow)
        assert writer.flush()
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(b"#" * 4096)
        for _ in range(2000):
            writer.insert(Flow, flow, spare=True)
        assert not writer.flush()
        assert writer.problem is not None
        assert "full" in writer.problem
        assert len(queries.flows(ledger, limit=5000)) == 1  # the old rows are still read

        filler.unlink()

        assert writer.flush()
        assert writer.problem is None
        assert len(queries.flows(ledger, limit=5000)) == 2001


@pytest.mark.root
@pytest.mark.parametrize("durable", [True, False])
def test_a_full_disk_is_called_full_whatever_sqlite_complains_of_after(
    small_disk: Path, now: int, durable: bool
) -> None:
    """It ends the transaction itself, and then will not be asked to."""
    with open_ledger(small_disk / FILE_NAME) as ledger:
        writer = LedgerWriter(ledger)
        with (
            (small_disk / "filler").open("wb", buffering=0) as file,
            pytest.raises(OSError, match="No space left"),
        ):
            while True:
                file.write(b"#" * 4096)
        writer.audit(now, "anna", "block", "x" * 200)
        assert not writer.flush(durable=durable)
        assert writer.problem is not None
        assert writer.problem.endswith("cannot write the ledger: database or disk is full")


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_the_line_is_bounded_and_the_oldest_flow_goes_first(
    ledger: Ledger,
    writer: LedgerWriter,
    flow: dict[str, Any],
    now: int,
    monkeypatch: pytest.MonkeyPatch,
    excess: int,
) -> None:
    limit = 10
    monkeypatch.setattr("ratwall.ledger.writer.WAITING_LIMIT", limit)
    flow["device"] = writer.device(MAC, "192.168.1.10", now)  # one row, not to be spared
    for _ in range(limit - 1 + excess):
        writer.insert(Flow, flow, spare=True)
    assert writer.lost == max(excess, 0)
    assert writer.flush()
    ids = [row["id"] for row in queries.flows(ledger)]
    assert len(ids) == limit - 1 + min(excess, 0)
    assert min(ids) == 1 + max(excess, 0)


def test_a_row_that_the_ledger_refuses_does_not_hold_up_the_others(
    ledger: Ledger, writer: LedgerWriter, flow: dict[str, Any], now: int
) -> None:
    flow["device"] = writer.device(MAC, "192.168.1.10", now)
    writer.insert(Flow, flow)
    writer.insert(Flow, {**flow, "device": 999})  # no such device
    writer.insert(Flow, flow)
    writer.count(now, "inspected", 3)
    assert writer.flush()
    assert [row["id"] for row in queries.flows(ledger)] == [3, 1]
    assert ledger.rows(HourlyRollup.select(HourlyRollup.inspected)) == [{"inspected": 3}]
    assert writer.lost == 1


def test_a_note_replaces_the_one_before(ledger: Ledger, writer: LedgerWriter) -> None:
    writer.note("selftest", "failed")
    writer.note("selftest", "passed")
    writer.flush()
    assert ledger.rows(Note.select()) == [{"key": "selftest", "value": "passed"}]


def test_ids_at_hand_are_bounded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, now: int) -> None:
    monkeypatch.setattr(writer, "CACHE_LIMIT", 3)
    hand = LedgerWriter(ledger)
    first = hand.device(None, "192.168.1.0", now)
    for number in range(1, 6):
        hand.device(None, f"192.168.1.{number}", now)
    hand.flush()
    assert len(hand._devices) == 3
    assert hand.device(None, "192.168.1.0", now) == first  # found again in the ledger


def certificate(number: int) -> dict[str, Any]:
    """The facts of a certificate of its own."""
    return {
        "sha256": f"{number:064x}", "sha1": f"{number:040x}", "subject": "CN=x", "issuer": "CN=x",
        "serial": "1", "not_before": None, "not_after": None, "key_type": "rsa", "key_bits": 2048,
        "signature_algorithm": "sha256WithRSAEncryption", "self_issued": True,
    }  # fmt: skip


def test_what_waits_for_a_disk_that_refuses_is_bounded(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, now: int
) -> None:
    """A flood of new certificates, each kept whole, while nothing can be written."""
    monkeypatch.setattr(writer, "CACHE_LIMIT", 8)
    monkeypatch.setattr(writer, "DER_WAITING", 5)
    hand = LedgerWriter(ledger)
    for number in range(100):
        hand.certificate(certificate(number), b"der", now)
        hand.device(f"02:00:00:00:01:{number:02x}", f"192.168.1.{number}", now)
    assert len(hand._seen) == 16
    assert sum("der" in values for values in hand._seen.values()) <= 5
    assert len(hand._with_der) <= 5
    assert hand.lost == 200 - 16
    assert hand.flush()
    assert len(ledger.rows(Certificate.select())) == 100
    # Who found no room has it now, when it is seen again.
    for number in range(90, 100):
        hand.certificate(certificate(number), b"der", now + SEEN_US)
        assert hand.flush()
    kept = Certificate.select().where(Certificate.der.is_null(False), Certificate.id > 90)
    assert len(ledger.rows(kept)) == 10


def test_which_certificates_are_kept_whole_is_known_of_those_at_hand_only(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, now: int
) -> None:
    monkeypatch.setattr(writer, "CACHE_LIMIT", 8)
    hand = LedgerWriter(ledger)
    for number in range(50):
        hand.certificate(certificate(number), b"der", now)
        assert hand.flush()
    assert len(hand._with_der) == 8
    hand.certificate(certificate(0), b"other", now + 1)  # not at hand, and known to have its own
    assert hand.flush()
    assert {row["der"] for row in ledger.rows(Certificate.select())} == {b"der"}
