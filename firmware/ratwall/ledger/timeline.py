"""The whole story that an incident is a part of: what its device did before and after.

Never writes. An incident is one device and one server, because that is what a person allows,
releases or keeps; an intruder does not stay with one server. Incidents of one device belong to one
story while none is more than a week after the one before it.
"""

from typing import Any

from ratwall.ledger.models import Detection, Incident
from ratwall.ledger.store import Ledger

APART_US = 7 * 86_400_000_000  # a week: what is installed tries again within days
STORY_LIMIT = 200  # incidents of one device looked at: a story is told in a few
LISTED_LIMIT = 20  # stages shown
FOUND_LIMIT = 10  # findings named of each

Row = dict[str, Any]


def timeline(ledger: Ledger, incident_id: int, device_id: int) -> list[Row]:
    """Return the stages of a story, oldest first: incidents, each with what was found over time.

    `incident_id` is among them; LedgerError if the ledger cannot be read.
    """
    rows = ledger.rows(
        Incident.select(
            Incident.id,
            Incident.opened,
            Incident.updated,
            Incident.server,
            Incident.server_port,
            Incident.family,
            Incident.score,
            Incident.state,
            Incident.count,
            Incident.headline,
        )
        .where(Incident.device == device_id)
        .order_by(Incident.id.desc())
        .limit(STORY_LIMIT)
    )
    stages = _together(list(reversed(rows)), incident_id)
    found = ledger.rows(
        Detection.select(Detection.incident, Detection.time, Detection.rule)
        .where(Detection.incident.in_([stage["id"] for stage in stages]))
        .order_by(Detection.id)
    )
    for stage in stages:
        mine: dict[str, Row] = {}
        for one in found:
            if one["incident"] == stage["id"]:
                mine.setdefault(one["rule"], {"time": one["time"], "rule": one["rule"]})
        stage["found"] = list(mine.values())[:FOUND_LIMIT]
    return stages


def _together(incidents: list[Row], incident_id: int) -> list[Row]:
    """Return the run of incidents, none a week after all before it, that holds this one."""
    runs: list[list[Row]] = []
    latest = 0
    for incident in sorted(incidents, key=lambda one: (one["opened"], one["id"])):
        if not runs or incident["opened"] - latest > APART_US:
            runs.append([])
        runs[-1].append(incident)
        latest = max(latest, incident["updated"])
    for run in runs:
        places = [place for place, one in enumerate(run) if one["id"] == incident_id]
        if places:
            # Of a long story the part that the incident ends.
            return run[max(0, places[0] + 1 - LISTED_LIMIT) :][:LISTED_LIMIT]
    return []
