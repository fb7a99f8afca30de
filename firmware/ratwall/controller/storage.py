"""The ledger's life: opened, kept within its limits, given up when it is gone, opened again.

Without a ledger on disk there is one in memory: protection goes on, and the status says that
nothing is kept. It writes no row itself but those of retention.
"""

import logging
from collections.abc import Callable

from ratwall.ledger.store import WAL_BYTES, Ledger, LedgerError, open_in_memory
from ratwall.ledger.writer import LedgerWriter
from ratwall.settings.schema import LedgerLimits

log = logging.getLogger(__name__)

RETENTION_US = 600_000_000  # ten minutes: what is over its age may stay that long
RETENTION_BYTES = 4_000_000  # of growth: as much may the ledger outgrow its limit in between
REOPEN_US = 60_000_000  # how often a ledger that could not be opened is tried again
MEGABYTE = 1_000_000
MEMORY_MEGABYTES = 16  # of a ledger in memory: what a box of 512 MB can spare
# Below this the disk is called full. A write-ahead log may grow to half of it before its rows come
# into the ledger: a person hears of it before the first row is refused.
SHORT_BYTES = 2 * WAL_BYTES


class Storage:
    """`problem` says why there is no ledger on disk, None if there is one."""

    def __init__(
        self, open_ledger: Callable[[], Ledger], free_bytes: Callable[[], int], now: int
    ) -> None:
        """`open_ledger` may raise LedgerError; `free_bytes` says how much the disk still takes and
        may raise OSError; `now` is UTC microseconds."""
        self.problem: str | None = None
        self._open_ledger = open_ledger
        self._free_bytes = free_bytes
        self._retained_bytes = 0  # what the ledger held after the last look at its limits
        self._retention_due = now + RETENTION_US
        self._reopen_due = 0

    def open(self, now: int) -> Ledger:
        """Return the ledger, else one in memory."""
        self._retained_bytes = 0
        try:
            ledger = self._open_ledger()
        except LedgerError as error:
            log.warning("%s; going on without: nothing is kept", error)
            self.problem = str(error)
            self._reopen_due = now + REOPEN_US
            return open_in_memory()
        self.problem = None
        return ledger

    def came_back(self, now: int) -> bool:
        """Say whether a ledger that was missing can be opened now; looks once a minute."""
        if self.problem is None or self._reopen_due > now:
            return False
        self._reopen_due = now + REOPEN_US
        try:
            self._open_ledger().close()
        except LedgerError:
            return False
        return True

    def shortage(self) -> str | None:
        """Say that the disk is full, or nearly so; None while there is room."""
        try:
            free = self._free_bytes()
        except OSError as error:
            return f"nobody can tell how full the disk is: {error.strerror}"
        if free >= SHORT_BYTES:
            return None
        return (
            f"the disk is full ({free // MEGABYTE} MB left): the office is protected, but new "
            "history may be lost; make room with a smaller [ledger] max_megabytes or [capture] "
            "max_megabytes"
        )

    def clock_set(self, by: int) -> None:
        """Wait as long as before, though the clock was set."""
        self._retention_due += by
        self._reopen_due += by

    def retain_soon(self) -> None:
        """Have the next `retain` look at the limits: they may have changed."""
        self._retention_due = 0

    def look_at_size(self, ledger: Ledger) -> None:
        """Have the limits looked at when the ledger grows fast."""
        if bytes_of(ledger) - self._retained_bytes >= RETENTION_BYTES:
            self.retain_soon()

    def retain(self, writer: LedgerWriter, limits: LedgerLimits, now: int) -> None:
        """Forget what is too old or too much, a chunk a call, if that is due."""
        if self._retention_due > now:
            return
        megabytes = MEMORY_MEGABYTES if self.problem else limits.max_megabytes
        if not writer.retain(now, limits.retention_days, megabytes * MEGABYTE):
            self._retention_due = now + RETENTION_US
            self._retained_bytes = bytes_of(writer.ledger)


def bytes_of(ledger: Ledger) -> int:
    """Return the size of what a ledger holds, 0 if it cannot be read."""
    try:
        return ledger.bytes_used()
    except LedgerError:
        return 0
