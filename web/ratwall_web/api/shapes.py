"""What the ledger and the controller know, in the form that programs get it.

Pure. Each form is written out, so that nothing new in the ledger is told by accident, and that what
is told once stays: within `v1` keys are added, never taken away or given another meaning.
"""

from collections.abc import Mapping
from typing import Any

from ratwall_web.api.answers import instant
from ratwall_web.records import Row

CERTIFICATE = (
    *("sha256", "sha1", "subject", "issuer", "serial", "not_before", "not_after", "key_type"),
    *("key_bits", "signature_algorithm", "self_issued"),
)
INSPECTOR = (
    *("worker", "alive", "queued", "flows", "blocked", "reports_lost", "failures", "evicted"),
    "uptime_s",
)
HOUR = ("inspected", "blocked", "would_block", "alerts", "uninspected")


def device(row: Mapping[str, Any]) -> Row:
    """Return a device as others name it."""
    return {key: row[key] for key in ("id", "address", "mac", "name")}


def known_device(row: Row) -> Row:
    """Return a device of the list of devices."""
    return device(row) | {
        "first_seen": instant(row["first_seen"]),
        "last_seen": instant(row["last_seen"]),
        "incidents": row["incidents"],
        "score": row["score"],
    }


def certificate(row: Row | None) -> Row | None:
    """Return a certificate, None if none was shown."""
    if row is None:
        return None
    return {key: row[key] for key in CERTIFICATE} | {"self_issued": bool(row["self_issued"])}


def known_certificate(row: Row) -> Row:
    """Return a certificate of the list of certificates."""
    return {
        "id": row["id"],
        **{key: row[key] for key in CERTIFICATE},
        "self_issued": bool(row["self_issued"]),
        "first_seen": instant(row["first_seen"]),
        "last_seen": instant(row["last_seen"]),
    }


def server(row: Row) -> Row:
    """Return a server of the list of servers."""
    keys = ("id", "server", "names", "devices", "connections", "failures", "sent", "received")
    return {
        **{key: row[key] for key in keys},
        "first_seen": instant(row["first_seen"]),
        "last_seen": instant(row["last_seen"]),
        "incidents": row["incidents"],
    }


def whole_server(number: int, row: Row) -> Row:
    """Return a server with the devices that spoke with it."""
    keys = ("port", "connections", "failures", "sent", "received")
    return server({**row, "id": number, "incidents": len(row["incidents"])}) | {
        "contacts": [
            {
                "device": device(each),
                **{key: each[key] for key in keys},
                "first_seen": instant(each["first_seen"]),
                "last_seen": instant(each["last_seen"]),
            }
            for each in row["devices_met"]
        ],
        "certificates": [known_certificate(each) for each in row["certificates"]],
        "actions": [action(each) for each in row["actions"]],
    }


def rules(answer: Row) -> Row:
    """Return what rules may do, and what was set since the settings were read."""
    return {
        "effective": {mode: list(names) for mode, names in answer["effective"].items()},
        "set": [
            {key: each[key] for key in ("action", "rule", "mode", "author", "reason")}
            | {"created": instant(each["created"])}
            for each in answer["set"]
        ],
    }


def evidence(facts: list[Row]) -> list[Row]:
    """Return the facts that a score is made of."""
    return [{key: fact[key] for key in ("id", "points", "text", "technique")} for fact in facts]


def incident(row: Row) -> Row:
    """Return an incident of a list."""
    return {
        "id": row["id"],
        "opened": instant(row["opened"]),
        "updated": instant(row["updated"]),
        "device": device(row["device"]),
        "server": row["server"],
        "server_port": row["server_port"],
        "names": row["names"],
        "family": row["family"],
        "score": row["score"],
        "headline": row["headline"],
        "state": row["state"],
        "count": row["count"],
        "blocked_until": instant(row["blocked_until"]),
        "certificate": certificate(row["certificate"]),
        "evidence": evidence(row["evidence"]),
        "note": row["note"],
    }


def whole_incident(row: Row) -> Row:
    """Return an incident with its newest connections and all that was done about it."""
    return incident(row) | {
        "flows": [flow(each) for each in row["flows"]],
        "actions": [action(each) for each in row["actions"]],
        "detections": [
            {key: each[key] for key in ("id", "rule", "score", "verdict")}
            | {"time": instant(each["time"])}
            for each in row["detections"]
        ],
    }


