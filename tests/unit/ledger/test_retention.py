"""Forgetting: by age, by size, in small steps, and never what is still in force."""

from typing import Any

import pytest

from ratwall.ledger import queries, retention
from ratwall.ledger.models import (
    Action,
    Certificate,
    Connection,
    Contact,
    Detection,
    Device,
    Flow,
    HourlyRollup,
    Incident,
)
from ratwall.ledger.retention import DAY, ROLLUP_DAYS, retain
from ratwall.ledger.store import Ledger
from ratwall.ledger.writer import LedgerWriter

DAYS = 30
ROOMY = 1 << 40  # bytes: never reached


def retain_all(ledger: Ledger, now: int, max_bytes: int = ROOMY) -> None:
    while retain(ledger, now, DAYS, max_bytes):
        pass


@pytest.fixture
def flows_by_age(
    writer: LedgerWriter, flow: dict[str, Any], certificate: dict[str, Any], now: int
) -> LedgerWriter:
    """Write three flows: just within the limit, at it, and just over it, each of its own device."""
    for number, age in enumerate((DAYS * DAY - 1, DAYS * DAY, DAYS * DAY + 1)):
        then = now - age
        device = writer.device(None, f"192.168.1.{number}", then)
        shown = writer.certificate({**certificate, "sha256": f"{number:064x}"}, None, then)
        values = {**flow, "start": then, "device": device, "certificate": shown}
        writer.insert(Flow, values)
    writer.flush()
    return writer


@pytest.mark.usefixtures("flows_by_age")
def test_what_is_over_the_age_goes_and_what_only_it_showed(ledger: Ledger, now: int) -> None:
    retain_all(ledger, now)
    assert sorted(row["client"] for row in queries.flows(ledger)) == ["192.168.1.10"] * 2
    assert len(ledger.rows(Device.select())) == 2
    assert len(ledger.rows(Certificate.select())) == 2


@pytest.mark.usefixtures("flows_by_age")
def test_a_device_with_a_name_stays(ledger: Ledger, now: int) -> None:
    ledger.execute(Device.update(name="PC-ANNA").where(Device.id == 3))
    retain_all(ledger, now)
    assert {row["id"] for row in ledger.rows(Device.select())} == {1, 2, 3}


def test_an_incident_with_an_action_in_force_is_never_forgotten(
    ledger: Ledger, writer: LedgerWriter, incident: dict[str, Any], now: int
) -> None:
    old = now - 100 * DAY
    incident["device"] = writer.device(None, "192.168.1.10", old)
    held, over, undone, allowed = (
        writer.insert(Incident, {**incident, "opened": old, "updated": old}) for _ in range(4)
    )
    common = {"created": old, "author": "rule", "reason": "why", "server": "203.0.113.7"}
    for kind, of, expires, when_undone in (
        ("block", held, now + 1, None),
        ("block", over, now - 1, None),
        ("block", undone, now + 1, old),
        ("allow", allowed, None, None),
    ):
        writer.insert(
            Action,
            {**common, "kind": kind, "incident": of, "expires": expires, "undone": when_undone},
        )
    writer.flush()
    retain_all(ledger, now)
    assert {row["id"] for row in ledger.rows(Incident.select())} == {held, allowed}
    assert {row["incident"] for row in ledger.rows(Action.select())} == {held, allowed}


def test_an_incident_takes_what_was_found_of_it_along(
    ledger: Ledger, writer: LedgerWriter, incident: dict[str, Any], now: int
) -> None:
    old = now - 100 * DAY
    incident["device"] = writer.device(None, "192.168.1.10", now)
    told = {"rule": "rhythm.stock", "score": 60, "verdict": "alert", "facts": "{}"}
    for updated in (old, now):
        row = writer.insert(Incident, {**incident, "opened": old, "updated": updated})
        for time in (old, updated):
            writer.insert(Detection, {**told, "incident": row, "time": time})
    writer.flush()
    retain_all(ledger, now)
    (kept,) = ledger.rows(Incident.select())
    assert {row["incident"] for row in ledger.rows(Detection.select())} == {kept["id"]}


def test_hours_are_kept_for_a_year_and_more(ledger: Ledger, writer: LedgerWriter, now: int) -> None:
    for age in (ROLLUP_DAYS - 1, ROLLUP_DAYS + 1):
        writer.count(now - age * DAY, "inspected")
    writer.flush()
    retain_all(ledger, now)
    assert len(ledger.rows(HourlyRollup.select())) == 1


