"""Observation: between the kernel's copies, the reports, and the table of what is observed.

It never delays a packet and never cuts one. What had to leave the table is given another class in
the conntrack table, so that the kernel copies it no longer; a connection that was judged clean with
a server never seen before is given the class OBSERVED; and once somebody inspects again, what
passed uninspected loses its class, so that it is read from its middle on. So does what an inspector
let go, with a server that the memory knows, before it was told of that.

Design note: a clean verdict and its report leave the inspector at the same moment, so the report
may be here before the class is in the conntrack table. The event that shows the class tells when.
Nobody waits for a copy, and each says when its segment passed, so none wakes the controller: they
are read when it turns anyway, at least twice a second.
"""

import functools
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Set
from ipaddress import ip_address
from itertools import chain, takewhile
from typing import Any, Protocol

from ratwall.controller.listener import Listener
from ratwall.controller.messages import FlowReport
from ratwall.controller.observed import ObservedTable, Reason, reasons_of
from ratwall.controller.proofs import Connection, Reported
from ratwall.controller.rhythms import Rhythms
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.kernel.nflog import Copy
from ratwall.wire.errors import ParseError
from ratwall.wire.packet import Segment, parse_segment

log = logging.getLogger(__name__)

COPIED = (FlowClass.OBSERVED, FlowClass.UNINSPECTED)  # the classes that the kernel copies
# WATCH is not among them: events are read later than reports, and that one comes before OBSERVED.
COPIED_NO_MORE = (FlowClass.BLOCK, FlowClass.EXEMPT, FlowClass.EVICTED)
CUTTABLE = (*COPIED, FlowClass.CLEAN, FlowClass.EVICTED)  # an allowed one is not
SERVERS_LIMIT = 16_384  # addresses known to be seen, 2 MB; of others the ledger is asked again
WANTED_LIMIT = 1024  # clean connections that wait for their class: milliseconds each
EARLY_US = 200_000  # a report is told within 50 ms, and read within 100 more
EARLY_LIMIT, EARLY_COPIES = 256, 16  # connections, and of each: 1 MB at most
TOLD_US = 500_000  # by then an inspector that has come has read what it was told
READS = 8  # of a turn: half a second of the most that the rules copy, and as much again
READ_AGAIN_US = 5_000_000  # nothing has passed uninspected for so long: the cause is gone


class Copies(Protocol):
    """What is asked of `ratwall.kernel.nflog.CopyReader`."""

    overflows: int
    lost: int

    def read(self) -> list[Copy]:
        """Return the copies that have come."""


class Classes(Protocol):
    """What is asked of `ratwall.kernel.reclass.Reclassifier`."""

    def change(self, ends: Connection, before: Collection[FlowClass], after: FlowClass) -> bool:
        """Move a flow to another class; False if it is gone or in none of `before`."""


