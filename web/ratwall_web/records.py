"""What the page reads from the ledger; never written from here.

Each call opens the file, reads and closes it: the controller may set a broken ledger aside and
start a fresh one at any time, and a connection kept open would go on showing the old file. Times
are UTC microseconds.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ratwall import __version__
from ratwall.evidence import capture, package
from ratwall.ledger import queries
from ratwall.ledger.store import Ledger, open_ledger
from ratwall_web.numbers import ROW_LIMIT

Row = dict[str, Any]
T = TypeVar("T")
# Rows on one page of a list: three phone screens, and quick to draw on an old one.
PAGE_ROWS = 50


def now_us() -> int:
    """Return the time of day as UTC microseconds."""
    return time.time_ns() // 1000


class Records:
    """The ledger of one box, read-only."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def dashboard(self) -> Row:
        """Return the figures of today, the last 24 hours and the newest incidents."""
        with self._open() as ledger:
            return queries.dashboard(ledger, now_us())

    def incidents(
        self, before: int | None, state: str | None, device: int | None = None
    ) -> list[Row]:
        """Return a page of incidents, newest first, older than the one with id `before`."""
        with self._open() as ledger:
            return queries.incidents(
                ledger, limit=PAGE_ROWS + 1, before_id=before, state=state, device=device
            )

    def incident(self, number: int) -> Row | None:
        """Return one incident with all that belongs to it, or None."""
        with self._open() as ledger:
            return queries.incident(ledger, number)

    def evidence(self, number: int, made: int) -> dict[str, bytes] | None:
        """Return the files of an incident's evidence package, or None."""
        with self._open() as ledger:
            captured = partial(capture.between, self._path.parent / capture.DIRECTORY)
            return package.contents(ledger, number, made, __version__, captured)

    def devices(self) -> list[Row]:
        """Return every device seen."""
        with self._open() as ledger:
            return queries.devices(ledger)

    def device(self, number: int) -> Row | None:
        """Return one device with its incidents and connections, or None."""
        with self._open() as ledger:
            return queries.device(ledger, number)

    def flow(self, number: int) -> Row | None:
        """Return one judged connection, or None."""
        with self._open() as ledger:
            found = queries.flows(ledger, limit=1, before_id=just_above(number))
        return next((flow for flow in found if flow["id"] == number), None)

    def actions(self) -> list[Row]:
        """Return what is in force now: what was blocked and allowed, by whom, until when."""
        with self._open() as ledger:
            return queries.actions(ledger, now_us(), active_only=True)

    def ask(self, query: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Return the answer to one of the ledger's queries."""
        with self._open() as ledger:
            return query(ledger, *arguments, **named)

    @contextmanager
    def _open(self) -> Iterator[Ledger]:
        with open_ledger(self._path, read_only=True) as ledger:
            yield ledger


def just_above(number: int) -> int | None:
    """Return the id below which a row of this number is the newest; None above all that can be."""
    return number + 1 if number < ROW_LIMIT else None


def split_page(rows: list[Row]) -> tuple[list[Row], int | None]:
    """Return the rows to show and the id to continue before; one row more than shown was read."""
    if len(rows) <= PAGE_ROWS:
        return rows, None
    shown = rows[:PAGE_ROWS]
    return shown, int(shown[-1]["id"])
