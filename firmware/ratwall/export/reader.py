"""The ledger as a courier reads it: opened for each look, as a user who may write nothing."""

from collections.abc import Callable
from pathlib import Path

from ratwall.export.courier import Reading
from ratwall.export.source import Look, Position, look
from ratwall.ledger.store import open_ledger


def reading(path: Path, wall: Callable[[], int]) -> Reading:
    """Return what looks into the ledger at `path`; `wall` gives UTC microseconds."""

    def look_now(told: Position | None, handed: Position | None, limit: int) -> Look:
        with open_ledger(path, read_only=True) as ledger:
            return look(ledger, told, handed, limit, wall())

    return look_now
