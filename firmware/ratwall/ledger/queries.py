"""What the command line and the admin page read from the ledger, as plain dicts and lists.

Never writes and never formats: times stay UTC microseconds, evidence becomes a list, ids stay ids.
Lists run newest first and are paged by id: ask again with `before_id` set to the last id received.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from peewee import JOIN, fn

from ratwall.errors import UsageError
from ratwall.ledger.contacts import known_since, regularity
from ratwall.ledger.models import (
    Action,
    AuditEntry,
    Certificate,
    Detection,
    Device,
    Flow,
    HourlyRollup,
    Incident,
    Note,
)
from ratwall.ledger.names import names_of
from ratwall.ledger.store import Ledger
from ratwall.ledger.timeline import timeline

HOUR = 3_600_000_000  # microseconds
CHART_HOURS = 24  # a day: the dashboard's chart
DASHBOARD_INCIDENTS = 5  # as many cards as a phone shows with one swipe
INCIDENT_FLOWS = 20  # enough to see the repeats; the flow list has them all
INCIDENT_DETECTIONS = 10  # of one incident on its page: the newest beats are in the newest
DEVICE_FLOWS = 20
DEVICE_INCIDENTS = 20  # the list of incidents has them all
# Words of one search, each a condition over eleven columns: SQLite's parser gives up at 77.
SEARCH_WORDS = 16
BLOCKING_KINDS = ("block", "keep")  # actions that make the kernel refuse a server
# Actions on devices and rules, beside the blocks and allows of servers.
RESPONSE_KINDS = ("block_device", "block_server", "quarantine", "watch", "pause", "rule")
RISK_US = 7 * 24 * HOUR  # what was a week ago is past, or has come again
DEVICE_KEYS = ("id", "address", "mac", "name")

Row = dict[str, Any]


class SearchError(UsageError):
    """A search that is not made; the text says why."""


def dashboard(ledger: Ledger, now: int) -> Row:
    """Return today's counts (local day), 24 hours of chart and the newest incidents."""
    today = _sums(ledger, _local_midnight(now))
    return {
        "blocked_today": today["blocked"],
        "would_block_today": today["would_block"],
        "inspected_today": today["inspected"],
        "uninspected_today": today["uninspected"],
        "alerts_today": today["alerts"],
        "devices": ledger.value(Device.select(fn.COUNT(Device.id))),
        "hours": _hours(ledger, now),
        "incidents": _incidents(
            ledger, _incident_select().order_by(Incident.updated.desc()).limit(DASHBOARD_INCIDENTS)
        ),
        "notes": notes(ledger),
    }


