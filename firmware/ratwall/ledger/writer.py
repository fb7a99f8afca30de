"""The one hand that writes the ledger: queues rows, commits them in batches, survives a bad disk.

Never blocks on what it writes and never raises for it: what cannot be written now waits in a
bounded line and is tried again, what does not fit there is lost and counted, and `problem` says
why. Ids are given out here, not by SQLite, so that a row can be spoken of before it is on the disk.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from peewee import fn

from ratwall.ledger.models import (
    Action,
    AuditEntry,
    BoxState,
    Certificate,
    Detection,
    Device,
    Flow,
    HourlyRollup,
    Incident,
    Note,
)
from ratwall.ledger.retention import retain
from ratwall.ledger.store import Ledger, LedgerError, LedgerRefusedError

WAITING_LIMIT = 20_000  # rows, some 20 MB: several minutes of a busy office without a disk
CACHE_LIMIT = 4096  # devices and certificates whose ids are at hand: more than an office has
SEEN_US = 60_000_000  # "last seen" is exact to the minute: it need not be written for every flow
# Certificates kept whole that wait for the disk: 4 MB at most, as each has 8 KB at most. What finds
# no room is kept when the certificate is seen again.
DER_WAITING = 512
HOUR = 3_600_000_000  # microseconds
NUMBERED = (Device, Certificate, Incident, Flow, Action, Detection, AuditEntry, BoxState)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Something to write: a row, a query, or many values; `spare`: the first to go when the line is
    full."""

    what: Any  # its table, the query, or a statement of SQLite's own
    row: dict[str, Any] | None
    spare: bool
    values: Sequence[tuple[Any, ...]] | None = None  # for each of which the statement is run


