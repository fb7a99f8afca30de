"""Forgets what is too old or too much, a small step at a time.

Never takes long: one step deletes at most a chunk, so that reports and commands get their turn in
between. Actions in force and the incidents they belong to are never forgotten.
"""

from typing import Any

from peewee import fn

from ratwall.ledger.models import (
    Action,
    AuditEntry,
    BeaconScore,
    BoxState,
    Certificate,
    Connection,
    Contact,
    Detection,
    Device,
    Flow,
    Heard,
    HourlyRollup,
    Incident,
    Lookup,
    Name,
    Resolution,
)
from ratwall.ledger.store import Ledger

DAY = 86_400_000_000  # microseconds
CHUNK = 2000  # rows a step: some 50 ms on a slow card
INCIDENT_CHUNK = 100  # incidents have flows and actions to let go of
ROLLUP_DAYS = 400  # a year and a month, to compare with the same month of the last year
NAMES = (Lookup, Resolution, Name)
NAMES_ROWS = 200_000  # a table: some 30 MB; an office meets a tenth as many names in a quarter
CONTACTS_ROWS = 50_000  # some 12 MB; forty devices with two hundred servers each have 8,000
CONNECTIONS_ROWS = 100_000  # some 6 MB; a busy day of forty devices has 15,000
SCORES_ROWS = 4_000
HEARD_ROWS = 8192  # some 10 MB; twice what is observed at one time by default
VACUUM_PAGES = 4096  # 16 MB of free pages handed back to the file system in one step


def retain(ledger: Ledger, now: int, days: int, max_bytes: int) -> bool:
    """Delete one chunk of what is over `days` or `max_bytes`; True if there may be more.

    LedgerError if the ledger cannot be written; nothing is half deleted then.
    """
    with ledger.transaction(durable=False):
        deleted = _forget_old(ledger, now - days * DAY, now)
        if not deleted and ledger.bytes_used() > max_bytes:
            deleted = _forget_oldest(ledger, now)
    if not deleted:
        ledger.give_back(VACUUM_PAGES)
    return deleted > 0


def _forget_old(ledger: Ledger, before: int, now: int) -> int:
    """Delete a chunk of rows last touched before the time given; return how many."""
    deleted = _delete(ledger, Flow, Flow.start < before, Flow.start)
    deleted = deleted or _delete_incidents(ledger, Incident.updated < before, now)
    deleted = deleted or _delete(
        ledger,
        Action,
        (Action.created < before)
        & Action.incident.is_null()
        & (Action.undone.is_null(False) | (Action.expires < now)),
    )
    deleted = deleted or _delete(ledger, AuditEntry, AuditEntry.time < before)
    deleted = deleted or _delete(ledger, BoxState, BoxState.time < before, BoxState.time)
    for model in NAMES:
        deleted = deleted or _delete(ledger, model, model.last_seen < before, model.last_seen)
        if not deleted and ledger.value(model.select(fn.COUNT(model.id))) > NAMES_ROWS:
            deleted = _delete(ledger, model, None, model.last_seen)
    deleted = deleted or _forget_contacts(ledger, before, now)
    deleted = deleted or _delete_unused(ledger, before)
    return deleted or ledger.execute(
        HourlyRollup.delete().where(HourlyRollup.hour < now - ROLLUP_DAYS * DAY)
    )


def _forget_contacts(ledger: Ledger, before: int, now: int) -> int:
    """Delete a chunk of contacts and what belongs to them that is too old or too much.

    Attempts that all failed go first: a scan must not push out what is known of an office.
    """
    start, met, scored = Connection.start, Contact.last_seen, BeaconScore.at
    return (
        _delete(ledger, Connection, start < now - DAY, start)
        # A clock that was ahead, and was set back, has left them.
        or _delete(ledger, Connection, start > now + DAY, start)
        or _delete_beyond(ledger, Connection, CONNECTIONS_ROWS, start)
        or _delete(ledger, Contact, met < before, met)
        or _delete_beyond(
            ledger,
            Contact,
            CONTACTS_ROWS,
            met,
            (Contact.connections > Contact.failures) | (Contact.handshakes > 0),
        )
        or _delete(ledger, Heard, Heard.last < now - DAY, Heard.last)
        or _delete_beyond(ledger, Heard, HEARD_ROWS, Heard.last)
        or _delete(ledger, BeaconScore, scored < before, scored)
        or _delete_beyond(ledger, BeaconScore, SCORES_ROWS, scored)
    )