def incidents(
    ledger: Ledger,
    limit: int = 50,
    before_id: int | None = None,
    state: str | None = None,
    device: int | None = None,
) -> list[Row]:
    """Return incidents, newest first: in one `state`, of one device (by its id), or all."""
    query = _incident_select().order_by(Incident.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(Incident.id < before_id)
    if state is not None:
        query = query.where(Incident.state == state)
    if device is not None:
        query = query.where(Incident.device == device)
    return _incidents(ledger, query)


def incident(ledger: Ledger, incident_id: int) -> Row | None:
    """Return one incident with its newest flows, all its actions, what was found of it over time
    (newest first), how many devices know the server, how regular its connections are, and the story
    that it is a part of; None if there is none."""
    found = _incidents(ledger, _incident_select().where(Incident.id == incident_id))
    if not found:
        return None
    story = found[0]
    story["flows"] = _flows(
        ledger,
        _flow_select()
        .where(Flow.incident == incident_id)
        .order_by(Flow.id.desc())
        .limit(INCIDENT_FLOWS),
    )
    story["actions"] = ledger.rows(
        Action.select().where(Action.incident == incident_id).order_by(Action.id)
    )
    story["detections"] = ledger.rows(
        Detection.select()
        .where(Detection.incident == incident_id)
        .order_by(Detection.id.desc())
        .limit(INCIDENT_DETECTIONS)
    )
    for detection in story["detections"]:
        detection["facts"] = json.loads(detection["facts"])
    story["server_devices"] = len(known_since(ledger, story["server"]))
    story["regularity"] = regularity(ledger, story["device"]["id"], story["server"])
    story["story"] = timeline(ledger, incident_id, story["device"]["id"])
    return story


def incidents_where(ledger: Ledger, condition: Any, limit: int) -> list[Row]:
    """Return the newest incidents that meet a condition."""
    query = _incident_select().where(condition).order_by(Incident.id.desc()).limit(limit)
    return _incidents(ledger, query)


def devices(ledger: Ledger) -> list[Row]:
    """Return every device with its number of incidents and highest score, last seen first."""
    return ledger.rows(_device_select().order_by(Device.last_seen.desc(), Device.id))


def devices_by_id(ledger: Ledger, limit: int = 50, before_id: int | None = None) -> list[Row]:
    """Return devices as `devices` does, but in pages, the one met last first."""
    query = _device_select().order_by(Device.id.desc()).limit(limit)
    return ledger.rows(query if before_id is None else query.where(Device.id < before_id))


def risks(ledger: Ledger, now: int) -> dict[int, int]:
    """Return the highest score of each device's open incidents of the last week, by its id.

    Open is what nobody allowed or released. Grouped by an expression: by the column itself SQLite
    walks that column's index, which is all incidents there ever were.
    """
    query = (
        Incident.select(Incident.device, fn.MAX(Incident.score).alias("score"))
        .where((Incident.updated > now - RISK_US) & Incident.state.not_in(("allowed", "released")))
        .group_by(fn.COALESCE(Incident.device, 0))
    )
    return {row["device"]: row["score"] for row in ledger.rows(query)}


def device(ledger: Ledger, device_id: int) -> Row | None:
    """Return one device with its newest incidents and flows, None if there is none."""
    found = ledger.row(Device.select().where(Device.id == device_id))
    if found is None:
        return None
    found["incidents"] = _incidents(
        ledger,
        _incident_select()
        .where(Incident.device == device_id)
        .order_by(Incident.id.desc())
        .limit(DEVICE_INCIDENTS),
    )
    found["flows"] = _flows(
        ledger,
        _flow_select().where(Flow.device == device_id).order_by(Flow.id.desc()).limit(DEVICE_FLOWS),
    )
    return found


def flows(
    ledger: Ledger,
    search: str = "",
    verdict: str | None = None,
    limit: int = 50,
    before_id: int | None = None,
    device: int | None = None,
    server: str | None = None,
    incident: int | None = None,
) -> list[Row]:
    """Return flows, newest first; `search` is text within address, name, family or certificate.

    `device` and `incident` are ids, `server` an address: only flows of these.

    SearchError if it has more than SEARCH_WORDS words.
    """
    words = search.split()
    if len(words) > SEARCH_WORDS:
        raise SearchError(f"search: at most {SEARCH_WORDS} words, found {len(words)}")
    query = _flow_select().order_by(Flow.id.desc()).limit(limit)
    for word in words:
        query = query.where(_mentions(word))
    if verdict is not None:
        query = query.where(Flow.verdict == verdict)
    exact = ((Flow.device, device), (Flow.server, server), (Flow.incident, incident))
    for column, value in exact:
        if value is not None:
            query = query.where(column == value)
    if before_id is not None:
        query = query.where(Flow.id < before_id)
    return _flows(ledger, query)


def flows_of(ledger: Ledger, ids: Sequence[int]) -> list[Row]:
    """Return the flows with these ids, in their order; one that is gone is left out."""
    rows = {row["id"]: row for row in _flows(ledger, _flow_select().where(Flow.id.in_(list(ids))))}
    return [rows[number] for number in ids if number in rows]


def allows(ledger: Ledger, now: int) -> list[Row]:
    """Return the allows in force, newest first."""
    return ledger.rows(
        _active(Action.select(), now).where(Action.kind == "allow").order_by(Action.id.desc())
    )


def actions(
    ledger: Ledger,
    now: int,
    active_only: bool = True,
    limit: int = 200,
    before_id: int | None = None,
) -> list[Row]:
    """Return actions, newest first: those in force, or all that are kept."""
    query = Action.select().order_by(Action.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(Action.id < before_id)
    if active_only:
        kinds = (*BLOCKING_KINDS, "allow", *RESPONSE_KINDS)
        query = _active(query, now).where(Action.kind.in_(kinds))
    return ledger.rows(query)


def actions_of(ledger: Ledger, kinds: Iterable[str], now: int) -> list[Row]:
    """Return all actions in force of some kinds, oldest first."""
    query = _active(Action.select(), now).where(Action.kind.in_(tuple(kinds)))
    return ledger.rows(query.order_by(Action.id))


def audit(
    ledger: Ledger,
    limit: int = 100,
    before_id: int | None = None,
    search: str = "",
    author: str | None = None,
) -> list[Row]:
    """Return the audit trail, newest first: of one author, and what has the text in it."""
    query = AuditEntry.select().order_by(AuditEntry.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    if author is not None:
        query = query.where(AuditEntry.author == author)
    if search:
        query = query.where(AuditEntry.event.contains(search) | AuditEntry.detail.contains(search))
    return ledger.rows(query)


def notes(ledger: Ledger) -> dict[str, str]:
    """Return all notes by key, such as `ledger_set_aside`."""
    return {row["key"]: row["value"] for row in ledger.rows(Note.select())}


def _active(query: Any, now: int) -> Any:
    """Narrow a select of actions to those neither undone nor expired."""
    return query.where(
        Action.undone.is_null() & (Action.expires.is_null() | (Action.expires > now))
    )


def _local_midnight(now: int) -> int:
    """Return when the local day of `now` began; both UTC microseconds."""
    midnight = datetime.fromtimestamp(now // 1_000_000).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    return int(midnight.timestamp()) * 1_000_000


def _sums(ledger: Ledger, since: int) -> Row:
    """Return the counts of all hours from `since` on (an hour cut in two counts to the later)."""
    columns = ("inspected", "blocked", "would_block", "alerts", "uninspected")
    sums = ledger.row(
        HourlyRollup.select(
            *(fn.COALESCE(fn.SUM(getattr(HourlyRollup, name)), 0).alias(name) for name in columns)
        ).where(HourlyRollup.hour >= since)
    )
    return sums or dict.fromkeys(columns, 0)


def _hours(ledger: Ledger, now: int) -> list[Row]:
    """Return the last 24 hours, oldest first, hours without traffic included."""
    first = now // HOUR * HOUR - (CHART_HOURS - 1) * HOUR
    known = {
        row["hour"]: row
        for row in ledger.rows(HourlyRollup.select().where(HourlyRollup.hour >= first))
    }
    nothing = {"inspected": 0, "blocked": 0, "would_block": 0, "alerts": 0, "uninspected": 0}
    hours = (first + number * HOUR for number in range(CHART_HOURS))
    return [known.get(hour, {"hour": hour, **nothing}) for hour in hours]


def _device_select() -> Any:
    return (
        Device.select(
            Device,
            fn.COUNT(Incident.id).alias("incidents"),
            fn.COALESCE(fn.MAX(Incident.score), 0).alias("score"),
        )
        .join(Incident, JOIN.LEFT_OUTER, on=(Incident.device == Device.id))
        .group_by(Device.id)
    )


def _incident_select() -> Any:
    return (
        Incident.select(Incident, *_device_columns())
        .join(Device, on=(Incident.device == Device.id))
        .switch(Incident)
    )


def _flow_select() -> Any:
    return (
        Flow.select(Flow, *_device_columns())
        .join(Device, on=(Flow.device == Device.id))
        .switch(Flow)
        .join(Certificate, JOIN.LEFT_OUTER, on=(Flow.certificate == Certificate.id))
    )


def _device_columns() -> list[Any]:
    return [getattr(Device, key).alias(f"device_{key}") for key in DEVICE_KEYS]


def _mentions(word: str) -> Any:
    """Return the condition that a flow mentions `word` anywhere a person would look for it."""
    columns = (
        Flow.client,
        Flow.server,
        Flow.sni,
        Flow.family,
        Flow.ja3,
        Flow.ja4,
        Device.name,
        Device.mac,
        Certificate.subject,
        Certificate.sha1,
        Certificate.sha256,
    )
    condition = columns[0].contains(word)
    for column in columns[1:]:
        condition |= column.contains(word)
    if word.isascii() and word.isdigit():
        condition |= Flow.server_port == int(word[:9])  # a port has 5 digits, SQLite 18
    return condition


def _incidents(ledger: Ledger, query: Any) -> list[Row]:
    rows = [_with_device(row) for row in ledger.rows(query)]
    _attach_certificates(ledger, rows)
    until = _blocked_until(ledger, [row["id"] for row in rows])
    for row in rows:
        row["evidence"] = json.loads(row["evidence"])
        row["blocked_until"] = until.get(row["id"])
    _attach_names(ledger, rows)
    return rows


def _flows(ledger: Ledger, query: Any) -> list[Row]:
    rows = [_with_device(row) for row in ledger.rows(query)]
    _attach_certificates(ledger, rows)
    for row in rows:
        row["evidence"] = json.loads(row["evidence"])
    _attach_names(ledger, rows)
    return rows


def _attach_names(ledger: Ledger, rows: list[Row]) -> None:
    """Give each row the names that its server was asked for by, the newest first."""
    names = names_of(ledger, (row["server"] for row in rows))
    for row in rows:
        row["names"] = names.get(row["server"], [])


def _with_device(row: Row) -> Row:
    """Gather the joined columns of the device into a dict of its own."""
    row["device"] = {key: row.pop(f"device_{key}") for key in DEVICE_KEYS}
    return row


def _attach_certificates(ledger: Ledger, rows: list[Row]) -> None:
    """Replace each row's certificate id by the certificate, without its DER."""
    ids = {row["certificate"] for row in rows if row["certificate"] is not None}
    columns = [field for name, field in Certificate._meta.fields.items() if name != "der"]
    known = {
        row["id"]: row
        for row in ledger.rows(Certificate.select(*columns).where(Certificate.id.in_(list(ids))))
    }
    for row in rows:
        row["certificate"] = known.get(row["certificate"])


def _blocked_until(ledger: Ledger, ids: Iterable[int]) -> dict[int, int]:
    """Return when the last block of each incident ends or ended; undone blocks do not count."""
    query = (
        Action.select(Action.incident, fn.MAX(Action.expires).alias("until"))
        .where(
            Action.incident.in_(list(ids))
            & Action.kind.in_(BLOCKING_KINDS)
            & Action.undone.is_null()
        )
        .group_by(Action.incident)
    )
    return {row["incident"]: row["until"] for row in ledger.rows(query)}
