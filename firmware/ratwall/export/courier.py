"""Brings one receiver what it has not been told yet: in order, at least once, not too fast.

Knows no network and no clock of its own: `turn` does one step and says how long to wait until the
next. The ledger is the store; nothing waits in memory but the batch under way. What was handed over
counts as told only when the receiver has settled for it; when the connection breaks before that, it
is told again.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ratwall.errors import RatwallError
from ratwall.export.records import Record, clean
from ratwall.export.source import Batch, Look, Position

BATCH: Final = 50  # records at once: what a receiver takes within a second
# Between two batches of a backlog: 200 records a second at most, so that a day's outage is caught
# up within minutes and no link of an office is filled by it.
PAUSE_SECONDS: Final = 0.25
LOOK_SECONDS: Final = 1.0  # between two looks when there is nothing to tell
FIRST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = 60.0  # doubled up to this: a receiver is found again within a minute
ERROR_LIMIT: Final = 200  # characters of a complaint


class DeliveryError(RatwallError):
    """A receiver was not told; the text says why, without a secret."""


class Receiver(Protocol):
    """Where records go to."""

    where: str  # for a person; never with a password
    settle_seconds: float  # after which what was handed over counts as told; 0: at once

    def deliver(self, records: Sequence[Record]) -> None:
        """Hand records over; DeliveryError if not all were taken."""

    def check(self) -> bool:
        """Say whether all that was handed over has arrived; DeliveryError if it cannot any more."""

    def close(self) -> None:
        """Let go of the connection."""


# What a courier asks the ledger, with how far it has told, and handed over, and how many records it
# takes; RatwallError if the ledger cannot be read.
Reading = Callable[[Position | None, Position | None, int], Look]


@dataclass(slots=True)
class Facts:
    """What a person may know of one receiver; times are UTC microseconds."""

    to: str
    sent: int = 0  # records told since the start
    last_sent: int | None = None
    backlog: int | None = None  # null: the ledger cannot be read
    error: str | None = None  # what is wrong now
    error_since: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return them JSON-ready."""
        return {
            "to": self.to,
            "sent": self.sent,
            "last_sent": self.last_sent,
            "backlog": self.backlog,
            "error": self.error,
            "error_since": self.error_since,
        }


class Courier:
    """One receiver, and how far it has been told."""

    def __init__(
        self,
        receiver: Receiver,
        reading: Reading,
        kept: Position | None,
        keep: Callable[[Position], None],
        wall: Callable[[], int],
    ) -> None:
        """`kept` is the position of the last run, `keep` writes one (OSError if it cannot), `wall`
        gives UTC microseconds."""
        self.facts = Facts(receiver.where)
        self._receiver = receiver
        self._reading = reading
        self._told = kept  # settled, and on the disk
        self._keep = keep
        self._wall = wall
        self._handed: Position | None = None  # handed over, maybe not settled
        self._unsettled: deque[tuple[float, Batch]] = deque()
        self._retry = FIRST_RETRY_SECONDS

    def turn(self, now: float) -> float:
        """Do one step at a time of a steady clock; return the seconds until the next."""
        try:
            return self._step(now)
        except (RatwallError, OSError) as error:
            self._fail(str(error))
        wait, self._retry = self._retry, min(self._retry * 2, LAST_RETRY_SECONDS)
        return wait

    def close(self) -> None:
        """Let go of the receiver; what it has not settled for is told again."""
        self._receiver.close()

    def _step(self, now: float) -> float:
        self._settle(now)
        look = self._reading(self._told, self._handed, BATCH)
        if self._told is None or self._told.ledger != look.start.ledger:
            self._unsettled.clear()
            self._keep(look.start)
        self._told = look.start
        self.facts.backlog = look.backlog
        batch = look.batch
        if batch.records:
            self._receiver.deliver(batch.records)
        moved = batch.position != look.position
        self._handed = batch.position
        if moved:
            self._unsettled.append((now, batch))
            if not self._receiver.settle_seconds:
                self._settle(now)
        self._retry = FIRST_RETRY_SECONDS
        self.facts.error = self.facts.error_since = None
        return PAUSE_SECONDS if moved else LOOK_SECONDS

    def _settle(self, now: float) -> None:
        """Count as told what was handed over long enough ago and has arrived."""
        if not self._receiver.check():
            return
        reached = None
        while self._unsettled and now - self._unsettled[0][0] >= self._receiver.settle_seconds:
            _, reached = self._unsettled.popleft()
            self.facts.sent += len(reached.records)
            if reached.records:
                self.facts.last_sent = self._wall()
        if reached is not None:
            self._told = reached.position
            self._keep(reached.position)

    def _fail(self, words: str) -> None:
        self._receiver.close()
        self._unsettled.clear()
        self._handed = self._told
        if self.facts.error is None:
            self.facts.error_since = self._wall()
        self.facts.error = clean(" ".join(words.split()), ERROR_LIMIT)