def flow(row: Row) -> Row:
    """Return a connection."""
    keys = ("client", "client_port", "server", "server_port", "sni", "names", "tls_version")
    more = ("ja3", "ja4", "ja3s", "score", "verdict", "family", "incident")
    flags = ("resumed", "enforced", "proven")
    return {
        "id": row["id"],
        "start": instant(row["start"]),
        "end": instant(row["end"]),
        "device": device(row["device"]),
        **{key: row[key] for key in (*keys, *more)},
        **{key: bool(row[key]) for key in flags},
        "class": row["flow_class"],
        "certificate": certificate(row["certificate"]),
        "evidence": evidence(row["evidence"]),
    }


def action(row: Row) -> Row:
    """Return something that was done, and until when it holds."""
    keys = ("kind", "author", "reason", "device", "server", "server_port", "certificate_sha256")
    times = ("created", "expires", "undone")
    return {
        "id": row["id"],
        **{key: row[key] for key in (*keys, "incident", "rule", "mode")},
        **{key: instant(row[key]) for key in times},
    }


def audit(row: Row) -> Row:
    """Return a line of the audit trail."""
    keys = ("id", "author", "event", "detail")
    return {key: row[key] for key in keys} | {"time": instant(row["time"])}


def today(row: Row) -> Row:
    """Return the figures of the dashboard."""
    hours = [
        {"hour": instant(hour["hour"]), **{key: hour[key] for key in HOUR}} for hour in row["hours"]
    ]
    counts = ("blocked", "would_block", "inspected", "uninspected", "alerts")
    return {
        "today": {key: row[f"{key}_today"] for key in counts},
        "devices": row["devices"],
        "hours": hours,
    }


def status(facts: Row) -> Row:
    """Return the state of the box."""
    uninspected = facts.get("uninspected") or {}
    table = facts.get("conntrack")
    kept = facts.get("ledger") or {}
    tested = facts.get("selftest")
    return {
        **{key: facts.get(key) for key in ("state", "reason", "mode", "lan", "wan", "version")},
        "since": instant(facts.get("since")),
        "enforcing": bool(facts.get("enforce")),
        "blocks": facts.get("blocks", 0),
        "kernel_problem": facts.get("kernel_problem"),
        "pauses": [
            {"action": each["action"], "device": each["device"], "until": instant(each["until"])}
            for each in facts.get("pauses") or []
        ],
        "inspectors": [
            {key: each.get(key) for key in INSPECTOR} for each in facts.get("inspectors") or []
        ],
        "uninspected": {
            "packets": uninspected.get("packets", 0),
            "flows": uninspected.get("flows", 0),
            "last": instant(uninspected.get("last")),
        },
        "passed": dict(facts.get("passed") or {}),
        "interruptions": [
            {
                "what": each["what"],
                "since": instant(each.get("since")),
                "until": instant(each.get("until")),
            }
            for each in facts.get("interruptions") or []
        ],
        "conntrack": table and {key: table.get(key) for key in ("tracked", "limit", "stage")},
        "ledger": {
            "bytes": kept.get("bytes", 0),
            "waiting": kept.get("waiting", 0),
            "lost": kept.get("lost", 0),
            "notice": kept.get("notice"),
        },
        "export": exports(facts.get("export")),
        "selftest": tested and {"ok": tested.get("ok"), "time": instant(tested.get("time"))},
    }


def exports(told: Row | None) -> list[Row] | None:
    """Return how each receiver fares, None where nobody is to be told; `to` may hold a secret."""
    if told is None:
        return None
    return [
        {
            "receiver": name,
            **{key: each[key] for key in ("sent", "backlog")},
            "last_sent": instant(each["last_sent"]),
            "failing_since": instant(each["error_since"]),
        }
        for name, each in told.items()
    ]


def feeds(facts: Row | None) -> Row:
    """Return the lists of others, with state and age."""
    facts = facts or {}
    return {
        "indicators": facts.get("indicators", 0),
        "made": instant(facts.get("made")),
        "problem": facts.get("problem"),
        "items": [
            {key: each[key] for key in ("name", "kind", "indicators", "error")}
            | {"checked": instant(each["checked"]), "taken": instant(each["taken"])}
            for each in facts.get("lists") or []
        ],
    }


def signatures(facts: Row | None) -> Row:
    """Return the signature packs in force."""
    facts = facts or {}
    keys = ("name", "version", "made", "key", "rules", "family", "about")
    return {
        "problems": list(facts.get("problems") or []),
        "items": [
            {key: each[key] for key in keys} | {"taken": instant(each["taken"])}
            for each in facts.get("packs") or []
        ],
    }
