"""The connections that are observed: what their clients say is copied, and here counted and listed.

Pure and bounded. It judges nothing: why a connection is observed comes from the inspector's report
or from the controller, and says how suspicious it is. When the table is full the least suspicious
leaves, among equals the one observed longest.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ratwall.controller.clock import moved
from ratwall.controller.messages import FlowReport
from ratwall.controller.proofs import Connection

# Connections remembered as ended: a copy reaches us a tenth of a second late, and must not bring
# one back to the table.
ENDED_LIMIT = 4096


class Reason(Enum):
    """Why a connection is observed, and what that adds to its suspicion beside its score."""

    HIDDEN = ("certificate hidden", 5)  # what every browser does today
    UNJUDGED = ("no TLS read", 5)  # not TLS, or the report is still under way
    UNINSPECTED = ("passed uninspected", 10)
    PICKED_UP = ("picked up mid-stream", 10)
    NAMELESS = ("no server name", 20)  # no browser does that
    PREAMBLE = ("behind a dialogue in clear text", 20)
    WATCHED = ("its device is watched closely", 10)
    UNSEEN = ("server never seen before", 20)

    def __init__(self, words: str, weight: int) -> None:
        self.words = words
        self.weight = weight


@dataclass(slots=True)
class Observed:
    """One connection; times are UTC microseconds, `copies` and `bytes` what its client said."""

    connection: Connection
    since: int
    reasons: frozenset[Reason] = field(default_factory=frozenset)
    score: int = 0
    copies: int = 0
    bytes: int = 0
    last: int | None = None

    @property
    def suspicion(self) -> int:
        """How suspicious it is: its score and what its reasons add."""
        return self.score + sum(reason.weight for reason in self.reasons)

    def facts(self) -> dict[str, Any]:
        """Return it as a JSON-ready object."""
        client, client_port, server, server_port = self.connection
        return {
            "client": client,
            "client_port": client_port,
            "server": server,
            "server_port": server_port,
            "since": self.since,
            "score": self.score,
            "suspicion": self.suspicion,
            "reasons": sorted(reason.words for reason in self.reasons),
            "copies": self.copies,
            "bytes": self.bytes,
            "last": self.last,
        }


class ObservedTable:
    """At most `capacity` of them."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._flows: dict[Connection, Observed] = {}
        # The same by suspicion: whoever leaves is found without looking at all.
        self._levels: dict[int, OrderedDict[Connection, None]] = {}
        self._ended: OrderedDict[Connection, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._flows)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._flows

    @property
    def is_full(self) -> bool:
        """Whether one more has to push another out."""
        return len(self._flows) >= self.capacity

    def observe(
        self, connection: Connection, reasons: frozenset[Reason], score: int, now: int
    ) -> list[Connection]:
        """Take a connection in, or more reasons for it; return what had to make room."""
        flow = self._flows.get(connection)
        if flow is None:
            flow = self._flows[connection] = Observed(connection, now)
        else:
            self._leave_level(flow)
        flow.reasons |= reasons
        if flow.reasons != {Reason.UNJUDGED}:
            flow.reasons -= {Reason.UNJUDGED}
        flow.score = max(flow.score, score)
        self._levels.setdefault(flow.suspicion, OrderedDict())[connection] = None
        evicted = []
        while len(self._flows) > self.capacity:
            evicted.append(next(iter(self._levels[min(self._levels)])))
            self.forget(evicted[-1])
        return evicted

    def copied(self, connection: Connection, length: int, at: int, now: int) -> list[Connection]:
        """Count a copy of `length` bytes of payload; return what had to make room, if it is new."""
        if at <= self._ended.get(connection, -1):
            return []
        evicted = []
        if connection not in self._flows:
            evicted = self.observe(connection, frozenset({Reason.UNJUDGED}), 0, now)
        flow = self._flows.get(connection)
        if flow is not None:  # not the one that had to leave itself
            flow.copies += 1
            flow.bytes += length
            flow.last = at
        return evicted

    def connections(self) -> tuple[Connection, ...]:
        """Return all of them."""
        return tuple(self._flows)

    def standing(self, connection: Connection) -> tuple[tuple[str, ...], int]:
        """Return the names of a connection's reasons, and its score."""
        flow = self._flows.get(connection)
        if flow is None:
            return (), 0
        return tuple(sorted(reason.name for reason in flow.reasons)), flow.score

    def end(self, connection: Connection, now: int) -> None:
        """Take note that a connection ended."""
        if self.forget(connection):
            self._ended[connection] = now
            self._ended.move_to_end(connection)
            if len(self._ended) > ENDED_LIMIT:
                self._ended.popitem(last=False)

    def clock_set(self, by: int) -> None:
        """Move all times: the clock was set."""
        for flow in self._flows.values():
            flow.since += by
            flow.last = None if flow.last is None else flow.last + by
        moved(self._ended, by)

    def forget(self, connection: Connection) -> bool:
        """Take a connection out; False if it was not in."""
        flow = self._flows.pop(connection, None)
        if flow is None:
            return False
        self._leave_level(flow)
        return True

    def listing(self, limit: int) -> list[dict[str, Any]]:
        """Return the most suspicious."""
        ordered = sorted(self._flows.values(), key=lambda flow: (-flow.suspicion, flow.since))
        return [flow.facts() for flow in ordered[:limit]]

    def _leave_level(self, flow: Observed) -> None:
        level = self._levels[flow.suspicion]
        del level[flow.connection]
        if not level:
            del self._levels[flow.suspicion]


def reasons_of(report: FlowReport) -> frozenset[Reason]:
    """Return why an inspector lets a connection be observed."""
    facts = {fact["id"] for fact in report.evidence}
    reasons = set()
    if "flow.picked-up" in facts:
        reasons.add(Reason.PICKED_UP)
    else:
        if report.certificate is None:
            reasons.add(Reason.HIDDEN)
        if report.sni is None:
            reasons.add(Reason.NAMELESS)
    if "flow.preamble" in facts:
        reasons.add(Reason.PREAMBLE)
    return frozenset(reasons)
