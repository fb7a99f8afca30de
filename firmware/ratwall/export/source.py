"""Reads what is to be told out of the ledger, in the order it happened, from a number on.

Never writes, and keeps nothing open: the ledger under its path may be set aside at any time. A
batch is what a receiver is given at once; a ledger that cannot be read now is read later.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from peewee import fn

from ratwall.export.records import Record, action_record, incident_record, state_record
from ratwall.ledger.models import Action, BoxState, Certificate, Change, Device, Incident
from ratwall.ledger.store import Ledger

LEDGER_KIND: Final = "ledger"
INCIDENT_KINDS: Final = ("incident_opened", "incident_changed")
ACTION_KINDS: Final = ("action_taken", "action_undone")
STATE_KINDS: Final = ("box_state",)
FIRST_LOOK_US: Final = 86_400_000_000  # who is told for the first time hears of the last day

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Position:
    """How far somebody has been told: a number, in one ledger."""

    ledger: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Records in order, and the position that is reached when they have been told."""

    records: tuple[Record, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class Look:
    """What a look into the ledger shows: where telling goes on, what is next, how much there is."""

    start: Position
    position: Position  # where `batch` begins
    batch: Batch
    backlog: int


def look(
    ledger: Ledger, told: Position | None, handed: Position | None, limit: int, now: int
) -> Look:
    """Return what is next for who has settled for `told` and was handed what is up to `handed`."""
    begin = start(ledger, told, now)
    here = handed if handed is not None and handed.ledger == begin.ledger else begin
    return Look(begin, here, read(ledger, here, limit), backlog(ledger, here))


def start(ledger: Ledger, position: Position | None, now: int) -> Position:
    """Return where to go on: at `position`, or in a ledger that it does not know, a day ago."""
    name = str(ledger.value(Change.select(Change.mark).where(Change.kind == LEDGER_KIND)))
    if position is not None and position.ledger == name:
        return position
    if position is not None:  # another ledger was begun: all in it is new
        return Position(name, 0)
    older = ledger.value(Change.select(fn.MAX(Change.id)).where(Change.time < now - FIRST_LOOK_US))
    return Position(name, older or 0)


def backlog(ledger: Ledger, position: Position) -> int:
    """Return how many things there are to tell beyond a position."""
    query = Change.select(fn.COUNT(Change.id)).where(Change.id > position.sequence)
    return int(ledger.value(query.where(Change.kind != LEDGER_KIND)))


def newest_state(ledger: Ledger) -> Record | None:
    """Return the record of the state that the box is in, None if the ledger knows of none."""
    change = ledger.row(
        Change.select().where(Change.kind == "box_state").order_by(Change.id.desc())
    )
    state = change and ledger.row(BoxState.select().where(BoxState.id == change["subject"]))
    if change is None or state is None:
        return None
    name = str(ledger.value(Change.select(Change.mark).where(Change.kind == LEDGER_KIND)))
    return state_record(name, change, state)


def read(ledger: Ledger, position: Position, limit: int) -> Batch:
    """Return the next records beyond a position, from at most `limit` changes."""
    changes = ledger.rows(
        Change.select()
        .where((Change.id > position.sequence) & (Change.kind != LEDGER_KIND))
        .order_by(Change.id)
        .limit(limit)
    )
    if not changes:
        return Batch((), position)
    incidents = _rows(ledger, Incident, changes, INCIDENT_KINDS)
    devices = _by_id(ledger, Device.select(), Device, (row["device"] for row in incidents.values()))
    columns = [field for name, field in Certificate._meta.fields.items() if name != "der"]
    certificates = _by_id(
        ledger,
        Certificate.select(*columns),
        Certificate,
        (row["certificate"] for row in incidents.values()),
    )
    actions = _rows(ledger, Action, changes, ACTION_KINDS)
    states = _rows(ledger, BoxState, changes, STATE_KINDS)
    opened = {row["subject"] for row in changes if row["kind"] == "incident_opened"}
    records = []
    for change in changes:
        if change["kind"] == "incident_changed" and change["subject"] in opened:
            continue  # the record of its opening says already how it stands
        # None: forgotten since, or of a kind that this version does not know.
        record: Record | None = None
        subject, kind = change["subject"], change["kind"]
        if kind in INCIDENT_KINDS and subject in incidents:
            row = incidents[subject]
            device, certificate = devices.get(row["device"]), certificates.get(row["certificate"])
            record = incident_record(position.ledger, change, row, device, certificate)
        elif kind in ACTION_KINDS and subject in actions:
            record = action_record(position.ledger, change, actions[subject])
        elif kind in STATE_KINDS and subject in states:
            record = state_record(position.ledger, change, states[subject])
        if record is not None:
            records.append(record)
    return Batch(tuple(records), Position(position.ledger, changes[-1]["id"]))


def _rows(
    ledger: Ledger, model: Any, changes: Sequence[Row], kinds: Sequence[str]
) -> dict[int, Row]:
    ids = (row["subject"] for row in changes if row["kind"] in kinds)
    return _by_id(ledger, model.select(), model, ids)


def _by_id(ledger: Ledger, query: Any, model: Any, ids: Any) -> dict[int, Row]:
    wanted = sorted({number for number in ids if number is not None})
    if not wanted:
        return {}
    return {row["id"]: row for row in ledger.rows(query.where(model.id.in_(wanted)))}
