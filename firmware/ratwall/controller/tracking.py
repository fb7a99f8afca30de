"""Conntrack's word: which connections are proven cut, which passed uninspected, which have ended.

Events are read as they come; at the start, and where some were lost, the whole table is read
instead. What it hears it hands on to the listeners, in the same order.

Design note: the table is the truth. What was believed to run and is not in it has ended; when is
not known, so the ledger has the time at which that was seen. Nothing else is made up of it.
"""

from collections.abc import Callable, Set

from ratwall.controller.books import Books
from ratwall.controller.complaints import Complaints
from ratwall.controller.incidents import Incident
from ratwall.controller.messages import FlowReport
from ratwall.controller.proofs import Connection, EventWatch, Proofs, Reported
from ratwall.controller.rows import newest_flow, running_flows, unproven_flows
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.ledger import models
from ratwall.verdict.headline import Outcome

TABLE_US = 2_000_000  # between two looks at the whole table: of a full one each takes a second


class Tracking:
    """Give it the books first."""

    def __init__(
        self,
        watch: EventWatch,
        complaints: Complaints,
        clock: Callable[[], int],
        hand_on: Callable[[FlowEvent], None],
        hand_table: Callable[[Set[Connection]], None],
    ) -> None:
        """`clock` gives UTC microseconds; `hand_on` takes each event after it was taken in.

        `hand_table` takes all connections of the table, from both ends, after its events.
        """
        self._watch = watch
        self._complaints = complaints
        self._clock = clock
        self._hand_on = hand_on
        self._hand_table = hand_table
        self._overflows = 0
        self._table_unread = False  # it could not be read when it should have been
        self._table_at = 0  # when it was last read because events were lost
        self._proofs = Proofs()
        self._books: Books

    def start(self, books: Books) -> None:
        """Take in what the kernel has done while nobody listened.

        What ran when the ledger was last written runs on, or has ended since. Connections that were
        reported before and not proven may be so by now; those that were cut meanwhile are proven
        first, and their reports still wait with the inspector.
        """
        self._books = books
        self._proofs = Proofs()
        now = self._clock()
        for connection, reported in running_flows(books.ledger, now):
            self._proofs.report(connection, reported, now)
        for connection, reported in unproven_flows(books.ledger, now):
            self._proofs.report(connection, reported, now)
            incident = None
            if reported.incident_id is not None:
                incident = books.cases.at_hand.get(reported.incident_id)
            if incident is not None:
                incident.last_flow = reported.flow_id
        self._take_table()

    def take_report(self, report: FlowReport, written: Reported, now: int) -> None:
        """Take in where a judged connection was written."""
        connection = (report.client, report.client_port, report.server, report.server_port)
        if self._proofs.report(connection, written, now):
            self._proven(written)

    def expect(self, connection: Connection, incident: Incident) -> None:
        """Tie a connection that was written down to an incident, and have it prove its block."""
        books, now = self._books, self._clock()
        known = self._proofs.reported(connection)
        flow_id = newest_flow(books.ledger, connection) if known is None else known.flow_id
        if flow_id is None:
            return
        incident.last_flow = flow_id
        books.writer.update(models.Flow, flow_id, {"incident": incident.id})
        tied = Reported(flow_id, incident.id)
        if self._proofs.report(connection, tied, now):
            self._proven(tied)

    def take_events(self) -> None:
        """Read the events that have come."""
        for event in self._watch.read():
            self._take(event)
        if self._watch.overflows != self._overflows:
            self._overflows = self._watch.overflows
            # In a flood more is lost at every turn: the next look takes it all in.
            self._table_unread = True
            now = self._clock()
            if abs(now - self._table_at) >= TABLE_US:
                self._table_at = now
                self._take_table()

    def retry(self) -> None:
        """Read the table if that failed when it should have been, or was put off."""
        if self._table_unread:
            self._take_table()

    def clock_set(self, by: int) -> None:
        """Let proofs wait for their reports as long as before: the clock was set."""
        self._proofs.clock_set(by)

    def read_table(self) -> None:
        """Read the table: nobody listened for a while, as when the machine slept."""
        self._take_table()

    def _take(self, event: FlowEvent) -> None:
        now = self._clock()
        if event.flow_class is FlowClass.BLOCK:
            reported = self._proofs.prove(event.ends, now) or self._proofs.prove(event.back, now)
            if reported is not None:
                self._proven(reported)
        elif event.flow_class is FlowClass.UNINSPECTED:
            self._books.uninspected.take_event(event, now)
        self._hand_on(event)
        if event.ended:
            self._ended(event.ends, event.back)

    def _proven(self, reported: Reported) -> None:
        """Write that the kernel holds a connection as blocked."""
        books = self._books
        books.writer.update(models.Flow, reported.flow_id, {"proven": True})
        incident = None
        if reported.incident_id is not None:
            incident = books.cases.at_hand.get(reported.incident_id)
        if (
            incident is not None
            and incident.last_flow == reported.flow_id
            and incident.state is Outcome.BLOCKING
        ):
            books.cases.set_state(incident, Outcome.BLOCKED)
            books.urgent = True

    def _take_table(self) -> None:
        try:
            events = self._watch.dump()
        except OSError as error:
            self._table_unread = True
            self._complaints.tell(f"conntrack: {error}")
            return
        self._table_unread = False
        there: set[Connection] = set()
        for event in events:
            self._take(event)
            there.update((event.ends, event.back))
        for connection in self._proofs.connections():
            if connection not in there:
                self._ended(connection)
        self._hand_table(there)

    def _ended(self, *ways: Connection) -> None:
        for way in ways:
            ended = self._proofs.end(way)
            if ended is not None:
                self._books.writer.update(models.Flow, ended.flow_id, {"end": self._clock()})
                return
