"""A record as an object of the Elastic Common Schema, version 8.11.

Pure. What has no place in the schema stands under `ratwall`.
"""

import json
from datetime import UTC, datetime
from typing import Any, Final

from ratwall import __version__
from ratwall.export.records import Record

ECS_VERSION: Final = "8.11.0"
_CATEGORIES: Final = {
    "incident_opened": ("alert", ["intrusion_detection", "network"]),
    "incident_changed": ("alert", ["intrusion_detection", "network"]),
    "action_taken": ("event", ["configuration"]),
    "action_undone": ("event", ["configuration"]),
    "box_state": ("state", ["host"]),
}
_TYPES: Final = {
    "blocked": ["connection", "denied"],
    "blocking": ["connection"],
    "allowed": ["connection", "allowed"],
}
# A record's field, and where the schema has it; the rest stands under `ratwall`.
_PLACES: Final = {
    "device": "source.ip",
    "device_name": "source.domain",
    "server": "destination.ip",
    "server_port": "destination.port",
    "server_name": "destination.domain",
    "techniques": "threat.technique.id",
    "certificate_subject": "tls.server.subject",
    "certificate_issuer": "tls.server.issuer",
    "author": "user.name",
}


def instant(microseconds: int) -> str:
    """Return a time as RFC 3339 text with six digits of a second (RFC 5424 section 6.2.3)."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"


def ecs(record: Record, host: str) -> dict[str, Any]:
    """Return the record as a JSON-ready object; `host` is the box's name."""
    kind, category = _CATEGORIES.get(record.event, ("event", ["host"]))
    fields = dict(record.fields)
    found: dict[str, Any] = {
        "@timestamp": instant(record.time),
        "ecs": {"version": ECS_VERSION},
        "message": record.message,
        "event": {
            "kind": kind,
            "category": category,
            "type": _TYPES.get(str(fields.get("state")), ["info"]),
            "action": record.event,
            "dataset": "ratwall.export",
            "module": "ratwall",
            "id": record.id,
            "sequence": record.sequence,
            # The schema has no scale of its own; this one is that of `event.severity` in CEF.
            "severity": 10 - record.severity,
        },
        "observer": {
            "vendor": "Ratwall",
            "product": "Ratwall",
            "type": "ips",
            "version": __version__,
            "hostname": host,
        },
    }
    for name, place in _PLACES.items():
        if name in fields:
            value = fields.pop(name)
            _put(found, place, list(value) if isinstance(value, tuple) else value)
    if "device_mac" in fields:  # the schema wants hyphens and capitals
        _put(found, "source.mac", str(fields.pop("device_mac")).upper().replace(":", "-"))
    for digest in ("sha1", "sha256"):
        if f"certificate_{digest}" in fields:
            value = str(fields.pop(f"certificate_{digest}")).upper()
            _put(found, f"tls.server.hash.{digest}", value)
    if "family" in fields:
        _put(found, "threat.software.name", fields["family"])
    found["ratwall"] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()
    }
    return found


def ecs_text(record: Record, host: str) -> str:
    """Return the object as one line of JSON."""
    return json.dumps(ecs(record, host), separators=(",", ":"), ensure_ascii=False)


def _put(found: dict[str, Any], place: str, value: Any) -> None:
    *parents, last = place.split(".")
    for parent in parents:
        found = found.setdefault(parent, {})
    found[last] = value
