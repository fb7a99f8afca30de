"""What the page asks of the controller: its status, and every change.

Never changes anything itself. A refusal comes back as words to show; a controller that does not
answer is a fact to show, not a failure: the ledger can still be read. The client waits half a
minute, which is right for a change and wrong for a page that is drawn every two seconds, so the
status is asked by a thread of its own, one at a time, and the audit trail is written by another.
"""

import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ratwall.controller.client import Client
from ratwall.errors import NotRunningError, RatwallError
from ratwall_web import wording
from ratwall_web.author import current_author
from ratwall_web.language import _
from ratwall_web.told import told

API_AUTHOR = "api:"  # and the token's name; the controller takes no author but this and users
CONFLICT = 409  # the controller refused
UNAVAILABLE = 503  # it did not answer
# Several open tabs polling every 2 s ask the controller once.
STATUS_KEPT_S = 1.0
# A healthy controller answers in milliseconds; one that hangs must not hang the page.
STATUS_WAIT_S = 2.0
# Sign-ins waiting to be written down; the lock-out lets hardly more come in a minute.
AUDIT_WAITING = 64


class RefusedError(RatwallError):
    """A change that was not made, or not for certain; `status` is the HTTP status that says so."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Status:
    """The controller's answer, or why there is none."""

    facts: dict[str, Any] | None
    failure: str | None = None


@dataclass(slots=True)
class Question:
    """A status that is being asked for; `answer` is there when `done` is set."""

    done: threading.Event = field(default_factory=threading.Event)
    answer: Status = Status(None)


class Control:
    """The controller's socket; one connection per question."""

    def __init__(
        self, path: Path, clock: Callable[[], float], author: Callable[[], str] = current_author
    ) -> None:
        self._client = Client(path)
        self._author = author
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: Status | None = None
        self._kept_at = 0.0
        self._asking: Question | None = None
        self._audit: queue.Queue[tuple[str, str, str]] = queue.Queue(AUDIT_WAITING)
        self._clerk: threading.Thread | None = None

    def status(self) -> Status:
        """Return the controller's state, at most STATUS_KEPT_S old, after STATUS_WAIT_S at most."""
        with self._lock:
            if self._kept is not None and self._clock() - self._kept_at < STATUS_KEPT_S:
                return self._kept
            if self._asking is None:
                self._asking = Question()
                threading.Thread(target=self._ask, args=(self._asking,), daemon=True).start()
            question = self._asking
        if not question.done.wait(STATUS_WAIT_S):
            return Status(None, f"No answer within {STATUS_WAIT_S:.0f} seconds.")
        return question.answer

    def change(
        self, command: str, *, author: str | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """Ask for a change in the name of `author`, or of whoever is signed in.

        RefusedError says in words why it was not done.
        """
        try:
            return self._client.call(command, author=author or self._author(), **arguments)
        except NotRunningError as error:
            never_asked = isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError)
            text = wording.NOT_ASKED if never_asked else wording.NOT_KNOWN
            raise RefusedError(_(text), UNAVAILABLE) from error
        except RatwallError as error:
            text = _(wording.NOTHING_CHANGED, reason=told(str(error)))
            raise RefusedError(text, CONFLICT) from error
        finally:
            with self._lock:
                self._kept = None  # the next page must show what was just done

    def ask(self, question: str) -> dict[str, Any]:
        """Return the answer to a question; RatwallError says why there is none."""
        return self._client.call(question)

    def record(self, event: str, detail: str, author: str | None = None) -> None:
        """Put a line into the audit trail; what cannot get there goes to this process's log."""
        author = author or self._author()
        with self._lock:
            if self._clerk is None:
                self._clerk = threading.Thread(target=self._write_down, daemon=True)
                self._clerk.start()
        try:
            self._audit.put_nowait((event, detail, author))
        except queue.Full:
            _log(event, detail, "too many at once")

    def _ask(self, question: Question) -> None:
        try:
            question.answer = Status(self._client.call("status"))
        except RatwallError as error:
            question.answer = Status(None, str(error))
        finally:
            with self._lock:
                self._kept, self._kept_at = question.answer, self._clock()
                self._asking = None
            question.done.set()

    def _write_down(self) -> None:
        while True:
            event, detail, author = self._audit.get()
            try:
                self._client.call("audit", event=event, detail=detail, author=author)
            except RatwallError as error:
                _log(event, detail, str(error))


def _log(event: str, detail: str, reason: str) -> None:
    print(f"ratwall-web: {event}: {detail} (not in the audit trail: {reason})", file=sys.stderr)
