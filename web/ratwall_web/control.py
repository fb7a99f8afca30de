"""What the page asks of the controller: its status, and every change.

Never changes anything itself. A refusal comes back as words to show; a controller that does not
answer is a fact to show, not a failure: the ledger can still be read.
"""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratwall.controller.client import Client

from ratwall.errors import RatwallError

AUTHOR = "admin"
# Several open tabs polling every 2 s ask the controller once.
STATUS_KEPT_S = 1.0


@dataclass(frozen=True, slots=True)
class Status:
    """The controller's answer, or why there is none."""

    facts: dict[str, Any] | None
    failure: str | None = None


class Control:
    """The controller's socket; one connection per question."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._status: Status | None = None
        self._asked = 0.0

    def status(self) -> Status:
        """Return the controller's state, at most STATUS_KEPT_S old."""
        with self._lock:
            now = self._clock()
            if self._status is None or now - self._asked >= STATUS_KEPT_S:
                self._status = self._ask()
                self._asked = now
            return self._status

    def change(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Ask for a change in the admin's name; RatwallError is a refusal in words."""
        answer: dict[str, Any] = Client(self._path).call(command, author=AUTHOR, **arguments)
        with self._lock:
            self._status = None  # the next page must show what was just done
        return answer

    def record(self, event: str, detail: str) -> None:
        """Put a line into the audit trail; without a controller it goes to this process's log."""
        try:
            Client(self._path).call("audit", event=event, detail=detail, author=AUTHOR)
        except RatwallError as error:
            print(
                f"ratwall-web: {event}: {detail} (not in the audit trail: {error})", file=sys.stderr
            )

    def _ask(self) -> Status:
        try:
            return Status(Client(self._path).call("status"))
        except RatwallError as error:
            return Status(None, str(error))
