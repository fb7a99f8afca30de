"""One incident as a zip file: for the police, an insurer, or whoever looks after the computers.

It reads the ledger and writes nothing there. Every file in it can be read without Ratwall: JSON,
CSV, plain text, a certificate as DER, a capture as pcap; `SHA256SUMS` says what they were when the
package was made (`sha256sum -c`). Limits keep it a thing that can be sent by mail.

Design note: a stranger chose many of these texts. JSON has them exactly; in CSV a text that a
spreadsheet would take for a formula gets an apostrophe in front.
"""

import csv
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO

from ratwall.evidence.text import incident_text, iso
from ratwall.ledger import names, queries
from ratwall.ledger.models import AuditEntry, Certificate, Flow
from ratwall.ledger.store import Ledger

FLOWS_LIMIT = 10_000  # the newest attempts: 4 MB before compression
AUDIT_LIMIT = 1_000
SUMS = "SHA256SUMS"
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what begins a formula in a spreadsheet
FLOW_COLUMNS = (
    *("id", "start", "end", "client", "client_port", "server", "server_port", "sni", "tls_version"),
    *("ja3", "ja4", "ja3s", "resumed", "score", "verdict", "flow_class", "family", "enforced"),
    "proven",
)
ACTION_COLUMNS = (
    *("id", "created", "kind", "author", "reason", "device", "server", "server_port"),
    *("certificate_sha256", "expires", "undone"),
)
_ADDRESS_LIKE = re.compile(r"[0-9a-f.:]+")
AUDIT_COLUMNS = ("id", "time", "author", "event", "detail")

Row = dict[str, Any]
# Returns what was captured between a device and a server, as a pcap file, None if nothing was.
Captured = Callable[[str, str], bytes | None]


def contents(
    ledger: Ledger,
    number: int,
    now: int,
    version: str,
    captured: Captured = lambda device, server: None,
) -> dict[str, bytes] | None:
    """Return the files of the package by name, None if there is no such incident.

    `now` is UTC microseconds; LedgerError if the ledger cannot be read.
    """
    incident = queries.incident(ledger, number)
    if incident is None:
        return None
    flows = _flows(ledger, number)
    dns = names.dossier(ledger, incident["server"])
    audit = _audit(ledger, incident, flows)
    actions: list[Row] = incident["actions"]
    beats = [
        {"rule": one["rule"], "time_us": beat, "time": iso(beat)}
        for one in incident["detections"]
        for beat in one["facts"].get("beats", ())
    ]
    incident.pop("flows")
    whole = {
        "made": iso(now),
        "made_us": now,
        "ratwall": version,
        "incident": incident,
        "names": dns,
        "flows": flows,
        "audit": audit,
    }
    files = {
        "incident.txt": incident_text(whole).encode(),
        "incident.json": _json(whole),
        "flows.json": _json(flows),
        "flows.csv": _csv(FLOW_COLUMNS, flows, times=("start", "end")),
        "beats.csv": _csv(("rule", "time_us", "time"), beats),
        "names.json": _json(dns),
        "actions.csv": _csv(ACTION_COLUMNS, actions, times=("created", "expires", "undone")),
        "audit.csv": _csv(AUDIT_COLUMNS, audit, times=("time",)),
    }
    if (der := _der(ledger, incident)) is not None:
        files["certificate.der"] = der
    if (pcap := captured(incident["device"]["address"], incident["server"])) is not None:
        files["capture.pcap"] = pcap
    return files


def write(files: Mapping[str, bytes], made: int, target: BinaryIO) -> None:
    """Write the package; `made` is UTC microseconds."""
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()
    )
    stamp = datetime.fromtimestamp(made // 1_000_000, UTC).timetuple()[:6]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in {**files, SUMS: sums.encode()}.items():
            entry = zipfile.ZipInfo(name, stamp)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            package.writestr(entry, content)


def as_bytes(files: Mapping[str, bytes], made: int) -> bytes:
    """Return the package in memory."""
    target = io.BytesIO()
    write(files, made, target)
    return target.getvalue()


def _flows(ledger: Ledger, number: int) -> list[Row]:
    query = Flow.select().where(Flow.incident == number).order_by(Flow.id.desc()).limit(FLOWS_LIMIT)
    rows = ledger.rows(query)
    for row in rows:
        row["evidence"] = json.loads(row["evidence"])
    return list(reversed(rows))


def _audit(ledger: Ledger, incident: Row, flows: Sequence[Row]) -> list[Row]:
    """Return the lines of the audit trail that name the server, since the incident began."""
    first = min([incident["opened"], *(flow["start"] for flow in flows)])
    query = (
        AuditEntry.select()
        .where((AuditEntry.time >= first) & AuditEntry.detail.contains(incident["server"]))
        .order_by(AuditEntry.id.desc())
        .limit(AUDIT_LIMIT)
    )
    server = incident["server"]
    return [row for row in reversed(ledger.rows(query)) if names_server(server, row["detail"])]


def names_server(server: str, text: str) -> bool:
    """Say whether a text names this very server: not 203.0.113.70 where 203.0.113.7 is meant."""
    for word in _ADDRESS_LIKE.findall(text):
        # An IPv6 address stands in brackets before a port.
        found = word if ":" in server else word.partition(":")[0]
        if server in (found, found.rstrip(".:")):
            return True
    return False


def _der(ledger: Ledger, incident: Row) -> bytes | None:
    if incident["certificate"] is None:
        return None
    of = Certificate.select(Certificate.der).where(Certificate.id == incident["certificate"]["id"])
    der = ledger.value(of)
    return None if der is None else bytes(der)


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=True).encode() + b"\n"


def _csv(columns: Sequence[str], rows: Iterable[Row], times: Sequence[str] = ()) -> bytes:
    """Return rows as CSV (RFC 4180); columns of `times` are given as UTC microseconds and text."""
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow([*columns, *(f"{name}_utc" for name in times)])
    for row in rows:
        shown = [_cell(row[name]) for name in columns]
        writer.writerow([*shown, *("" if row[name] is None else iso(row[name]) for name in times)])
    return target.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return str(value)
