"""How far an update that the page asked for has come, from its job to the page; pure.

In memory, and gone with the restart: what lasts is the record of the attempt (`attempt`).
"""

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Any

STATE_NAME = "update-state.json"  # beside the steward's request, in /run/ratwall
REQUEST_NAME = "update-request.json"
BYTES_LIMIT = 16_384
TEXT_LIMIT = 1_000  # characters of a reason
STATES = ("running", "done", "failed")
STEPS = ("", "fetch", "check", "write")
PERCENT = re.compile(r"\s*([0-9]{1,3})%(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Progress:
    """One change of the version; times are UTC microseconds."""

    what: str  # install or rollback
    state: str
    step: str
    percent: int
    began: int
    ended: int | None
    reason: str

    def told(self, text: str) -> "Progress":
        """Return it after one line of what an installation tells."""
        match = PERCENT.match(text)
        if match is None:
            return replace(self, step="check", percent=0)
        step = "fetch" if match[2].strip() == "fetched" else "write"
        return replace(self, step=step, percent=min(int(match[1]), 100))

    def over(self, now: int, reason: str = "") -> "Progress":
        """Return it as over: failed for a reason, done without one."""
        state = "failed" if reason else "done"
        return replace(self, state=state, ended=now, reason=reason[:TEXT_LIMIT])


def begin(what: str, now: int) -> Progress:
    """Return a change that has just been asked for."""
    return Progress(what, "running", "", 0, now, None, "")


def dump(progress: Progress) -> str:
    """Return it as it is kept."""
    return json.dumps(asdict(progress)) + "\n"


def load(raw: bytes) -> Progress | None:
    """Return what was kept, None if that is not one."""
    try:
        found: dict[str, Any] = json.loads(raw)
        progress = Progress(**found)
    except (ValueError, TypeError, RecursionError):
        return None
    numbers = (progress.percent, progress.began, progress.ended or 0)
    whole = all(isinstance(number, int) for number in numbers)
    known = progress.state in STATES and progress.step in STEPS
    short = isinstance(progress.reason, str) and len(progress.reason) <= TEXT_LIMIT
    return progress if whole and known and short and isinstance(progress.what, str) else None
