"""One attempt to run another version, from its installation to what became of it; pure.

It never reads or writes a file. Design note: an attempt is written down before anything is changed,
so whatever cuts it short (power, panic, a version that hangs), the version that runs afterwards can
say what happened. "good" is only ever written by the new version's own passed check.
"""

import json
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any

from ratwall.errors import RatwallError

TEXT_LIMIT = 2_000  # characters of a field; a reason names some units, a version has ten
BYTES_LIMIT = 65_536  # of the whole record: eight such fields
SLOTS = ("A", "B")


class AttemptError(RatwallError):
    """The record of an attempt cannot be understood."""


class State(StrEnum):
    """How far an attempt came."""

    WRITING = "writing"  # the other slot is being written
    INSTALLED = "installed"  # the next start takes it, on trial
    TRIAL = "trial"  # it runs, and its check is not over
    GOOD = "good"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was tried; times are UTC microseconds."""

    version: str
    slot: str  # the one it runs from
    former: str  # the version that ran when it began
    began: int
    boot_id: str  # of the boot in which it began
    state: State = State.WRITING
    reason: str = ""  # why it failed
    ended: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is not known yet what becomes of it."""
        return self.state not in (State.GOOD, State.FAILED)

    def end(self, now: int, reason: str = "") -> "Attempt":
        """Return it as over: failed for a reason, good without one."""
        state = State.FAILED if reason else State.GOOD
        return replace(self, state=state, reason=reason[:TEXT_LIMIT], ended=now)


@dataclass(frozen=True, slots=True)
class Tries:
    """What the boot loader keeps of a slot; None where it keeps nothing of the kind."""

    ok: bool | None = None
    used: int | None = None


TRIES_LIMIT = 3  # grub.cfg leaves a slot after so many starts that nobody called good


def dump(attempt: Attempt) -> bytes:
    """Return an attempt as it is kept."""
    return json.dumps(asdict(attempt), indent=1).encode() + b"\n"


def load(raw: bytes) -> Attempt:
    """Return a kept attempt; AttemptError if it is not one."""
    try:
        found = json.loads(raw)
        if not isinstance(found, dict) or found.keys() != {field.name for field in fields(Attempt)}:
            raise ValueError("not the fields of an attempt")
        return Attempt(**{**_checked(found), "state": State(found["state"])})
    except (ValueError, RecursionError) as error:
        raise AttemptError(f"the record of the last update cannot be read: {error}") from error


def _checked(found: dict[str, Any]) -> dict[str, Any]:
    for name in ("version", "slot", "former", "boot_id", "state", "reason"):
        value = found[name]
        if not isinstance(value, str) or len(value) > TEXT_LIMIT:
            raise ValueError(f"{name}: expected a short text")
    for name in ("began", "ended"):
        value = found[name]
        absent = value is None and name == "ended"
        if not absent and (not isinstance(value, int) or isinstance(value, bool)):
            raise ValueError(f"{name}: expected a time")
    if found["slot"] not in SLOTS:
        raise ValueError(f"slot: expected A or B, found {found['slot'][:20]!r}")
    return found


def is_on_trial(attempt: Attempt | None, running: str | None) -> bool:
    """Whether the slot that runs is one that nobody has called good yet."""
    return attempt is not None and attempt.is_open and attempt.slot == running


def settle(
    attempt: Attempt, *, running: str, boot_id: str, tries: Tries, now: int
) -> Attempt | None:
    """Say, in a version that runs, what became of an attempt to run another; None if it is not
    over, or was settled before.

    `tries` is what the boot loader keeps of the attempt's slot.
    """
    if not attempt.is_open or attempt.slot == running or attempt.boot_id == boot_id:
        return None
    if attempt.state is State.WRITING:
        return attempt.end(
            now,
            "the installation was cut short (power cut or restart); the version that ran before"
            " runs on unchanged. Install it again",
        )
    if tries.ok is False:
        return attempt.end(now, "it did not pass its check; which part was not written down")
    if tries.used is None or tries.used >= TRIES_LIMIT:
        count = f" ({tries.used} tries)" if tries.used is not None else ""
        started = attempt.state is State.TRIAL
        words = "it restarted before its check was over" if started else "it did not start"
        return attempt.end(now, words + count)
    return attempt.end(now, "the boot loader did not start it. Install it again")


NEWS_SECONDS = 7 * 86_400  # a version that works is news for a week, one that failed until the next


def notice(attempt: Attempt | None, now: int) -> str | None:
    """Say in the owner's words what is to be known of the last attempt; None if nothing is."""
    if attempt is None:
        return None
    if attempt.state is State.FAILED:
        return (
            f"The update to version {attempt.version} did not work, and version {attempt.former}"
            f" runs on. Reason: {attempt.reason}"
        )
    if attempt.state is State.GOOD:
        fresh = attempt.ended is not None and now - attempt.ended < NEWS_SECONDS * 1_000_000
        return f"Updated: version {attempt.version} runs and works." if fresh else None
    if attempt.state is State.TRIAL:
        return f"Version {attempt.version} is new and being checked."
    if attempt.state is State.WRITING:
        return f"Version {attempt.version} is being installed."
    return f"Version {attempt.version} is installed. It starts when the box restarts."
