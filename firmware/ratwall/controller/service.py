"""The controller's heart: reports and proofs become ledger rows, incidents, blocks, and answers.

Single thread, no waiting: sockets call in through the selector, `tick` does what is due by time.
The kernel's sets, the event watch and the clock are handed in. Nothing that arrives here can stop
it: what the kernel or the disk refuses is told in the status and tried again.
"""

import json
import logging
from collections.abc import Callable
from typing import Any

from ratwall.controller import uninspected
from ratwall.controller.blocks import Actions, KernelSets
from ratwall.controller.incidents import Incident, IncidentBook, join, outcome_of
from ratwall.controller.messages import FlowReport
from ratwall.controller.observation import Observation
from ratwall.controller.proofs import Connection, EventWatch, Proofs, Reported
from ratwall.controller.recollection import Recollection
from ratwall.controller.reports import memory_messages
from ratwall.controller.rows import (
    block_reason,
    find_incident,
    flow_values,
    incident_values,
    kept_der,
    recent_incidents,
    unproven_flows,
)
from ratwall.controller.selftest import is_selftest
from ratwall.controller.story import Story
from ratwall.controller.uninspected import Uninspected
from ratwall.errors import RatwallError
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.ledger import models, queries
from ratwall.ledger.store import Ledger, LedgerError, open_in_memory
from ratwall.ledger.writer import LedgerWriter
from ratwall.reports.allows import allow_messages
from ratwall.settings.schema import Settings
from ratwall.verdict.headline import Outcome
from ratwall.verdict.memory import VerdictMemory

log = logging.getLogger(__name__)

COUNTERS_US = 5_000_000  # asking the kernel costs a process of some 10 ms; the page polls slower
RETENTION_US = 600_000_000  # ten minutes: what is over its age may stay that long
RETENTION_BYTES = 4_000_000  # of growth: as much may the ledger outgrow its limit in between
REOPEN_US = 60_000_000  # how often a ledger that could not be opened is tried again
RULE_AUTHOR = "rule"
SELFTEST_NOTE = "selftest"
MEGABYTE = 1_000_000
MEMORY_MEGABYTES = 16  # of a ledger in memory: what a box of 512 MB can spare
WAITING_BLOCKS_LIMIT = 1000  # blocks that the kernel refused and that are tried again


