"""What goes out, as one flat record each: an incident, an action, a state of the box.

Pure: rows of the ledger in, a record out. Names and subjects in those rows were chosen by
strangers, so every text is cut and freed of what a terminal, a log file or a line-based parser
would obey; what a format must escape besides is the format's own business. Never payload, never a
secret, never a path of the box.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Final

TEXT_LIMIT: Final = 1024  # characters of one value: the longest subject worth reading is half of it
EVIDENCE_LIMIT: Final = 24  # facts of one incident told; a judgement has a dozen at most
BARE_LIMIT: Final = 40  # characters of a value in the smallest form: an IPv6 address fits

# Severities of RFC 5424, table 2.
ALERT, CRITICAL, WARNING, NOTICE = 1, 2, 4, 5

_INCIDENT_SEVERITY: Final = {
    # A RAT runs on a machine of the office, whether or not it reached its server.
    "blocking": CRITICAL,
    "blocked": CRITICAL,
    "would_block": CRITICAL,
    "alert": WARNING,
    "allowed": NOTICE,
    "released": NOTICE,
}
_STATE_SEVERITY: Final = {
    "bypassed": ALERT,
    "stopped": ALERT,
    "partial": WARNING,
    "paused": WARNING,
    "monitor": NOTICE,
    "protecting": NOTICE,
}
STATE_WORDS: Final = {
    "bypassed": "Bypassed",
    "stopped": "Stopped",
    "partial": "Partly protecting",
    "paused": "Paused",
    "monitor": "Monitor only",
    "protecting": "Protecting",
}
# What is told however little room there is.
BARE: Final = frozenset(
    ("id", "state", "score", "family", "device", "server", "server_port", "kind", "author")
)

Row = dict[str, Any]
Value = str | int | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that happened; `sequence` counts up within `ledger`, `time` is UTC microseconds."""

    ledger: str
    sequence: int
    time: int
    event: str
    severity: int
    message: str
    fields: dict[str, Value]

    @property
    def id(self) -> str:
        """What tells this record from all others, also when it comes twice."""
        return f"{self.ledger}-{self.sequence}"

    def shortened(self, limit: int) -> "Record":
        """Return the same with no text longer than `limit` characters."""
        fields: dict[str, Value] = {
            name: clean(value, limit)
            if isinstance(value, str)
            else tuple(clean(part, limit) for part in value)
            if isinstance(value, tuple)
            else value
            for name, value in self.fields.items()
        }
        return replace(self, message=clean(self.message, limit), fields=fields)

    def bare(self) -> "Record":
        """Return the least that is still worth telling."""
        fields = {name: value for name, value in self.fields.items() if name in BARE}
        return replace(self, fields=fields).shortened(BARE_LIMIT)


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return text of at most `limit` characters in which nothing controls anything."""
    cut = text[: limit - 1] + "…" if len(text) > limit else text
    return "".join(each if each.isprintable() else "\ufffd" for each in cut)


def incident_record(
    ledger: str, change: Row, incident: Row, device: Row | None, certificate: Row | None
) -> Record:
    """Return what is told of an incident as it stands."""
    evidence = _evidence(incident["evidence"])
    fields: Row = {
        "id": incident["id"],
        "state": incident["state"],
        "score": incident["score"],
        "family": incident["family"],
        "count": incident["count"],
        "opened": incident["opened"],
        "updated": incident["updated"],
        "server": incident["server"],
        "server_port": incident["server_port"],
        "server_name": incident["name"],
        "rules": tuple(str(fact.get("id", "")) for fact in evidence),
        "techniques": tuple(
            dict.fromkeys(str(fact["technique"]) for fact in evidence if fact.get("technique"))
        ),
    }
    if device is not None:
        fields |= {
            "device": device["address"],
            "device_mac": device["mac"],
            "device_name": device["name"],
        }
    if certificate is not None:
        fields |= {
            f"certificate_{key}": certificate[key]
            for key in ("sha256", "sha1", "subject", "issuer")
        }
    severity = _INCIDENT_SEVERITY.get(incident["state"], WARNING)
    return _record(ledger, change, severity, incident["headline"], fields)


def action_record(ledger: str, change: Row, action: Row) -> Record:
    """Return what is told of something done, or undone, by a rule or a person."""
    names = ("kind", "author", "reason", "device", "server", "server_port", "expires", "undone")
    fields = {"id": action["id"], **{name: action[name] for name in names}}
    fields |= {"device_mac": action["mac"], "rule": action["rule"], "mode": action["mode"]}
    fields["incident"] = action["incident"]
    what = " ".join(
        str(part)
        for part in (action["kind"], action["device"], action["server"], action["rule"])
        if part
    )
    verb = "undone" if change["kind"] == "action_undone" else "done"
    message = f"{verb} by {action['author']}: {what}: {action['reason']}"
    return _record(ledger, change, NOTICE, message, fields)


def state_record(ledger: str, change: Row, state: Row) -> Record:
    """Return what is told of the box's own state."""
    reason = f": {state['reason']}" if state["reason"] else ""
    return _record(
        ledger,
        change,
        _STATE_SEVERITY.get(state["state"], WARNING),
        f"{STATE_WORDS.get(state['state'], state['state'])}{reason}",
        {"state": state["state"], "reason": state["reason"]},
    )


def _record(ledger: str, change: Row, severity: int, message: str, fields: Row) -> Record:
    known = {name: value for name, value in fields.items() if value not in (None, "", ())}
    bare = Record(ledger, change["id"], change["time"], change["kind"], severity, message, known)
    return bare.shortened(TEXT_LIMIT)


def _evidence(text: str) -> list[Row]:
    """Return an incident's facts; the ledger's own writer made them, so a broken row is a fault."""
    return [fact for fact in json.loads(text) if isinstance(fact, dict)][:EVIDENCE_LIMIT]
