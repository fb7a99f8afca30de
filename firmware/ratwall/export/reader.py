"""The ledger as a courier reads it: opened for each look, as a user who may write nothing."""

from collections.abc import Callable
from pathlib import Path

from ratwall.export.courier import Reading
from ratwall.export.records import Record
from ratwall.export.source import Look, Position, look, newest_state
from ratwall.ledger.store import open_ledger


def reading(path: Path, wall: Callable[[], int]) -> Reading:
    """Return what looks into the ledger at `path`; `wall` gives UTC microseconds."""

    def look_now(told: Position | None, handed: Position | None, limit: int) -> Look:
        with open_ledger(path, read_only=True) as ledger:
            return look(ledger, told, handed, limit, wall())

    return look_now


def state_of(path: Path) -> Record | None:
    """Return the state that the box is in; LedgerError while the ledger cannot be read."""
    with open_ledger(path, read_only=True) as ledger:
        return newest_state(ledger)
