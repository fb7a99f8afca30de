"""The ledger's side of what was heard of observed connections: their beats, written and read back.

Never judges. A row is of a connection that runs; what has ended is deleted, and what a crash has
left behind is a day old at most.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ratwall.ledger.store import Ledger
from ratwall.ledger.writer import LedgerWriter

DAY: Final = 86_400_000_000  # microseconds
ROWS: Final = 4096  # read at a start in a quarter of a second; what is observed at most by default

Ends = tuple[str, int, str, int]  # client, its port, server, its port

_WRITE: Final = """
INSERT INTO heard (client, client_port, server, server_port, last, named, tls_version, score,
  reasons, told, beats)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (client, client_port, server, server_port) DO UPDATE SET
  last = excluded.last, named = excluded.named, tls_version = excluded.tls_version,
  score = excluded.score, reasons = excluded.reasons, told = excluded.told, beats = excluded.beats
"""
_FORGET: Final = """
DELETE FROM heard WHERE client = ? AND client_port = ? AND server = ? AND server_port = ?
"""
_READ: Final = """
SELECT client, client_port, server, server_port, last, named, tls_version, score, reasons, told,
  beats
FROM heard WHERE last > ? AND last <= ? ORDER BY last DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class HeardRow:
    """One connection; `last` is when its newest burst or message was, UTC microseconds."""

    ends: Ends
    last: int
    named: bool | None
    tls_version: str | None
    score: int
    reasons: tuple[str, ...]
    told: tuple[Any, ...] | None
    beats: dict[str, Any]


def write(writer: LedgerWriter, rows: Sequence[HeardRow]) -> None:
    """Queue what was heard, in place of what was written of the same connections before."""
    if rows:
        writer.run_many(
            _WRITE,
            [
                (
                    *(*row.ends, row.last, row.named, row.tls_version, row.score),
                    json.dumps(row.reasons),
                    None if row.told is None else json.dumps(row.told),
                    json.dumps(row.beats, separators=(",", ":")),
                )
                for row in rows
            ],
        )


def forget(writer: LedgerWriter, ends: Iterable[Ends]) -> None:
    """Queue that connections have ended, or are observed no longer."""
    gone = list(ends)
    if gone:
        writer.run_many(_FORGET, gone)


def forget_all(writer: LedgerWriter) -> None:
    """Queue that all is written anew."""
    writer.run_many("DELETE FROM heard WHERE id > ?", [(0,)])


def recent(ledger: Ledger, now: int) -> Iterator[HeardRow]:
    """Yield what was heard within a day, the newest first; LedgerError as `tuples`.

    A row that cannot be read is left out.
    """
    for row in ledger.tuples(_READ, (now - DAY, now, ROWS)):
        *ends, last, named, tls_version, score, reasons, told, beats = row
        try:
            yield HeardRow(
                (ends[0], ends[1], ends[2], ends[3]),
                last,
                None if named is None else bool(named),
                tls_version,
                score,
                tuple(json.loads(reasons)),
                None if told is None else tuple(json.loads(told)),
                dict(json.loads(beats)),
            )
        except (ValueError, TypeError):
            continue
