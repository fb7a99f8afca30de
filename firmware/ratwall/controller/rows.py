"""Between the controller's values and the ledger's rows.

Builds what is written and reads what was found. It decides nothing.
"""

import json
from collections.abc import Iterator
from typing import Any

from peewee import JOIN, fn

from ratwall.controller.incidents import TOGETHER_US, Incident
from ratwall.controller.messages import FlowReport
from ratwall.controller.proofs import AT_HAND_LIMIT, Connection, Reported
from ratwall.ledger import contacts, models
from ratwall.ledger.store import Ledger, LedgerError
from ratwall.verdict.headline import Outcome

RUNNING_US = 24 * 3_600_000_000  # a day: what runs longer is written without an end
PROOF_US = 3_600_000_000  # an hour: the kernel forgets a cut connection within minutes
# Bytes of a certificate kept whole. A leaf has 1 to 3 KB and a RAT's less than 2; what is larger
# was padded by a stranger to fill the disk, and its SHA-256 and facts are kept all the same.
DER_KEPT = 8192
DER_VERDICTS = ("alert", "block")  # what somebody may want to look into later
RECENT_REPORTS = 20_000  # read in half a second at the start: a busy day of forty devices
RECENT_DETECTIONS = 2000  # of the last hours: each is an incident or a repeat of one
REPORTED = (
    "flow_class",
    "client",
    "client_port",
    "server",
    "server_port",
    "start",
    "sni",
    "tls_version",
) + (
    "ja3",
    "ja4",
    "ja3s",
    "score",
    "verdict",
    "family",
)  # columns of a flow that a report has under the same name
NO_EVIDENCE = json.dumps([])  # of nearly every flow
REASON_FACTS = 3  # facts named in the reason of a block: the rest is on the incident


def flow_values(
    report: FlowReport, device_id: int, certificate_id: int | None, incident: Incident | None
) -> dict[str, Any]:
    """Return the columns of a flow."""
    return {
        "start": report.start,
        "device": device_id,
        "client": report.client,
        "client_port": report.client_port,
        "server": report.server,
        "server_port": report.server_port,
        "sni": report.sni,
        "tls_version": report.tls_version,
        "ja3": report.ja3,
        "ja4": report.ja4,
        "ja3s": report.ja3s,
        "resumed": report.resumed,
        "certificate": certificate_id,
        "score": report.score,
        "verdict": report.verdict,
        "flow_class": report.flow_class,
        "family": report.family,
        "evidence": json.dumps(report.evidence) if report.evidence else NO_EVIDENCE,
        "enforced": report.enforced,
        "proven": False,
        "incident": None if incident is None else incident.id,
    }


def incident_values(incident: Incident) -> dict[str, Any]:
    """Return the columns of an incident."""
    return {
        "opened": incident.opened,
        "updated": incident.updated,
        "device": incident.device_id,
        "server": incident.server,
        "server_port": incident.server_port,
        "name": incident.name,
        "family": incident.family,
        "score": incident.score,
        "headline": incident.headline,
        "state": incident.state.value,
        "count": incident.count,
        "certificate": incident.certificate_id,
        "evidence": json.dumps(incident.evidence),
        "note": incident.note,
    }


def kept_der(report: FlowReport) -> bytes | None:
    """Return the certificate to keep whole, None where its facts are enough."""
    if report.der is None or report.verdict not in DER_VERDICTS or len(report.der) > DER_KEPT:
        return None
    return report.der


def block_reason(report: FlowReport) -> str:
    """Return why a connection was blocked: its weightiest facts, in their own words."""
    facts = sorted(report.evidence, key=lambda fact: -int(fact["points"]))[:REASON_FACTS]
    return " ".join(str(fact["text"]) for fact in facts) or f"score {report.score}"


def recent_incidents(ledger: Ledger, now: int) -> Iterator[Incident]:
    """Yield the incidents that a repeat could still join, oldest first; LedgerError as `rows`."""
    recent = models.Incident.updated > now - TOGETHER_US
    for row in ledger.rows(_incident_select().where(recent).order_by(models.Incident.id)):
        yield _incident(row)


def unproven_flows(ledger: Ledger, now: int) -> Iterator[tuple[Connection, Reported]]:
    """Yield the newest cut connections without the kernel's proof, oldest first."""
    flow = models.Flow
    query = (
        flow.select()
        .where((flow.flow_class == "block") & ~flow.proven & (flow.start > now - PROOF_US))
        .order_by(flow.id.desc())
        .limit(AT_HAND_LIMIT)
    )
    for row in reversed(ledger.rows(query)):
        ends = (row["client"], row["client_port"], row["server"], row["server_port"])
        yield ends, Reported(row["id"], row["incident"])


def running_flows(ledger: Ledger, now: int) -> Iterator[tuple[Connection, Reported]]:
    """Yield the newest connections of the last day whose end was not written, oldest first."""
    flow = models.Flow
    query = (
        flow.select(
            flow.id, flow.client, flow.client_port, flow.server, flow.server_port, flow.incident
        )
        .where(flow.end.is_null() & (flow.start > now - RUNNING_US))
        .order_by(flow.start.desc())
        .limit(AT_HAND_LIMIT)
    )
    for row in reversed(ledger.rows(query)):
        ends = (row["client"], row["client_port"], row["server"], row["server_port"])
        yield ends, Reported(row["id"], row["incident"])


