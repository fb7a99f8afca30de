"""Keeps on disk how far a receiver has been told, so that a restart leaves no hole.

A file a receiver, replaced whole, and not forced to the disk: it may change every second. What
cannot be read is no cursor: then the last day is told again, which is better than a hole.
"""

import json
from pathlib import Path
from typing import Final

from ratwall.export.source import Position
from ratwall.replacing import replace_file

FILE_MODE: Final = 0o640  # the controller, of the same group, shows how receivers fare
FILE_LIMIT: Final = 4096  # bytes; the file has under 100
SEQUENCE_HIGH: Final = 2**63 - 1  # what a column of SQLite's holds


class Cursor:
    """The position of one receiver."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Position | None:
        """Return the position that was kept, None if there is none."""
        try:
            with self._path.open("rb") as file:
                found = json.loads(file.read(FILE_LIMIT))
            ledger, sequence = found["ledger"], found["sequence"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        if not isinstance(ledger, str) or type(sequence) is not int:
            return None
        return Position(ledger, sequence) if 0 <= sequence <= SEQUENCE_HIGH else None

    def keep(self, position: Position) -> None:
        """Write a position; OSError if the disk refuses."""
        kept = {"ledger": position.ledger, "sequence": position.sequence}
        replace_file(self._path, json.dumps(kept), mode=FILE_MODE, durable=False)
