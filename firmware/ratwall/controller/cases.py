"""The incidents with the ledger behind them: opened, joined, changed, found again.

What belongs together is decided in `incidents`; this gives it ids and rows. It blocks nothing.
"""

from collections.abc import Callable

from ratwall.controller.incidents import Incident, IncidentBook, join, join_finding
from ratwall.controller.messages import FlowReport
from ratwall.controller.rows import find_incident, incident_values, recent_incidents
from ratwall.ledger import models
from ratwall.ledger.store import Ledger, LedgerError
from ratwall.ledger.writer import LedgerWriter
from ratwall.verdict.finding import Finding
from ratwall.verdict.headline import Outcome
from ratwall.verdict.judge import Judgement

COLUMNS = {  # of the hours' counts
    Outcome.BLOCKING: "blocked",
    Outcome.WOULD_BLOCK: "would_block",
    Outcome.ALERT: "alerts",
}


class Cases:
    """All incidents: those at hand, and those in the ledger."""

    def __init__(self, ledger: Ledger, writer: LedgerWriter, now: int) -> None:
        self._ledger = ledger
        self._writer = writer
        # Which DNS name a device means by a server; set by whoever reads the answers.
        self.name_of: Callable[[str, str], str | None] = lambda device, server: None
        self.at_hand = IncidentBook(recent_incidents(ledger, now))

    def find(self, incident_id: int) -> Incident | None:
        """Return an incident, at hand or from the ledger; LedgerError if that cannot be read."""
        return self.at_hand.get(incident_id) or find_incident(self._ledger, incident_id)

    def set_state(self, incident: Incident, state: Outcome) -> None:
        """Change what became of an incident, with the headline that says so."""
        incident.state = state
        self._writer.update(
            models.Incident, incident.id, {"state": state.value, "headline": incident.headline}
        )

    def clock_set(self, by: int, since: int) -> None:
        """Let incidents be as old as they were, though the clock was set."""
        for incident in self.at_hand.clock_set(by, since):
            times = {"opened": incident.opened, "updated": incident.updated}
            self._writer.update(models.Incident, incident.id, times)

    def set_note(self, incident: Incident, note: str) -> None:
        """Add what a person must know of an incident beside its headline."""
        incident.note = note
        self._writer.update(models.Incident, incident.id, {"note": note})

    def take(
        self,
        report: FlowReport,
        outcome: Outcome,
        device_id: int,
        certificate_id: int | None,
        now: int,
    ) -> Incident:
        """Return the incident that a report belongs to, new or joined, and write it."""
        if outcome in COLUMNS:
            self._writer.count(now, COLUMNS[outcome])
        incident = self.at_hand.match(device_id, report, outcome, now)
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
                name=self.name_of(report.client, report.server),
            )
            incident.id = self._writer.insert(models.Incident, incident_values(incident))
            self.at_hand.add(incident)
        else:
            join(incident, report, outcome, now)
            incident.name = incident.name or self.name_of(report.client, report.server)
            incident.certificate_id = incident.certificate_id or certificate_id
            self._writer.update(models.Incident, incident.id, incident_values(incident))
        if report.certificate is not None:
            incident.certificate_sha256 = report.certificate["sha256"]
        return incident

    def take_finding(
        self,
        finding: Finding,
        judgement: Judgement,
        outcome: Outcome,
        device_id: int,
        now: int,
    ) -> Incident:
        """Return the incident that a finding belongs to, new or joined, and write it."""
        if outcome in COLUMNS:
            self._writer.count(now, COLUMNS[outcome])
        evidence = tuple(item.as_dict() for item in judgement.evidence)
        incident = self.at_hand.of(device_id, finding.server, now)
        if incident is None:
            incident = Incident(
                id=0,
                opened=now,
                updated=now,
                device_id=device_id,
                device=self._device_label(device_id, finding.device),
                server=finding.server,
                server_port=finding.server_port,
                family=judgement.family,
                score=judgement.score,
                state=outcome,
                evidence=evidence,
                ports={finding.server_port},
                client=finding.device,
                name=self.name_of(finding.device, finding.server),
            )
            incident.id = self._writer.insert(models.Incident, incident_values(incident))
            self.at_hand.add(incident)
        else:
            join_finding(incident, finding, judgement, outcome, now)
            incident.name = incident.name or self.name_of(finding.device, finding.server)
            self._writer.update(models.Incident, incident.id, incident_values(incident))
        return incident

    def _device_label(self, device_id: int, address: str) -> str:
        """Return the name that a person gave a device, else its address."""
        try:
            name = self._ledger.value(
                models.Device.select(models.Device.name).where(models.Device.id == device_id)
            )
        except LedgerError:
            name = None  # the writer says what is wrong with the ledger
        return name or address
