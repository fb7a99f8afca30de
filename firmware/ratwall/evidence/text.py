"""An incident as plain text, for people who have neither Ratwall nor a reader of JSON.

Pure. Control characters in what strangers wrote are shown as question marks.
"""

from datetime import UTC, datetime
from typing import Any

from ratwall.address import place

SHOWN = 50  # lines of a list; the files beside have all of them
RULE = "-" * 72

Row = dict[str, Any]


def iso(microseconds: int) -> str:
    """Return a UTC time as "2024-01-23T02:04:30.000000Z"."""
    seconds, rest = divmod(microseconds, 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None, microsecond=rest)
    return f"{moment.isoformat(timespec='microseconds')}Z"


def incident_text(whole: Row) -> str:
    """Return the story: what, who, why, what was done. Takes what `incident.json` holds."""
    incident = whole["incident"]
    device = incident["device"]
    person = f"{device['name'] or '(no name)'}, {device['address']}, {device['mac'] or '?'}"
    lines = [
        f"Incident {incident['id']}",
        incident["headline"],
        RULE,
        f"Made by Ratwall {whole['ratwall']} at {whole['made']}. All times are UTC.",
        "SHA256SUMS holds the checksum of every file in it: sha256sum -c SHA256SUMS",
        "",
        f"Device         {person}",
        f"Server         {place(incident['server'], incident['server_port'])}",
        f"Asked for as   {', '.join(incident['names']) or '(no name was seen)'}",
        f"Family         {incident['family'] or '(not named)'}",
        f"First seen     {iso(incident['opened'])}",
        f"Last seen      {iso(incident['updated'])}",
        f"Attempts       {incident['count']}",
        f"State          {incident['state']}",
        *([f"Note           {incident['note']}"] if incident["note"] else []),
        "",
        f"Why: {incident['score']} of 100 points",
        *(_fact(fact) for fact in incident["evidence"]),
        *_certificate(incident["certificate"]),
        "",
        "What was done",
        *(_action(action) for action in incident["actions"][:SHOWN]),
        "",
        "What showed over time",
        *(
            f"  {iso(one['time'])}  {one['rule']}: score {one['score']}, {one['verdict']}"
            for one in incident["detections"][:SHOWN]
        ),
        *_regularity(incident["regularity"]),
        "",
        "Names of the server",
        *(f"  {one['name']}: first {iso(one['first_seen'])}" for one in whole["names"][:SHOWN]),
        "",
        "Connections",
        *(_flow(flow) for flow in whole["flows"][-SHOWN:]),
    ]
    return "\n".join(_printable(line) for line in lines) + "\n"


def _regularity(found: Row | None) -> list[str]:
    if found is None:
        return []
    rita = "none" if found["rita"] is None else f"{found['rita']['total']} of 1000"
    return [
        "",
        f"Regularity of {found['connections']} connections in a day: {found['ours']} of 100; "
        f"RITA's beacon score, to compare: {rita}",
    ]


def _fact(fact: Row) -> str:
    technique = f" (ATT&CK {fact['technique']})" if fact["technique"] else ""
    return f"  {fact['points']:>+4}  {fact['id']}: {fact['text']}{technique}"


def _action(action: Row) -> str:
    when, kind = iso(action["created"]), action["kind"]
    return f"  {when}  {kind} by {action['author']}: {action['reason']}"


def _certificate(certificate: Row | None) -> list[str]:
    if certificate is None:
        return ["", "No certificate was seen."]
    keys = ("subject", "issuer", "serial", "not_before", "not_after", "sha1", "sha256")
    return ["", "Certificate", *(f"  {key:<11} {certificate[key]}" for key in keys)]


def _flow(flow: Row) -> str:
    what = "cut, proven by the kernel" if flow["proven"] else flow["flow_class"]
    return (
        f"  {iso(flow['start'])}  {place(flow['client'], flow['client_port'])} to "
        f"{place(flow['server'], flow['server_port'])}  {flow['tls_version'] or '?'}  "
        f"{flow['verdict']}  {what}"
    )


def _printable(line: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in line)