class LedgerWriter:
    """Rows in, transactions out; `flush` at least once a second, durably where it matters."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.lost = 0  # rows given up since the start
        self.problem: str | None = None  # why the last flush failed
        self._next_ids = {
            model: (ledger.value(model.select(fn.MAX(model.id))) or 0) + 1 for model in NUMBERED
        }
        self._waiting: deque[_Waiting] = deque()
        self._devices: dict[str, int] = {}
        self._certificates: dict[str, int] = {}
        self._with_der: set[int] = set()  # of those at hand
        self._der_waiting = 0
        self._touched: dict[tuple[Any, int], tuple[int, Any]] = {}
        self._seen: dict[tuple[Any, int], dict[str, Any]] = {}
        self._counts: dict[int, dict[str, int]] = {}

    @property
    def waiting(self) -> int:
        """How many rows are not on the disk yet."""
        return len(self._waiting) + len(self._seen) + len(self._counts)

    def insert(self, model: Any, values: dict[str, Any], *, spare: bool = False) -> int:
        """Queue a new row and return its id."""
        row_id = self._next_ids[model]
        self._next_ids[model] += 1
        self._queue(_Waiting(model, {"id": row_id, **values}, spare))
        return row_id

    def update(self, model: Any, row_id: int, values: dict[str, Any]) -> None:
        """Queue a change of a row."""
        self.run(model.update(**values).where(model.id == row_id))

    def run(self, query: Any, *, spare: bool = False) -> None:
        """Queue any other insert, update or delete."""
        self._queue(_Waiting(query, None, spare))

    def run_many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Queue one statement of SQLite's own with many rows; they go before flows do."""
        self._queue(_Waiting(statement, None, spare=True, values=rows))

    def note(self, key: str, value: str) -> None:
        """Queue a note; it replaces the one of the same key."""
        self.run(Note.insert(key=key, value=value).on_conflict_replace())

    def audit(self, now: int, author: str, event: str, detail: str) -> None:
        """Queue a line of the audit trail."""
        self.insert(AuditEntry, {"time": now, "author": author, "event": event, "detail": detail})

    def count(self, now: int, column: str, amount: int = 1) -> None:
        """Add to a column of the hour that holds `now` (UTC microseconds)."""
        counts = self._counts.setdefault(now // HOUR * HOUR, {})
        counts[column] = counts.get(column, 0) + amount

    def device(self, mac: str | None, address: str, now: int) -> int:
        """Return the id of the device with this MAC, else of the one last seen at `address`."""
        key = mac or address
        device_id = self._devices.get(key)
        if device_id is None:
            device_id = self._find_device(mac, address)
            if device_id is None:
                device_id = self.insert(
                    Device, {"mac": mac, "address": address, "first_seen": now, "last_seen": now}
                )
            _remember(self._devices, key, device_id)
        if self._devices.get(address) != device_id:
            # For what is told of the address later without a MAC; the row may still wait.
            _remember(self._devices, address, device_id)
        self._touch(Device, device_id, (address, mac), {"address": address, "mac": mac}, now)
        return device_id

    def certificate(self, facts: dict[str, Any], der: bytes | None, now: int) -> int:
        """Return the id of the certificate of a flow record; keep its DER if there is one."""
        sha256 = facts["sha256"]
        certificate_id = self._certificates.get(sha256)
        if certificate_id is None:
            found = self._find(
                Certificate.select(Certificate.id, Certificate.der.is_null().alias("bare")).where(
                    Certificate.sha256 == sha256
                )
            )
            if found is None:
                certificate_id = self.insert(
                    Certificate, {**facts, "first_seen": now, "last_seen": now}
                )
            else:
                certificate_id = int(found["id"])
                if not found["bare"]:
                    self._with_der.add(certificate_id)
            gone = _remember(self._certificates, sha256, certificate_id)
            if gone is not None:
                self._with_der.discard(gone)
        news: dict[str, Any] = {}
        waits = self._der_waiting < DER_WAITING
        if der is not None and certificate_id not in self._with_der and waits:
            news["der"] = der
            self._der_waiting += 1
            self._with_der.add(certificate_id)
        self._touch(Certificate, certificate_id, certificate_id in self._with_der, news, now)
        return certificate_id

    def _touch(self, model: Any, row_id: int, state: Any, values: dict[str, Any], now: int) -> None:
        """Write when a row was last seen, if that or its `state` is news."""
        key = (model, row_id)
        written, before = self._touched.get(key, (0, None))
        if before == state and now - written < SEEN_US:
            return
        if len(self._touched) >= 2 * CACHE_LIMIT:  # devices and certificates
            del self._touched[next(iter(self._touched))]
        self._touched[key] = (now, state)
        known = {name: value for name, value in values.items() if value is not None}
        if key not in self._seen and len(self._seen) >= 2 * CACHE_LIMIT:
            self._give_up_seen(next(iter(self._seen)))  # the disk has refused for long
        self._seen.setdefault(key, {}).update({**known, "last_seen": now})

    def _give_up_seen(self, key: tuple[Any, int]) -> None:
        """Let go of what was to be written of one row, which is written anew when it is seen."""
        given_up = self._seen.pop(key)
        self._touched.pop(key, None)
        if "der" in given_up:
            self._der_waiting -= 1
            self._with_der.discard(key[1])
        self.lost += 1

    def clock_set(self) -> None:
        """Write anew when something was last seen: the clock was set."""
        self._touched.clear()

    def flush(self, *, durable: bool = False) -> bool:
        """Write all that waits in one transaction; False (and `problem`) if the disk refuses."""
        if not self.waiting:
            self.problem = None
            return True
        try:
            with self.ledger.transaction(durable=durable):
                for together in _alike(self._waiting):
                    self._write(together)
                self._write_seen_and_counts()
        except LedgerRefusedError:
            return self._flush_one_by_one(durable)
        except LedgerError as error:
            self.problem = str(error)
            self._shorten()
            return False
        self._written()
        return True

    def retain(self, now: int, days: int, max_bytes: int) -> bool:
        """Flush, then forget one chunk of what is too old or too much; True if there is more."""
        if not self.flush():
            return False
        try:
            more = retain(self.ledger, now, days, max_bytes)
        except LedgerError as error:
            self.problem = str(error)
            return False
        if more:  # ids at hand may be of rows that are gone now
            self._devices.clear()
            self._certificates.clear()
            self._with_der.clear()
            self._touched.clear()
        return more

    def _flush_one_by_one(self, durable: bool) -> bool:
        """Write what is left of a batch with a refused row in it; that row is lost and counted."""
        refused = 0
        try:
            with self.ledger.transaction(durable=durable):
                for waiting in self._waiting:
                    try:
                        with self.ledger.database.savepoint():
                            self._write([waiting])
                    except LedgerRefusedError as error:
                        refused += 1
                        self.problem = str(error)
                self._write_seen_and_counts()
        except LedgerError as error:
            self.problem = str(error)
            self._shorten()
            return False
        self.lost += refused
        self._written()
        return True

    def _written(self) -> None:
        self._waiting.clear()
        self._seen.clear()
        self._counts.clear()
        self._der_waiting = 0
        self.problem = None

    def _write_seen_and_counts(self) -> None:
        for (model, row_id), values in self._seen.items():
            self.ledger.execute(model.update(**values).where(model.id == row_id))
        for hour, counts in self._counts.items():
            added = {
                getattr(HourlyRollup, name): getattr(HourlyRollup, name) + amount
                for name, amount in counts.items()
            }
            self.ledger.execute(
                HourlyRollup.insert(hour=hour, **counts).on_conflict(
                    conflict_target=[HourlyRollup.hour], update=added
                )
            )

    def _write(self, together: Sequence[_Waiting]) -> None:
        first = together[0]
        if first.values is not None:
            self.ledger.execute_many(first.what, first.values)
        elif first.row is None:
            self.ledger.execute(first.what)
        else:
            self.ledger.insert(first.what, [one.row for one in together if one.row is not None])

    def _queue(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        if len(self._waiting) > WAITING_LIMIT:
            self._shorten()

    def _shorten(self) -> None:
        """Give up the oldest spare rows (flows), then the oldest of all, down to the limit."""
        excess = len(self._waiting) - WAITING_LIMIT
        if excess <= 0:
            return
        kept: deque[_Waiting] = deque()
        for waiting in self._waiting:
            if excess and waiting.spare:
                excess -= 1
                self.lost += 1
            else:
                kept.append(waiting)
        for _ in range(excess):
            kept.popleft()
            self.lost += 1
        self._waiting = kept

    def _find_device(self, mac: str | None, address: str) -> int | None:
        devices = Device.select(Device.id).order_by(Device.last_seen.desc())
        found = None
        if mac is not None:
            found = self._find(devices.where(Device.mac == mac))
            # A device known by address alone so far now shows its MAC: it is still the same one.
            devices = devices.where(Device.mac.is_null())
        if found is None:
            found = self._find(devices.where(Device.address == address))
        return None if found is None else int(found["id"])

    def _find(self, query: Any) -> dict[str, Any] | None:
        """Look a row up; a ledger that cannot be read knows nothing, and `problem` says so."""
        try:
            return self.ledger.row(query)
        except LedgerError as error:
            self.problem = str(error)
            return None


def _alike(waiting: Iterable[_Waiting]) -> Iterator[Sequence[_Waiting]]:
    """Yield what waits in its order, rows of one table with the same columns together."""
    together: list[_Waiting] = []
    for one in waiting:
        first = together[0] if together else None
        if first is not None and not (
            first.row is not None
            and one.row is not None
            and first.what is one.what
            and list(first.row) == list(one.row)
        ):
            yield together
            together = []
        together.append(one)
    if together:
        yield together


def _remember(cache: dict[str, int], key: str, row_id: int) -> int | None:
    """Keep an id at hand; the one that came first goes when there are too many, and is returned."""
    gone = cache.pop(next(iter(cache))) if len(cache) >= CACHE_LIMIT else None
    cache[key] = row_id
    return gone