def _delete_beyond(ledger: Ledger, model: Any, rows: int, order: Any, valuable: Any = None) -> int:
    """Delete a chunk of the oldest rows beyond a number of them, the `valuable` ones last."""
    excess = ledger.value(model.select(fn.COUNT(model.id))) - rows
    if excess <= 0:
        return 0
    if valuable is not None:
        deleted = _delete(ledger, model, ~valuable, order, excess)
        if deleted:
            return deleted
    return _delete(ledger, model, None, order, excess)


def _forget_oldest(ledger: Ledger, now: int) -> int:
    """Delete a chunk of the oldest rows whatever their age: what nothing shows any more first, so
    that no flow goes for its sake; then flows, then the rest."""
    return (
        _delete_unused(ledger, now)
        or _delete(ledger, Flow, None)
        or _delete_incidents(ledger, None, now)
        or _delete(ledger, AuditEntry, None)
        or _delete(ledger, BoxState, None)
        or any(_delete(ledger, model, None, model.last_seen) for model in NAMES)
        or any(
            _delete(ledger, model, None, order)
            for model, order in (
                (Connection, Connection.start),
                (Heard, Heard.last),
                (BeaconScore, BeaconScore.at),
                (Contact, Contact.last_seen),
            )
        )
    )


def _delete(
    ledger: Ledger, model: Any, condition: Any, order: Any = None, most: int = CHUNK
) -> int:
    """Delete a chunk of the rows that meet the condition (None: any), lowest `order` or id first.

    An index on `order` spares a walk through the whole table when nothing meets the condition.
    """
    oldest = model.select(model.id).order_by(order or model.id).limit(min(most, CHUNK))
    if condition is not None:
        oldest = oldest.where(condition)
    return ledger.execute(model.delete().where(model.id.in_(oldest)))


def _delete_incidents(ledger: Ledger, condition: Any, now: int) -> int:
    """Delete a chunk of incidents without an action in force, with what was found of them; their
    flows and actions stay."""
    in_force = Action.select(Action.incident).where(
        Action.incident.is_null(False)
        & Action.undone.is_null()
        & (Action.expires.is_null() | (Action.expires > now))
        & Action.kind.in_(("block", "keep", "allow"))
    )
    oldest = Incident.select(Incident.id).where(Incident.id.not_in(in_force))
    if condition is not None:
        oldest = oldest.where(condition)
    ids = [row["id"] for row in ledger.rows(oldest.order_by(Incident.id).limit(INCIDENT_CHUNK))]
    if not ids:
        return 0
    ledger.execute(Flow.update(incident=None).where(Flow.incident.in_(ids)))
    ledger.execute(Action.update(incident=None).where(Action.incident.in_(ids)))
    ledger.execute(Detection.delete().where(Detection.incident.in_(ids)))
    return ledger.execute(Incident.delete().where(Incident.id.in_(ids)))


def _delete_unused(ledger: Ledger, before: int) -> int:
    """Delete certificates and devices that no flow or incident shows any more."""
    deleted = 0
    for model, flow_column, incident_column, keep in (
        (Certificate, Flow.certificate, Incident.certificate, None),
        (Device, Flow.device, Incident.device, Device.name.is_null(False)),
    ):
        unused = (
            (model.last_seen < before)
            & ~fn.EXISTS(Flow.select(Flow.id).where(flow_column == model.id))
            & ~fn.EXISTS(Incident.select(Incident.id).where(incident_column == model.id))
        )
        if keep is not None:
            unused &= ~keep  # a name given by a person is not thrown away
            unused &= ~fn.EXISTS(Contact.select(Contact.id).where(Contact.device == model.id))
        deleted += _delete(ledger, model, unused)
    return deleted
