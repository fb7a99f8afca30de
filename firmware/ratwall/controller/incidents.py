"""Groups what a device does with a server into one incident, and follows what became of it.

Pure: no socket, no clock, no ledger. Repeats belong together when device and server are the same,
no two families are named, and the last one is less than a day old. The port does not matter: these
clients hop through a list of ports, and a person wants to read that once. An incident that was
released or allowed takes in no new attempt: that one is a new story.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ratwall.controller.messages import FlowReport
from ratwall.verdict.finding import Finding
from ratwall.verdict.headline import Outcome, headline
from ratwall.verdict.judge import Judgement

TOGETHER_US = 24 * 3_600_000_000  # a RAT left alone retries within seconds; a day spans the night
AT_HAND_LIMIT = 10_000  # incidents of one day held in memory, 20 MB: a scan of the whole Internet
OPEN = (Outcome.BLOCKING, Outcome.BLOCKED, Outcome.WOULD_BLOCK, Outcome.ALERT)

# What is found over time stays on the incident, whatever handshake comes after it.
OVER_TIME = ("feed.address", "history.", "lookup.", "loop.", "model.", "policy.", "rhythm.")
SETTLED = (Outcome.BLOCKING, Outcome.BLOCKED)

Pair = tuple[int, str]


@dataclass(slots=True)
class Incident:
    """One incident as it stands; times are UTC microseconds."""

    id: int
    opened: int
    updated: int
    device_id: int
    device: str  # its name or address, for the headline
    server: str
    server_port: int  # of the first attempt
    family: str | None
    score: int
    state: Outcome
    count: int = 1
    certificate_id: int | None = None
    certificate_sha256: str | None = None
    evidence: tuple[dict[str, Any], ...] = ()
    note: str | None = None
    ports: set[int] = field(default_factory=set)  # all that were tried
    client: str | None = None  # address that the last attempt came from
    name: str | None = None  # DNS name that the device asked for
    last_flow: int | None = None  # id of the last attempt: its proof makes the incident "blocked"

    @property
    def headline(self) -> str:
        """Say in one sentence who tried to reach what, and what became of it."""
        return headline(
            device=self.device,
            server=self.server,
            server_port=self.server_port,
            family=self.family,
            outcome=self.state,
            name=self.name,
        )


def outcome_of(report: FlowReport) -> Outcome | None:
    """Return what a report means for a person, None if it is nothing to tell."""
    if report.verdict == "block":
        if report.flow_class == "exempt":
            return Outcome.ALLOWED
        if report.flow_class == "block" and report.enforced:
            return Outcome.BLOCKING
        return Outcome.WOULD_BLOCK
    return Outcome.ALERT if report.verdict == "alert" else None


class IncidentBook:
    """The incidents of the last day, by what groups them and by id."""

    def __init__(self, incidents: Iterable[Incident] = ()) -> None:
        self._by_pair: dict[Pair, list[Incident]] = {}  # the newest last
        self._by_id: dict[int, Incident] = {}
        for incident in incidents:
            self.add(incident)

    def __iter__(self) -> Iterator[Incident]:
        return iter(list(self._by_id.values()))

    def get(self, incident_id: int) -> Incident | None:
        """Return an incident at hand."""
        return self._by_id.get(incident_id)

    def add(self, incident: Incident) -> None:
        """Take an incident in; it is now the one that repeats join."""
        self._by_pair.setdefault((incident.device_id, incident.server), []).append(incident)
        self._by_id[incident.id] = incident
        if len(self._by_id) > AT_HAND_LIMIT:
            self._drop(next(iter(self._by_id.values())))

    def match(
        self, device_id: int, report: FlowReport, outcome: Outcome, now: int
    ) -> Incident | None:
        """Return the incident that a report repeats, None if it is a new one."""
        pair = device_id, report.server
        for incident in reversed(self._by_pair.get(pair, ())):
            if now - incident.updated >= TOGETHER_US:
                continue
            if report.family and incident.family and report.family != incident.family:
                continue
            # What was let through or released before is not what this one joins.
            return incident if outcome is Outcome.ALLOWED or incident.state in OPEN else None
        return None

    def of(self, device_id: int, server: str, now: int) -> Incident | None:
        """Return the newest open incident of a device with a server, whatever its family."""
        open_ones = (
            incident
            for incident in self._by_pair.get((device_id, server), ())
            if incident.state in OPEN and now - incident.updated < TOGETHER_US
        )
        return max(open_ones, key=lambda incident: incident.updated, default=None)

    def clock_set(self, by: int, since: int) -> list[Incident]:
        """Move the times of what happened since a time by a step of the clock; return what moved.

        What is from an earlier life of the controller stays, as with actions.
        """
        moved = [incident for incident in self._by_id.values() if incident.updated >= since]
        for incident in moved:
            incident.updated += by
            if incident.opened >= since:
                incident.opened += by
        return moved

    def forget_old(self, now: int) -> None:
        """Let go of incidents that no repeat can join any more."""
        for incident in list(self._by_id.values()):
            if now - incident.updated >= TOGETHER_US:
                self._drop(incident)

    def _drop(self, incident: Incident) -> None:
        del self._by_id[incident.id]
        pair = incident.device_id, incident.server
        others = [other for other in self._by_pair[pair] if other is not incident]
        if others:
            self._by_pair[pair] = others
        else:
            del self._by_pair[pair]


def join(incident: Incident, report: FlowReport, outcome: Outcome, now: int) -> None:
    """Add a repeat to its incident: the highest score explains it, the last attempt is its state.

    A repeat that is being blocked makes it "blocking" again: it is "blocked" only when the kernel
    has shown that this last attempt was.
    """
    incident.count += 1
    incident.updated = max(incident.updated, now)
    incident.ports.add(report.server_port)
    incident.client = report.client
    if report.score > incident.score:
        incident.score = report.score
        kept = (fact for fact in incident.evidence if str(fact["id"]).startswith(OVER_TIME))
        incident.evidence = (*report.evidence, *kept)
    incident.family = incident.family or report.family
    if outcome is not Outcome.ALERT:  # a mere alert takes nothing back from what is known
        incident.state = outcome


def join_finding(
    incident: Incident, finding: Finding, judgement: Judgement, outcome: Outcome, now: int
) -> None:
    """Add what was found over time: the highest score explains the incident, as with repeats.

    The facts that are told must add up to the score; the rest stands with what was found.
    """
    incident.updated = max(incident.updated, now)
    incident.ports.add(finding.server_port)
    if judgement.score > incident.score:
        incident.score = judgement.score
        incident.evidence = tuple(item.as_dict() for item in judgement.evidence)
    incident.family = incident.family or judgement.family
    # A mere alert, or what would have been blocked, takes nothing back from what was.
    if outcome is not Outcome.ALERT and not (
        outcome is Outcome.WOULD_BLOCK and incident.state in SETTLED
    ):
        incident.state = outcome
