"""Whether somebody is let in for support, and until when: as the steward left it, in memory.

Only read here. The door itself is `ratwall-support.service`: a time-out ends it, a restart too.
"""

import json
from dataclasses import dataclass
from pathlib import Path

BYTES_LIMIT = 4_096
FINGERPRINT_LIMIT = 100
ACCESS_NAME = "support.json"  # of the steward
FINGERPRINT_NAME = "support-fingerprint"  # of the door: its own key, made anew each time


@dataclass(frozen=True, slots=True)
class Access:
    """An open door; `until` is UTC microseconds."""

    until: int
    fingerprint: str


def read_access(runtime_dir: Path, now: int) -> Access | None:
    """Return the open door, None if there is none."""
    try:
        with (runtime_dir / ACCESS_NAME).open("rb") as file:
            until = json.loads(file.read(BYTES_LIMIT))["until"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(until, int) or until <= now:
        return None
    try:
        with (runtime_dir / FINGERPRINT_NAME).open("rb") as file:
            words = file.read(FINGERPRINT_LIMIT).decode(errors="replace").split()
    except OSError:
        words = []
    return Access(until, words[0] if words else "")
