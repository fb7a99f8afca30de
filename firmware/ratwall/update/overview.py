"""Both slots as the page may see them: asked by root, kept in a file that anybody may read.

RAUC answers only root, and the page's process does not even see the kernel's command line. So
whoever changes a slot, or looks after a start, leaves here what is true from then on.
"""

import json
import sys
from dataclasses import dataclass
from typing import Any

from ratwall.errors import RatwallError
from ratwall.replacing import replace_file
from ratwall.update import rauc
from ratwall.update.attempt import Attempt
from ratwall.update.place import Place, last_attempt, read_running
from ratwall.update.slots import Slot, other_slot

NAME = "slots.json"
BYTES_LIMIT = 16_384
TEXT_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Overview:
    """What runs, and what else is there."""

    version: str
    board: str
    slot: str
    keys: str
    other_slot: str
    other_version: str
    other_good: bool


def version_in(slot: Slot, last: Attempt | None) -> str:
    """Return which version a slot holds, as far as anybody knows."""
    if last is not None and last.slot == slot.name:
        return last.version
    if last is not None:
        return last.former  # what ran from there when the last update began
    return slot.version or "as delivered"


def keep(place: Place) -> None:
    """Leave what is true now; without RAUC's answer, or without the partition, nothing."""
    running = read_running(place)
    if running.slot is None:
        return
    try:
        other = rauc.slots()[other_slot(running.slot)]
        found = {
            "version": running.version,
            "board": running.board or "",
            "slot": running.slot,
            "keys": running.keys or "",
            "other_slot": other.name,
            "other_version": version_in(other, last_attempt(place)),
            "other_good": other.good,
        }
        replace_file(place.directory / NAME, json.dumps(found) + "\n")
    except (OSError, RatwallError) as error:
        print(f"ratwall: update: the slots are not shown: {error}", file=sys.stderr)


def read(place: Place) -> Overview | None:
    """Return what was left, None if nothing was, or nothing usable."""
    try:
        with (place.directory / NAME).open("rb") as file:
            found: dict[str, Any] = json.loads(file.read(BYTES_LIMIT))
        overview = Overview(**found)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    texts = [value for key, value in found.items() if key != "other_good"]
    short = all(isinstance(text, str) and len(text) <= TEXT_LIMIT for text in texts)
    return overview if short and isinstance(overview.other_good, bool) else None
