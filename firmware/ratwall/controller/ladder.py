"""Which step of the response ladder answers a finding, and takes it.

A certificate or an indicator is true for everybody, so its server is blocked for all. What shows
in the conduct of one device says nothing of the others: its server is blocked for that device, and
where the ports are what changes, on every port. Then the live connections are closed: the other way
round they came back at once. A device that was cut is watched closely for a while; it is put in
quarantine only where the settings say so, and only for a connection that was there: anybody on the
network can send one packet with somebody else's address.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any

from ratwall.controller.books import Books
from ratwall.controller.identity import LATELY_US, known_by
from ratwall.controller.incidents import Incident
from ratwall.controller.listener import Listener
from ratwall.controller.messages import FlowReport
from ratwall.controller.neighbours import Neighbours
from ratwall.controller.proofs import Connection, Reported
from ratwall.controller.responses import QUARANTINE, WATCH, WATCHED_LIMIT, Responses
from ratwall.controller.rows import cut_ports
from ratwall.errors import RatwallError
from ratwall.ledger.store import LedgerError
from ratwall.settings.schema import MONITORED, Settings
from ratwall.verdict.finding import Finding
from ratwall.verdict.headline import Outcome

AUTHOR = "rule"
SERVER_RULES = ("loop.ports",)  # what they find is a client that changes ports
TRIED_LIMIT = 4096  # (device, server) whose cut ports are counted


class Step(Enum):
    """What is held off from whom."""

    ENDPOINT = "one port of a server, for one device"
    SERVER = "every port of a server, for one device"
    EVERYBODY = "one port of a server, for everybody"


def step_of(rule: str) -> Step:
    """Return the step that answers what a rule has found."""
    if rule in SERVER_RULES:
        return Step.SERVER
    return Step.ENDPOINT if rule.partition(".")[0] in MONITORED else Step.EVERYBODY


class Ladder(Listener):
    """Takes the steps; what comes by report has been blocked by the packet path already."""

    def __init__(
        self,
        responses: Responses,
        neighbours: Neighbours,
        settings: Callable[[], Settings],
        cut: Callable[[Connection], bool],
        tell: Callable[[str], None],
        clock: Callable[[], int],
        books: Callable[[], Books],
    ) -> None:
        """`cut` has the kernel refuse a live connection, False if it is gone; `tell` takes what
        the kernel refuses, in words."""
        self._responses = responses
        self._neighbours = neighbours
        self._settings = settings
        self._cut = cut
        self._tell = tell
        self._clock = clock
        self._tried: dict[tuple[str, str], set[int]] = {}
        self._books = books

    def start(self, books: Books) -> None:
        """Take over which ports were cut lately: a list is gone through over a restart, too."""
        try:
            known = cut_ports(books.ledger, self._clock() - LATELY_US)
        except LedgerError:
            return  # the writer says what is wrong with the ledger
        for pair, ports in known.items():
            self._tried.setdefault(pair, set()).update(ports)
        while len(self._tried) > TRIED_LIMIT:
            del self._tried[next(iter(self._tried))]

    def answer(self, finding: Finding, incident: Incident) -> None:
        """Act on a finding whose rule is enforced."""
        now = self._clock()
        step = step_of(finding.rule)
        why = self._why(" ".join(item.text for item in finding.evidence), incident.id, now)
        seconds = self._settings().block.seconds
        try:
            if step is Step.EVERYBODY:
                self._books().actions.block(finding.server, finding.server_port, seconds, **why)
            else:
                port = finding.server_port if step is Step.ENDPOINT else None
                device = known_by(self._books().ledger, finding.device, None, now)
                self._responses.block(device, finding.server, port, seconds, **why)
        except RatwallError as error:
            self._tell(str(error))
            return
        running = [connection for connection in finding.connections if self._cut(connection)]
        if not running:
            # The kernel has taken the block, and there is no connection to prove it by.
            self._books().cases.set_state(incident, Outcome.BLOCKED)
        self._look_after(finding.device, why, now, answered=bool(finding.connections))

    def take_report(self, report: FlowReport, written: Reported) -> None:
        """Look after a device whose connection was cut by its handshake."""
        if not report.enforced or report.flow_class != "block" or report.proxied:
            return
        now = self._clock()
        ports = self._tried.setdefault((report.client, report.server), set())
        ports.add(report.server_port)
        if len(self._tried) > TRIED_LIMIT:
            del self._tried[next(iter(self._tried))]
        if len(ports) == self._settings().response.ports:
            why = self._why(
                f"{len(ports)} ports of this server were cut for this device: "
                "it goes through a list of them.",
                written.incident_id,
                now,
            )
            device = known_by(self._books().ledger, report.client, None, now)
            try:
                self._responses.block(
                    device, report.server, None, self._settings().block.seconds, **why
                )
            except RatwallError as error:
                self._tell(str(error))
        why = self._why("a connection of it was cut", written.incident_id, now)
        self._look_after(report.client, why, now, answered=True)

    def _look_after(self, address: str, why: dict[str, Any], now: int, *, answered: bool) -> None:
        """Watch a device closely after it was cut, or hold it back where that is automatic.

        `answered` says whether a server has answered it: without, whose packets they were is not
        certain, and a flood of such addresses takes half of the room at most.
        """
        settings = self._settings().response
        automatic = settings.quarantine == "automatic" and answered
        if not automatic and not settings.watch:
            return
        kind = QUARANTINE if automatic else WATCH
        there = self._responses.of(kind)
        if any(action.device == address for action in there):
            return
        if kind == WATCH and len(there) >= (WATCHED_LIMIT if answered else WATCHED_LIMIT // 2):
            return
        device = known_by(self._books().ledger, address, self._neighbours.mac_of(address), now)
        try:
            if automatic:
                self._responses.quarantine(device, settings.quarantine_seconds, **why)
            else:
                self._responses.watch(device, settings.watch_seconds, **why)
        except RatwallError as error:
            self._tell(str(error))

    def _why(self, reason: str, incident: int | None, now: int) -> dict[str, Any]:
        return {"author": AUTHOR, "reason": reason, "incident": incident, "now": now}