def cut_ports(ledger: Ledger, since: int) -> dict[tuple[str, str], set[int]]:
    """Return the ports of servers that were cut since a time, by device and server.

    LedgerError as `rows`; of too many the newest.
    """
    flow = models.Flow
    query = (
        flow.select(flow.client, flow.server, flow.server_port)
        .where((flow.start > since) & (flow.flow_class == "block") & flow.enforced)
        .order_by(flow.start.desc())
        .limit(AT_HAND_LIMIT)
    )
    found: dict[tuple[str, str], set[int]] = {}
    for row in reversed(ledger.rows(query)):
        found.setdefault((row["client"], row["server"]), set()).add(row["server_port"])
    return found


def recent_reports(ledger: Ledger, since: int) -> Iterator[FlowReport]:
    """Yield the newest judged connections since a time as they were reported, oldest first.

    Of a certificate only whether it was issued by itself is filled in.
    """
    flow = models.Flow
    query = (
        flow.select(flow, models.Certificate.self_issued)
        .join(models.Certificate, JOIN.LEFT_OUTER, on=(flow.certificate == models.Certificate.id))
        .where(flow.start > since)
        .order_by(flow.id.desc())
        .limit(RECENT_REPORTS)
    )
    for row in reversed(ledger.rows(query)):
        hidden = row["certificate"] is None
        yield FlowReport(
            worker=0,
            proxied=False,
            mac=None,
            der=None,
            certificate=None if hidden else {"self_issued": bool(row["self_issued"])},
            evidence=tuple(json.loads(row["evidence"])),
            resumed=bool(row["resumed"]),
            enforced=bool(row["enforced"]),
            **{key: row[key] for key in REPORTED},
        )


def detections_since(
    ledger: Ledger, prefix: str, since: int
) -> Iterator[tuple[str, tuple[str, str], int, dict[str, Any]]]:
    """Yield what was found by rules that begin so: rule, device's address and server, when, facts.

    Oldest first; LedgerError as `rows`.
    """
    found = models.Detection
    query = (
        found.select(
            found.rule, found.time, found.facts, models.Incident.server, models.Device.address
        )
        .join(models.Incident, on=(found.incident == models.Incident.id))
        .join(models.Device, on=(models.Incident.device == models.Device.id))
        .where(found.rule.startswith(prefix) & (found.time > since))
        .order_by(found.id.desc())
        .limit(RECENT_DETECTIONS)
    )
    for row in reversed(ledger.rows(query)):
        pair = row["address"], row["server"]
        yield row["rule"], pair, row["time"], json.loads(row["facts"])


def told_lately(
    ledger: Ledger, prefix: str, since: int
) -> Iterator[tuple[str, tuple[str, str], int]]:
    """Yield which rules that begin so told of whom, when; oldest first; LedgerError as `rows`."""
    for rule, pair, at, _ in detections_since(ledger, prefix, since):
        yield rule, pair, at


def find_incident(ledger: Ledger, incident_id: int) -> Incident | None:
    """Return one incident, None if there is none; LedgerError as `rows`."""
    row = ledger.row(_incident_select().where(models.Incident.id == incident_id))
    return None if row is None else _incident(row)


def _incident_select() -> Any:
    return (
        models.Incident.select(
            models.Incident,
            models.Device.name.alias("device_name"),
            models.Device.address.alias("device_address"),
            models.Certificate.sha256.alias("certificate_sha256"),
        )
        .join(models.Device, on=(models.Incident.device == models.Device.id))
        .switch(models.Incident)
        .join(
            models.Certificate,
            JOIN.LEFT_OUTER,
            on=(models.Incident.certificate == models.Certificate.id),
        )
    )


def _incident(row: dict[str, Any]) -> Incident:
    return Incident(
        id=row["id"],
        opened=row["opened"],
        updated=row["updated"],
        device_id=row["device"],
        device=row["device_name"] or row["device_address"],
        server=row["server"],
        server_port=row["server_port"],
        name=row["name"],
        family=row["family"],
        score=row["score"],
        state=Outcome(row["state"]),
        count=row["count"],
        certificate_id=row["certificate"],
        certificate_sha256=row["certificate_sha256"],
        evidence=tuple(json.loads(row["evidence"])),
        note=row["note"],
        ports={row["server_port"]},
        client=row["device_address"],
    )


def newest_flow(ledger: Ledger, connection: Connection) -> int | None:
    """Return the id of the newest flow between these ends, None if none was written or it cannot
    be read."""
    client, client_port, server, server_port = connection
    flows = models.Flow
    query = (
        flows.select(flows.id)
        .where(
            flows.server == server,
            flows.server_port == server_port,
            flows.client == client,
            flows.client_port == client_port,
        )
        .order_by(flows.id.desc())
    )
    try:
        found = ledger.row(query)
    except LedgerError:
        return None  # the writer says what is wrong with the ledger
    return None if found is None else int(found["id"])


def rarity(ledger: Ledger, server: str, now: int) -> tuple[int, int] | None:
    """Return how many devices had to do with a server, and for how long (microseconds).

    None if it cannot be read; (1, 0) if nothing was written of it yet. Contacts outlive the flows
    that a full ledger forgets; flows are there from before there were contacts.
    """
    flows = models.Flow
    query = (
        flows.select(flows.device, fn.MIN(flows.start).alias("first"))
        .where(flows.server == server)
        .group_by(flows.device)
    )
    try:
        first = {row["device"]: row["first"] for row in ledger.rows(query)}
        for device, since in contacts.known_since(ledger, server).items():
            first[device] = min(since, first.get(device, since))
    except LedgerError:
        return None
    if not first:
        return 1, 0
    return len(first), max(0, now - min(first.values()))
