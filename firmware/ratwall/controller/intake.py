"""Reports taken in: each judged connection becomes rows, a place in an incident, and a block.

The packet path has cut and blocked already; what it did gets its author, reason and expiry here.
A block that the kernel refuses is owed, and tried again.
"""

from collections.abc import Callable
from typing import Any

from ratwall.controller.blocks import RULE_AUTHOR
from ratwall.controller.books import Books
from ratwall.controller.complaints import Complaints
from ratwall.controller.incidents import Incident, outcome_of
from ratwall.controller.messages import FlowReport
from ratwall.controller.neighbours import Neighbours
from ratwall.controller.proofs import Reported
from ratwall.controller.rows import block_reason, flow_values, kept_der
from ratwall.errors import RatwallError
from ratwall.ledger import models
from ratwall.verdict.headline import Outcome

WAITING_BLOCKS_LIMIT = 1000  # blocks that the kernel refused and that are tried again


class Intake:
    """Give it the books first."""

    def __init__(
        self,
        neighbours: Neighbours,
        complaints: Complaints,
        block_seconds: Callable[[], int],
        push: Callable[[dict[str, Any]], None],
    ) -> None:
        """`push` sends a message to all inspectors."""
        self._neighbours = neighbours
        self._complaints = complaints
        self._block_seconds = block_seconds
        self._push = push
        self._owed: list[tuple[FlowReport, Incident]] = []
        self._books: Books

    def start(self, books: Books) -> None:
        """Write into these books from now on."""
        self._books = books

    def take(self, report: FlowReport, now: int) -> Reported:
        """Write a judged connection down, and do what follows from it."""
        writer = self._books.writer
        mac = report.mac or self._neighbours.mac_of(report.client)
        device_id = writer.device(mac, report.client, now)
        certificate_id = None
        if report.certificate is not None:
            certificate_id = writer.certificate(report.certificate, kept_der(report), now)
        outcome = outcome_of(report)
        incident = None
        if outcome is not None:
            incident = self._books.cases.take(report, outcome, device_id, certificate_id, now)
        flow_id = writer.insert(
            models.Flow,
            flow_values(report, device_id, certificate_id, incident),
            spare=incident is None,
        )
        writer.count(now, "inspected")
        entry = self._books.memory.learn(report, now)
        if entry is not None:
            self._push({"type": "memory", "entries": [entry]})
        if incident is not None:
            incident.last_flow = flow_id
            self._books.urgent = True
        if outcome is Outcome.BLOCKING and incident is not None:
            self._block(report, incident, now)
        return Reported(flow_id, None if incident is None else incident.id)

    def pay_owed(self, now: int) -> None:
        """Try blocks again that the kernel had refused."""
        owed, self._owed = self._owed, []
        for report, incident in owed:
            if incident.state in (Outcome.BLOCKING, Outcome.BLOCKED):
                self._block(report, incident, now)

    def _block(self, report: FlowReport, incident: Incident, now: int) -> None:
        """Give the block that the packet path has made its author, reason and expiry."""
        actions = self._books.actions
        if report.proxied or not actions.may_block(report.server):
            why = "it is on the never-block list"
            if report.proxied:
                behind = any(fact["id"] == "flow.preamble" for fact in report.evidence)
                why = "the address is a proxy's" if behind else "one address serves many names"
            self._books.cases.set_note(
                incident, f"only this connection was cut, the server is not blocked: {why}"
            )
            return
        try:
            actions.block(
                report.server,
                report.server_port,
                self._block_seconds(),
                author=RULE_AUTHOR,
                reason=block_reason(report),
                incident=incident.id,
                now=now,
            )
        except RatwallError as error:
            self._complaints.tell(str(error))
            if len(self._owed) < WAITING_BLOCKS_LIMIT:
                self._owed.append((report, incident))
