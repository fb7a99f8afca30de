"""What happened to the box itself: when it was bypassed, when it was not running, and why.

The newest few, kept in the ledger's notes, so that a person who comes hours later finds them in
`ratwall status` and on the page. Incidents and connections have tables of their own, and so has
each change of the box's state, for those who are told of it elsewhere.
"""

import json
from typing import Any

from ratwall.ledger.models import BoxState
from ratwall.ledger.writer import LedgerWriter

NOTE = "story"
RUNNING_NOTE = "running"  # "yes", or when it was stopped (UTC microseconds)
LIMIT = 20  # interruptions kept: a night of them fits on one screen
WHOLE = ("protecting", "monitor")  # states in which everything is looked at


class Story:
    """Interruptions, newest last: each with `what`, `since` (null: not known) and `until`."""

    def __init__(self, writer: LedgerWriter, notes: dict[str, str], now: int) -> None:
        self._writer = writer
        self._told: str | None = None  # the state that was written last
        self._entries: list[dict[str, Any]] = json.loads(notes.get(NOTE, "[]"))
        for entry in self._entries:
            entry["until"] = entry["until"] or now  # open when the last controller ended
        before = notes.get(RUNNING_NOTE)
        if before == "yes":
            self._add("the controller ended without a word and was started again", None, now)
        elif before is not None:
            self._add("Ratwall was not running", int(before), now)
        self._writer.note(RUNNING_NOTE, "yes")

    def watch(self, state: str, reason: str | None, now: int) -> None:
        """Take in the state of protection."""
        if state not in ("starting", self._told):
            self._tell(state, reason, now)
        open_entry = self._entries[-1] if self._entries else None
        if open_entry is not None and open_entry["until"] is not None:
            open_entry = None
        if state in WHOLE:
            if open_entry is not None:
                open_entry["until"] = now
                self._keep()
        elif state != "starting" and open_entry is None:
            self._add(reason or state, now, None)

    def pass_by(self, what: str, now: int) -> None:
        """Take in an interruption that was over before anybody looked, unless one is open."""
        if not self._entries or self._entries[-1]["until"] is not None:
            self._add(what, now, now)
            self._tell("bypassed", what, now)

    def stop(self, now: int) -> None:
        """Note an orderly end."""
        self._tell("stopped", "Ratwall was stopped", now)
        self._writer.note(RUNNING_NOTE, str(now))

    def entries(self) -> list[dict[str, Any]]:
        """Return the interruptions, newest first."""
        return list(reversed(self._entries))

    def _add(self, what: str, since: int | None, until: int | None) -> None:
        self._entries = [*self._entries, {"what": what, "since": since, "until": until}][-LIMIT:]
        self._keep()

    def _tell(self, state: str, reason: str | None, now: int) -> None:
        self._told = state
        self._writer.insert(BoxState, {"time": now, "state": state, "reason": reason})

    def _keep(self) -> None:
        self._writer.note(NOTE, json.dumps(self._entries))
