"""Keeps what was heard of observed connections over a restart: a rhythm goes on where it was.

Writes beats down in batches, reads them at the start, and hands back what still runs. Decides
nothing.

Design note: who has the same ends after a restart need not be the same connection. Conntrack's
table says which ends are there, and a hello that is seen later begins anew.
"""

from collections.abc import Set
from itertools import islice
from typing import Any, Final

from ratwall.controller.books import Books
from ratwall.controller.listener import Listener
from ratwall.controller.observation import Observation
from ratwall.controller.proofs import Connection
from ratwall.controller.rhythms import Past, Rhythms
from ratwall.ledger import heard
from ratwall.ledger.heard import HeardRow
from ratwall.ledger.store import LedgerError
from ratwall.rhythm.beats import BeatLog
from ratwall.rhythm.decide import Circumstances

WRITE_US: Final = 10_000_000  # a batch: less than a period of these families
BATCH: Final = 128  # connections, some 10 ms of work; what is left has its turn ten seconds later
TOLD_PARTS: Final = 4  # rule, with the shape or not, decisive or not, at which burst


class Hearing(Listener):
    """Add it behind the observation."""

    def __init__(self, observation: Observation, rhythms: Rhythms) -> None:
        self._observation = observation
        self._rhythms = rhythms
        self._books: Books
        self._due = 0
        self._began = False
        # Read, and waiting for conntrack to say who still runs.
        self._earlier: dict[Connection, HeardRow] = {}
        self._written: set[Connection] = set()

    def start(self, books: Books) -> None:
        """Take the books, and read what was heard; with another ledger all is written anew."""
        self._books = books
        if self._began:
            self._written.clear()
            self._rhythms.write_anew()
            heard.forget_all(books.writer)
            return
        self._began = True
        try:
            self._earlier = {
                row.ends: row for row in heard.recent(books.ledger, self._observation.now())
            }
        except LedgerError:
            return  # the writer says what is wrong with the ledger

    def take_table(self, there: Set[Connection]) -> None:
        """Go on with what still runs, and let go of the rest."""
        earlier, self._earlier = self._earlier, {}
        gone = []
        for connection, row in earlier.items():
            past = _past(row) if connection in there else None
            if past is None:
                gone.append(connection)
            elif self._observation.resume(connection, row.reasons, row.score):
                self._written.add(connection)
                self._rhythms.restore(connection, past)
        if earlier:
            heard.forget(self._books.writer, gone)

    def tick(self, now: int) -> None:
        """Write a batch when it is due."""
        if now >= self._due or self._due - now > WRITE_US:  # the clock may have been set back
            self._due = now + WRITE_US
            self._write(BATCH)

    def stop(self) -> None:
        """Write all there is."""
        self._write(None)

    def _write(self, most: int | None) -> None:
        writer = self._books.writer
        if writer.problem is not None:
            return  # with a disk that refuses nothing waits here but what runs
        gone = [one for one in self._written if one not in self._rhythms]
        self._written.difference_update(gone)
        heard.forget(writer, gone)
        rows = []
        for connection, past in islice(self._rhythms.unwritten(all_of_it=most is None), most):
            reasons, score = self._observation.standing(connection)
            self._written.add(connection)
            rows.append(_row(connection, past, reasons, score))
        heard.write(writer, rows)


def _row(connection: Connection, past: Past, reasons: tuple[str, ...], score: int) -> HeardRow:
    around = past.around
    beats = past.log.as_dict()
    return HeardRow(
        connection,
        past.log.times[-1],
        around.named,
        around.tls_version,
        score,
        reasons,
        past.told,
        beats,
    )


def _past(row: HeardRow) -> Past | None:
    """Return what a row says, None if it is none of ours."""
    try:
        log = BeatLog.from_dict(row.beats)
    except ValueError:
        return None
    return Past(log, Circumstances(row.named, row.tls_version), _told(row.told))


def _told(values: tuple[Any, ...] | None) -> tuple[str, bool, bool, int] | None:
    if values is None or len(values) != TOLD_PARTS:
        return None
    rule, shape, decisive, burst = values
    return str(rule), bool(shape), bool(decisive), int(burst)
