"""Brings together the report of a cut connection and the kernel's proof of it, whichever is first.

Pure and bounded. The proof is the BLOCK class on the very connection in a conntrack event; the
report comes by another way, so either may arrive first.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ratwall.controller.clock import moved
from ratwall.kernel.conntrack import FlowEvent

AT_HAND_LIMIT = 8192  # connections, 2 MB; a report and its proof are milliseconds apart
WAIT_US = 60_000_000  # a proof without a report after a minute belongs to another life of the ports

Value = TypeVar("Value")
Connection = tuple[str, int, str, int]  # client, its port, server, its port


class EventWatch(Protocol):
    """What is asked of `ratwall.kernel.conntrack.BlockWatch`."""

    overflows: int

    def fileno(self) -> int:
        """Return the descriptor to poll."""

    def read(self) -> list[FlowEvent]:
        """Return the events that have come."""

    def dump(self) -> list[FlowEvent]:
        """Return what the conntrack table holds."""


@dataclass(frozen=True, slots=True)
class Reported:
    """Where the ledger holds a connection."""

    flow_id: int
    incident_id: int | None


class Proofs:
    """Reports waiting for their proof and proofs waiting for their report, the newest of each."""

    def __init__(self) -> None:
        self._reported: OrderedDict[Connection, Reported] = OrderedDict()
        self._proven: OrderedDict[Connection, int] = OrderedDict()

    def report(self, connection: Connection, reported: Reported, now: int) -> bool:
        """Note a reported connection; True if the kernel has proven it already."""
        _put(self._reported, connection, reported)
        proven = self._proven.pop(connection, None)
        return proven is not None and now - proven < WAIT_US

    def reported(self, connection: Connection) -> Reported | None:
        """Return where a connection was written, None if it is not at hand."""
        return self._reported.get(connection)

    def prove(self, connection: Connection, now: int) -> Reported | None:
        """Note a proof; return the report it belongs to if that has come."""
        reported = self._reported.get(connection)
        if reported is None:
            _put(self._proven, connection, now)
        return reported

    def clock_set(self, by: int) -> None:
        """Let proofs wait for their reports as long as before: the clock was set."""
        moved(self._proven, by)

    def connections(self) -> tuple[Connection, ...]:
        """Return the connections that were reported and have not ended."""
        return tuple(self._reported)

    def end(self, connection: Connection) -> Reported | None:
        """Note that a connection ended; return its report if there was one."""
        return self._reported.pop(connection, None)


def _put(line: OrderedDict[Connection, Value], connection: Connection, value: Value) -> None:
    line[connection] = value
    line.move_to_end(connection)
    if len(line) > AT_HAND_LIMIT:
        line.popitem(last=False)
