"""Puts right what was written by a clock that was wrong: a box without a battery starts with one.

Never touches what is older than the time it is given, and only times at which something was seen:
what has an end that somebody chose is moved by who keeps it.
"""

from typing import Final

from ratwall.ledger.writer import LedgerWriter

# Who is rare, and how long the box has been here, is told from these.
_SEEN: Final = {
    "device": ("first_seen", "last_seen"),
    "contact": ("first_seen", "last_seen"),
    "connection": ("start",),
    "flow": ("start", "end"),
    "detection": ("time",),
    "name": ("first_seen", "last_seen"),
    "resolution": ("first_seen", "last_seen"),
    "lookup": ("first_seen", "last_seen"),
}


def move(writer: LedgerWriter, since: int, by: int) -> None:
    """Queue the move of all times since a time by a step of the clock; both microseconds."""
    for table, columns in _SEEN.items():
        for column in columns:
            statement = f'UPDATE "{table}" SET "{column}" = "{column}" + ? WHERE "{column}" >= ?'  # noqa: S608
            writer.run_many(statement, [(by, since)])