class Observation(Listener):
    """Feed it with reports, events and copies."""

    def __init__(
        self,
        capacity: int,
        copies: Copies,
        classes: Classes,
        table: Callable[[], list[FlowEvent]],
        seen: Callable[[str], bool],
        remembered: Callable[[str, int], bool],
        clock: Callable[[], int],
    ) -> None:
        """`table` dumps conntrack; `seen` says whether the ledger knows a server.

        `remembered` says whether the verdict memory holds an endpoint.
        """
        self.copied = 0
        self.evicted = 0  # made room for more suspicious ones
        self._copies = copies
        self._classes = classes
        self._dump = table
        self._seen = seen
        self._remembered = remembered
        self._clock = clock
        self._table = ObservedTable(capacity)
        self._servers: OrderedDict[str, None] = OrderedDict()
        self._wanted: OrderedDict[Connection, None] = OrderedDict()
        self.rhythms: Rhythms | None = None  # set by whoever has a ledger to ask
        # Says of an address whether nothing of it is to be read for a while.
        self.paused: Callable[[str], bool] = lambda address: False
        # Copies that came before the report of their connection, and when the first did.
        self._early: OrderedDict[Connection, tuple[int, list[tuple[Segment, int]]]] = OrderedDict()
        self._inspected = False
        self._told_at: int | None = None  # when an inspector that came knows all
        self._quiet_at: int | None = None  # when nothing has passed uninspected for long enough

    def facts(self) -> dict[str, int]:
        """Return the counts for the status."""
        return {
            "flows": len(self._table),
            "capacity": self._table.capacity,
            "copies": self.copied,
            "overflows": self._copies.overflows,
            "lost": self._copies.lost,
            "evicted": self.evicted,
        }

    def listing(self, limit: int) -> list[dict[str, Any]]:
        """Return the most suspicious of the connections observed."""
        listed = self._table.listing(limit)
        for flow in listed:
            ends = (flow["client"], flow["client_port"], flow["server"], flow["server_port"])
            flow["rhythm"] = None if self.rhythms is None else self.rhythms.rhythm(ends)
        return listed

    def now(self) -> int:
        """Return the time by the clock that connections are observed by."""
        return self._clock()

    def standing(self, connection: Connection) -> tuple[tuple[str, ...], int]:
        """Return why a connection is observed, and its score."""
        return self._table.standing(connection)

    def resume(self, connection: Connection, reasons: Collection[str], score: int) -> bool:
        """Observe a connection again that was observed in an earlier life of the controller.

        False if there is no room for it.
        """
        known = frozenset(reason for reason in Reason if reason.name in reasons)
        self._observe(connection, known or frozenset({Reason.UNJUDGED}), score)
        return connection in self._table

    def cut(self, connection: Connection) -> bool:
        """Have the kernel refuse a live connection; False if it is gone, or allowed."""
        return self._change(connection, CUTTABLE, FlowClass.BLOCK)

    def watch(self, devices: Collection[str]) -> None:
        """Observe what was judged clean of some devices, and runs."""
        for flow in self._table_of_kernel():
            for way in (flow.ends, flow.back):
                if way[0] in devices and self._change(way, (FlowClass.CLEAN,), FlowClass.OBSERVED):
                    self._observe(way, frozenset({Reason.WATCHED}), 0)

    def read_again_soon(self) -> None:
        """Have what passed in a pause read again."""
        self._quiet_at = self._clock()

    def take_report(self, report: FlowReport, written: Reported) -> None:
        """Take in a judged connection, whose rows are not in the ledger yet."""
        unseen = self._first_of_server(report.server)
        connection = (report.client, report.client_port, report.server, report.server_port)
        if report.flow_class == "observed":
            reasons = reasons_of(report) | ({Reason.UNSEEN} if unseen else set())
            self._observe(connection, reasons, report.score)
            self._listen(connection, report)
        elif report.flow_class == "clean" and unseen:
            self._observe_clean(connection)
            self._listen(connection, report)
        if connection in self._early:
            self._catch_up(connection, self._clock())

    def take_event(self, event: FlowEvent) -> None:
        """Take in what became of a connection."""
        if event.ended:
            for way in (event.ends, event.back):
                self._early.pop(way, None)
                self._table.end(way, self._clock())
                self._forget(way)
        elif event.flow_class is FlowClass.CLEAN:
            for way in (event.ends, event.back) if self._wanted else ():
                if way in self._wanted:
                    del self._wanted[way]
                    self._observe_clean(way)
        elif event.flow_class is FlowClass.UNINSPECTED and not self._is_paused(event):
            self._quiet_at = self._clock() + READ_AGAIN_US
        elif event.flow_class in COPIED_NO_MORE:
            for way in (event.ends, event.back):
                self._table.forget(way)
                self._forget(way)

    def take_table(self, there: Set[Connection]) -> None:
        """Let go of what has ended unheard."""
        for connection in self._table.connections():
            if connection not in there:
                self._table.end(connection, self._clock())
                self._forget(connection)
        for connection in [each for each in self._wanted if each not in there]:
            del self._wanted[connection]
            self._forget(connection)

    def clock_set(self, by: int) -> None:
        """Read again, and hear rhythms, as if the clock had not been set."""
        if self._told_at is not None:
            self._told_at += by
        if self._quiet_at is not None:
            self._quiet_at += by
        for connection, (since, copies) in self._early.items():
            self._early[connection] = since + by, copies
        self._table.clock_set(by)
        if self.rhythms is not None:
            self.rhythms.clock_set(by)

    def take_copies(self) -> None:
        """Take in the copies that have come."""
        now = self._clock()
        for copy in chain.from_iterable(takewhile(bool, self._reads())):
            self.copied += 1
            try:
                segment = parse_segment(copy.datagram)
            except ParseError:
                continue  # its headers alone are longer than what is copied
            if segment is None:
                continue
            connection = (
                _text(segment.source),
                segment.source_port,
                _text(segment.destination),
                segment.destination_port,
            )
            at = copy.at or now
            if self._table.is_full and connection not in self._table:
                self._put_by(connection, segment, at, now)
            else:
                self._take_copy(connection, segment, at, now)

    def tick(self, now: int) -> None:
        """Take in copies, and those that waited for a report, which has come or never will."""
        self.take_copies()
        while self._early:
            connection, (since, _) = next(iter(self._early.items()))
            if now - since < EARLY_US:
                return
            self._catch_up(connection, now)

    def follow(self, inspected: bool) -> None:
        """Have what passed uninspected read again, once its cause has gone away.

        That is when an inspector comes, and with one at work, when no more has passed it by.
        """
        now = self._clock()
        if inspected and not self._inspected:
            self._told_at = now + TOLD_US
        self._inspected = inspected
        if not inspected:
            return
        if self._told_at is not None and self._told_at <= now:
            self._told_at = None
            self._read_again()
        elif self._quiet_at is not None and self._quiet_at <= now:
            self._quiet_at = None
            self._read_again()

    def _reads(self) -> Iterator[list[Copy]]:
        return (self._copies.read() for _ in range(READS))

    def _take_copy(self, connection: Connection, segment: Segment, at: int, now: int) -> None:
        length = len(segment.payload) + segment.missing
        self._evict(self._table.copied(connection, length, at, now))
        if self.rhythms is not None and connection in self._table:
            self.rhythms.take_segment(connection, segment, at)

    def _catch_up(self, connection: Connection, now: int) -> None:
        _, copies = self._early.pop(connection)
        for segment, at in copies:
            self._take_copy(connection, segment, at, now)

    def _put_by(self, connection: Connection, segment: Segment, at: int, now: int) -> None:
        """Keep a copy until the report of its connection is in: in a full table nobody stays of
        whom nothing is known."""
        _, copies = self._early.setdefault(connection, (now, []))
        if len(copies) < EARLY_COPIES:
            copies.append((segment, at))
        if len(self._early) > EARLY_LIMIT:
            self._early.popitem(last=False)

    def _read_again(self) -> None:
        for flow in self._table_of_kernel():
            ways = flow.ends, flow.back
            if (flow.flow_class is FlowClass.UNINSPECTED and not self._is_paused(flow)) or (
                flow.flow_class is FlowClass.OBSERVED
                and any(self._remembered(server, port) for _, _, server, port in ways)
            ):
                self._change(ways[0], COPIED, FlowClass.NONE)
                for way in ways:  # it is read again, and told of anew
                    self._table.forget(way)
                    self._forget(way)

    def _is_paused(self, flow: FlowEvent) -> bool:
        return self.paused(flow.ends[0]) or self.paused(flow.ends[2])

    def _table_of_kernel(self) -> list[FlowEvent]:
        try:
            return self._dump()
        except OSError as error:
            log.warning("conntrack: %s", error)
            return []

    def _observe_clean(self, connection: Connection) -> None:
        if self._change(connection, (FlowClass.CLEAN,), FlowClass.OBSERVED):
            self._observe(connection, frozenset({Reason.UNSEEN}), 0)
            return
        self._wanted[connection] = None
        if len(self._wanted) > WANTED_LIMIT:
            given_up, _ = self._wanted.popitem(last=False)
            self._forget(given_up)

    def _observe(self, connection: Connection, reasons: Collection[Reason], score: int) -> None:
        now = self._clock()
        self._evict(self._table.observe(connection, frozenset(reasons), score, now))

    def _evict(self, connections: list[Connection]) -> None:
        for connection in connections:
            self._forget(connection)
            self.evicted += self._change(connection, COPIED, FlowClass.EVICTED)

    def _listen(self, connection: Connection, report: FlowReport) -> None:
        # Not to one that had to make room at once: of that nobody would let go.
        if self.rhythms is not None and (connection in self._table or connection in self._wanted):
            self.rhythms.take_report(connection, report)

    def _forget(self, connection: Connection) -> None:
        if self.rhythms is not None:
            self.rhythms.forget(connection)

    def _change(
        self, connection: Connection, before: Collection[FlowClass], after: FlowClass
    ) -> bool:
        try:
            return self._classes.change(connection, before, after)
        except OSError as error:
            log.warning("conntrack: %s", error)
            return False

    def _first_of_server(self, server: str) -> bool:
        if server in self._servers:
            self._servers.move_to_end(server)
            return False
        self._servers[server] = None
        if len(self._servers) > SERVERS_LIMIT:
            self._servers.popitem(last=False)
        return not self._seen(server)


@functools.lru_cache(SERVERS_LIMIT)
def _text(address: bytes) -> str:
    return str(ip_address(address))