def test_too_large_a_ledger_loses_its_oldest_flows_and_shrinks(
    ledger: Ledger,
    writer: LedgerWriter,
    flow: dict[str, Any],
    incident: dict[str, Any],
    now: int,
) -> None:
    flow["device"] = incident["device"] = writer.device(None, "192.168.1.10", now)
    writer.insert(Incident, incident)
    for _ in range(3 * retention.CHUNK):
        writer.insert(Flow, {**flow, "start": now})
    writer.flush()
    full = ledger.bytes_used()
    retain_all(ledger, now, max_bytes=full)
    assert len(queries.flows(ledger, limit=10_000)) == 3 * retention.CHUNK  # at the limit: kept

    retain_all(ledger, now, max_bytes=full // 2)

    assert full // 4 < ledger.bytes_used() <= full // 2
    kept = queries.flows(ledger, limit=10_000)
    assert kept[0]["id"] == 3 * retention.CHUNK  # the newest are there
    assert len(queries.incidents(ledger)) == 1  # incidents outlive flows
    assert ledger.sql("PRAGMA freelist_count") == [(0,)]  # and the file gave the space back


def test_no_flow_goes_for_certificates_that_nothing_shows(
    ledger: Ledger,
    writer: LedgerWriter,
    flow: dict[str, Any],
    certificate: dict[str, Any],
    now: int,
) -> None:
    flow["device"] = writer.device(None, "192.168.1.10", now)
    for _ in range(50):
        writer.insert(Flow, {**flow, "start": now})
    writer.flush()
    enough = ledger.bytes_used()
    for number in range(200):
        facts = {**certificate, "sha256": f"{number:064x}"}
        writer.certificate(facts, bytes(2000), now - DAY)
    writer.flush()
    assert ledger.bytes_used() > 2 * enough
    retain_all(ledger, now, max_bytes=2 * enough)
    assert len(queries.flows(ledger, limit=1000)) == 50
    assert ledger.rows(Certificate.select()) == []


def test_a_limit_that_cannot_be_met_ends_all_the_same(
    ledger: Ledger, writer: LedgerWriter, flow: dict[str, Any], now: int
) -> None:
    flow["device"] = writer.device(None, "192.168.1.10", now)
    writer.insert(Flow, flow)
    writer.flush()
    retain_all(ledger, now + 1, max_bytes=1)
    assert queries.flows(ledger) == []


def test_after_forgetting_the_writer_looks_devices_up_again(
    ledger: Ledger, flows_by_age: LedgerWriter, flow: dict[str, Any], now: int
) -> None:
    while flows_by_age.retain(now, DAYS, ROOMY):
        pass
    # The device of the forgotten flow comes back: its old id is gone, so it gets a new row.
    device = flows_by_age.device(None, "192.168.1.2", now)
    flows_by_age.insert(Flow, {**flow, "device": device})
    assert flows_by_age.flush()
    assert flows_by_age.lost == 0
    assert len(queries.flows(ledger)) == 3


def contact(ledger: Ledger, number: int, last_seen: int, failures: int = 0) -> None:
    counts = dict.fromkeys(("sent", "received", "handshakes", "hour", "in_hour"), 0)
    ledger.execute(
        Contact.insert(
            device=number,
            address=f"192.168.1.{number}",
            server=f"203.0.113.{number}",
            port=443,
            first_seen=last_seen,
            last_seen=last_seen,
            connections=1,
            failures=failures,
            busiest=0,
            busiest_at=0,
            **counts,
        )
    )


def servers(ledger: Ledger) -> list[int]:
    return [row["device"] for row in ledger.rows(Contact.select().order_by(Contact.device))]


def test_contacts_go_by_age_and_keep_their_device(ledger: Ledger, now: int) -> None:
    for number, age in enumerate((DAYS * DAY, DAYS * DAY + 1), start=1):
        old = {"first_seen": now - age - 1, "last_seen": now - age - 1}
        ledger.execute(Device.insert(address=f"192.168.1.{number}", **old))
        contact(ledger, number, now - age)
    retain_all(ledger, now)
    assert servers(ledger) == [1]
    assert [row["id"] for row in ledger.rows(Device.select())] == [1]


def test_of_too_many_contacts_the_failed_go_first_then_the_oldest(
    ledger: Ledger, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CONTACTS_ROWS", 3)
    for number in range(1, 4):
        contact(ledger, number, now - 1000 + number)
    for number in range(4, 40):  # a scan, newer than all that is known
        contact(ledger, number, now, failures=1)
    retain_all(ledger, now)
    assert servers(ledger) == [1, 2, 3]
    contact(ledger, 50, now)
    retain_all(ledger, now)
    assert servers(ledger) == [2, 3, 50]


def test_connections_go_after_a_day_and_those_of_a_clock_that_was_ahead(
    ledger: Ledger, now: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {"too old": -DAY - 1, "old": -DAY, "new": 0, "soon": DAY, "ahead": DAY + 1}
    for offset in times.values():
        values = {"contact": 1, "client_port": 1, "sent": 0, "received": 0, "failed": False}
        ledger.execute(Connection.insert(start=now + offset, **values))
    retain_all(ledger, now)
    kept = {row["start"] - now for row in ledger.rows(Connection.select())}
    assert kept == {times["old"], times["new"], times["soon"]}
    monkeypatch.setattr(retention, "CONNECTIONS_ROWS", 1)
    retain_all(ledger, now)
    assert [row["start"] - now for row in ledger.rows(Connection.select())] == [times["soon"]]


def test_a_full_ledger_gives_up_flows_before_contacts(
    ledger: Ledger, flows_by_age: LedgerWriter, now: int
) -> None:
    contact(ledger, 9, now)
    ledger.execute(Flow.update(start=now))
    flows = len(ledger.rows(Flow.select()))
    with ledger.transaction(durable=False):
        assert retention._forget_oldest(ledger, now) == flows
    assert servers(ledger) == [9]