class Service:
    """Everything the controller knows, and what it does with what it hears."""

    def __init__(
        self,
        settings: Settings,
        *,
        enforce: bool,
        open_ledger: Callable[[], Ledger],
        sets: KernelSets,
        watch: EventWatch,
        never_block: frozenset[str],
        neighbour: Callable[[str], str | None],
        clock: Callable[[], int],
        origin: str = "",
    ) -> None:
        """`open_ledger` may raise LedgerError; `neighbour` gives the MAC of an address on the LAN.

        `origin` tells one life of the kernel's table from another, `clock` gives UTC microseconds.
        `push` is set by whoever owns the inspectors' socket.
        """
        self.settings = settings
        self.enforce = enforce
        self.push: Callable[[dict[str, Any]], None] = lambda message: None
        # Set by whoever holds the kernel's copies; without it nothing is observed.
        self.observation: Observation | None = None
        self.clock = clock
        self.sets = sets
        self.started = clock()
        self.kernel_problem: str | None = None
        self.kernel_counters: dict[str, int] = {}  # as of the last look
        self._logged: str | None = None
        self._uncounted = False  # the last look at the kernel's counters failed
        self.ledger_problem: str | None = None  # why there is none on disk
        self._origin = origin
        self._open_ledger = open_ledger
        self._watch = watch
        self._overflows = 0
        self._never_block = never_block
        self._neighbour = neighbour
        self._macs: dict[str, str | None] = {}
        self._durable = False
        self._owed: list[tuple[FlowReport, Incident]] = []
        self._table_unread = False  # the conntrack table could not be read when it should have been
        self._due = {"counters": 0, "retention": self.started + RETENTION_US, "reopen": 0}
        self.start()

    def start(self) -> None:
        """Open the ledger, else one in memory, and put in force what it says."""
        now = self.clock()
        try:
            self.ledger = self._open_ledger()
            self.ledger_problem = None
        except LedgerError as error:
            log.warning("%s; going on without: nothing is kept", error)
            self.ledger = open_in_memory()
            self.ledger_problem = str(error)
            self._due["reopen"] = now + REOPEN_US
        self._retained_bytes = 0  # what the ledger held after the last look at its limits
        self.writer = LedgerWriter(self.ledger)
        self.actions = Actions(self.writer, self.sets, self._never_block)
        self.actions.load(queries.actions(self.ledger, now, limit=-1))
        for failure in self.actions.restore(now):
            self._complain(failure)
        self.incidents = IncidentBook(recent_incidents(self.ledger, now))
        self.memory = Recollection(self.writer, VerdictMemory())
        self.memory.load(self.ledger, now)
        self.proofs = Proofs()
        notes = queries.notes(self.ledger)
        self.selftest = json.loads(notes[SELFTEST_NOTE]) if SELFTEST_NOTE in notes else None
        self.uninspected = Uninspected(self.writer, notes.get(uninspected.NOTE), self._origin)
        self.story = Story(self.writer, notes, now)
        self._reconcile(now)

    def reconfigure(
        self, settings: Settings, *, enforce: bool, never_block: frozenset[str]
    ) -> None:
        """Go on by changed settings; blocks in force keep the time they have left."""
        self.settings = settings
        self.enforce = enforce
        self._never_block = self.actions.never_block = never_block
        self._due["retention"] = self.clock()
        self.push({"type": "mode", "enforce": enforce})

    def greeting(self) -> list[dict[str, Any]]:
        """Return what an inspector must know first."""
        return [
            {"type": "mode", "enforce": self.enforce},
            *allow_messages(self.actions.allowed_certificates()),
            *memory_messages(self.memory.entries()),
        ]

    def push_allows(self) -> None:
        """Tell the inspectors the full list of allowed certificates."""
        for message in allow_messages(self.actions.allowed_certificates()):
            self.push(message)

    def take_report(self, report: FlowReport) -> None:
        """Write a judged connection down, and do what follows from it."""
        if is_selftest(report):
            return  # its result comes as a command, and it lets go of its server itself
        now = self.clock()
        if self.observation is not None:
            self.observation.take_report(report)
        mac = report.mac or self._mac_of(report.client)
        device_id = self.writer.device(mac, report.client, now)
        certificate_id = None
        if report.certificate is not None:
            certificate_id = self.writer.certificate(report.certificate, kept_der(report), now)
        outcome = outcome_of(report)
        incident = None
        if outcome is not None:
            incident = self._incident(report, outcome, device_id, certificate_id, now)
        flow_id = self.writer.insert(
            models.Flow,
            flow_values(report, device_id, certificate_id, incident),
            spare=incident is None,
        )
        self.writer.count(now, "inspected")
        entry = self.memory.learn(report, now)
        if entry is not None:
            self.push({"type": "memory", "entries": [entry]})
        if incident is not None:
            incident.last_flow = flow_id
            self._durable = True
        if outcome is Outcome.BLOCKING and incident is not None:
            self._block(report, incident, now)
        reported = Reported(flow_id, None if incident is None else incident.id)
        connection = (report.client, report.client_port, report.server, report.server_port)
        if self.proofs.report(connection, reported, now):
            self._proven(reported)

    def take_events(self) -> None:
        """Read conntrack events: proofs of blocks, and ends of connections."""
        for event in self._watch.read():
            self._take_event(event)
        if self._watch.overflows != self._overflows:
            self._overflows = self._watch.overflows
            self._take_table()

    def tick(self) -> None:
        """Do what is due by time, all but `flush`; call at least once a second."""
        now = self.clock()
        over = self.actions.expire(now)
        if any(action.certificate_sha256 is not None for action in over):
            self.push_allows()
        if self._due["counters"] <= now:
            self._due["counters"] = now + COUNTERS_US
            self.kernel_problem = None  # what is still wrong says so again
            self._pay_owed(now)
            for failure in self.actions.retry(now):
                self._complain(failure)
            if self._table_unread:
                self._take_table()
            self._count_uninspected(now)
            self.incidents.forget_old(now)
            if self.ledger_bytes() - self._retained_bytes >= RETENTION_BYTES:
                self._due["retention"] = now
            self._macs.clear()  # addresses change hands; a second look is cheap
            if not self.ledger.is_in_place():
                log.warning("%s was taken away; starting a new ledger", self.ledger.path)
                self._start_anew()
        if self.ledger_problem is not None and self._due["reopen"] <= now:
            self._reopen(now)
        if self._due["retention"] <= now:
            limits = self.settings.ledger
            megabytes = MEMORY_MEGABYTES if self.ledger_problem else limits.max_megabytes
            if not self.writer.retain(now, limits.retention_days, megabytes * MEGABYTE):
                self._due["retention"] = now + RETENTION_US
                self._retained_bytes = self.ledger_bytes()

    @property
    def rules_there(self) -> bool:
        """Say whether the kernel had our rules at the last look."""
        return not self._uncounted

    @property
    def urgent(self) -> bool:
        """Say whether what waits should be written at once."""
        return self._durable

    def flush(self) -> bool:
        """Write what waits, durably if an incident or an action is among it; False if it failed."""
        if not self.writer.flush(durable=self._durable):
            return False
        self._durable = False
        return True

    def urge(self) -> None:
        """Have the next flush reach the disk before it returns."""
        self._durable = True

    def stop(self) -> None:
        """Write everything down and close the ledger."""
        self.story.stop(self.clock())
        self.flush()
        if self.writer.waiting:
            log.warning(
                "%d rows could not be written: %s", self.writer.waiting, self.writer.problem
            )
        self.ledger.close()

    def ledger_bytes(self) -> int:
        """Return the size of what the ledger holds, 0 if it cannot be read."""
        try:
            return self.ledger.bytes_used()
        except LedgerError:
            return 0

    def remembers(self, server: str, port: int) -> bool:
        """Say whether the verdict memory holds an endpoint."""
        return self.memory.remembers(server, port, self.clock())

    def knows(self, server: str) -> bool:
        """Say whether any connection with a server was written down; True if nobody can tell."""
        try:
            found = self.ledger.value(
                models.Flow.select(models.Flow.id).where(models.Flow.server == server).limit(1)
            )
        except LedgerError:
            return True
        return found is not None

    def set_state(self, incident: Incident, state: Outcome) -> None:
        """Change what became of an incident, with the headline that says so."""
        incident.state = state
        self.writer.update(
            models.Incident, incident.id, {"state": state.value, "headline": incident.headline}
        )

    def find_incident(self, incident_id: int) -> Incident | None:
        """Return an incident, at hand or from the ledger; LedgerError if that cannot be read."""
        return self.incidents.get(incident_id) or find_incident(self.ledger, incident_id)

    def _incident(
        self,
        report: FlowReport,
        outcome: Outcome,
        device_id: int,
        certificate_id: int | None,
        now: int,
    ) -> Incident:
        """Return the incident that a report belongs to, new or joined, and write it."""
        column = {
            Outcome.BLOCKING: "blocked",
            Outcome.WOULD_BLOCK: "would_block",
            Outcome.ALERT: "alerts",
        }.get(outcome)
        if column is not None:
            self.writer.count(now, column)
        incident = self.incidents.match(device_id, report, outcome, now)
        if incident is None:
            incident = Incident(
                id=0,
                opened=now,
                updated=now,
                device_id=device_id,
                device=self._device_label(device_id, report.client),
                server=report.server,
                server_port=report.server_port,
                family=report.family,
                score=report.score,
                state=outcome,
                certificate_id=certificate_id,
                evidence=report.evidence,
                ports={report.server_port},
                client=report.client,
            )
            incident.id = self.writer.insert(models.Incident, incident_values(incident))
            self.incidents.add(incident)
        else:
            join(incident, report, outcome, now)
            incident.certificate_id = incident.certificate_id or certificate_id
            self.writer.update(models.Incident, incident.id, incident_values(incident))
        if report.certificate is not None:
            incident.certificate_sha256 = report.certificate["sha256"]
        return incident

    def _block(self, report: FlowReport, incident: Incident, now: int) -> None:
        """Give the block that the packet path has made its author, reason and expiry."""
        if report.proxied or not self.actions.may_block(report.server):
            why = "the address is a proxy's" if report.proxied else "it is on the never-block list"
            incident.note = f"only this connection was cut, the server is not blocked: {why}"
            self.writer.update(models.Incident, incident.id, {"note": incident.note})
            return
        try:
            self.actions.block(
                report.server,
                report.server_port,
                self.settings.block.seconds,
                author=RULE_AUTHOR,
                reason=block_reason(report),
                incident=incident.id,
                now=now,
            )
        except RatwallError as error:
            self._complain(str(error))
            if len(self._owed) < WAITING_BLOCKS_LIMIT:
                self._owed.append((report, incident))

    def _pay_owed(self, now: int) -> None:
        """Try blocks again that the kernel had refused."""
        owed, self._owed = self._owed, []
        for report, incident in owed:
            if incident.state in (Outcome.BLOCKING, Outcome.BLOCKED):
                self._block(report, incident, now)

    def _take_event(self, event: FlowEvent) -> None:
        source, destination = str(event.source), str(event.destination)
        ways: tuple[Connection, Connection] = (
            (source, event.source_port, destination, event.destination_port),
            # Picked up in mid-stream, the server may have been the first to be seen.
            (destination, event.destination_port, source, event.source_port),
        )
        now = self.clock()
        if event.flow_class is FlowClass.BLOCK:
            reported = self.proofs.prove(ways[0], now) or self.proofs.prove(ways[1], now)
            if reported is not None:
                self._proven(reported)
        elif event.flow_class is FlowClass.UNINSPECTED:
            self.uninspected.take_event(event, now)
        if self.observation is not None:
            self.observation.take_event(event)
        if event.ended:
            ended = self.proofs.end(ways[0]) or self.proofs.end(ways[1])
            if ended is not None:
                self.writer.update(models.Flow, ended.flow_id, {"end": now})

    def _proven(self, reported: Reported) -> None:
        """Write that the kernel holds a connection as blocked."""
        self.writer.update(models.Flow, reported.flow_id, {"proven": True})
        incident = None
        if reported.incident_id is not None:
            incident = self.incidents.get(reported.incident_id)
        if (
            incident is not None
            and incident.last_flow == reported.flow_id
            and incident.state is Outcome.BLOCKING
        ):
            self.set_state(incident, Outcome.BLOCKED)
            self._durable = True

    def _reconcile(self, now: int) -> None:
        """Take in what the kernel has done while nobody listened.

        Connections that were reported before and not proven may be so by now; those that were cut
        meanwhile are proven first, and their reports still wait with the inspector.
        """
        for connection, reported in unproven_flows(self.ledger, now):
            self.proofs.report(connection, reported, now)
            incident = None
            if reported.incident_id is not None:
                incident = self.incidents.get(reported.incident_id)
            if incident is not None:
                incident.last_flow = reported.flow_id
        self._take_table()

    def _take_table(self) -> None:
        try:
            for event in self._watch.dump():
                self._take_event(event)
            self._table_unread = False
        except OSError as error:
            self._table_unread = True
            self._complain(f"conntrack: {error}")

    def _count_uninspected(self, now: int) -> None:
        """Add what the kernel let pass uninspected since the last look."""
        try:
            self.kernel_counters = self.sets.counters()
            if self.uninspected.count(self.kernel_counters, now):
                self.uninspected.take_missed(self.sets.missed(), now)
        except (RatwallError, KeyError) as error:
            missing = "nft shows no table inet ratwall" if isinstance(error, KeyError) else error
            self.kernel_problem = f"kernel counters: {missing}"
            # Once is no news for the log: on a clean end the rules go before this process does.
            if self._uncounted:
                self._complain(self.kernel_problem)
            self._uncounted = True
            return
        if self._uncounted:
            # The rules are new: what the sets held went with the old ones.
            self._uncounted = False
            for failure in self.actions.restore(now):
                self._complain(failure)

    def _reopen(self, now: int) -> None:
        """Try to get the ledger on disk back; what is in memory only is given up for it."""
        self._due["reopen"] = now + REOPEN_US
        try:
            self._open_ledger().close()
        except LedgerError:
            return
        self._start_anew()

    def _start_anew(self) -> None:
        """Go on with another ledger."""
        self.ledger.close()
        self.start()
        self.push_allows()

    def _mac_of(self, address: str) -> str | None:
        if address not in self._macs:
            try:
                self._macs[address] = self._neighbour(address)
            except RatwallError as error:
                self._complain(str(error))
                self._macs[address] = None
        return self._macs[address]

    def _device_label(self, device_id: int, address: str) -> str:
        """Return the name that a person gave a device, else its address."""
        try:
            name = self.ledger.value(
                models.Device.select(models.Device.name).where(models.Device.id == device_id)
            )
        except LedgerError:
            name = None  # the writer says what is wrong with the ledger
        return name or address

    def _complain(self, problem: str) -> None:
        if problem != self._logged:
            log.warning("%s", problem)
        self.kernel_problem = self._logged = problem
