"""How the box fares and what thirty days were like, for programs; see `ratwall_web.views.overview`.

Only reads, and costs no more than the dashboard: both are answered from what is kept for it.
"""

from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from ratwall.ledger.days import COUNTS, days
from ratwall_web.api.answers import document, instant, take_parameters
from ratwall_web.api.problem import ProblemError
from ratwall_web.api.reading import controller_facts
from ratwall_web.records import now_us
from ratwall_web.services import services

FIGURES = (
    *("uptime_s", "cores", "processor_percent", "memory_bytes", "memory_percent", "temperature"),
    *("disk_bytes", "disk_percent", "queue_percent"),
)
PORT = ("name", "there", "up", "speed_mbit", "received_bps", "sent_bps")

blueprint = Blueprint("api_health", __name__, url_prefix="/api/v1")


@blueprint.get("/health")
def health() -> BaseResponse:
    """Return how the machine fares."""
    take_parameters()
    return document(shape(controller_facts()))


@blueprint.get("/days")
def month() -> BaseResponse:
    """Return the last 30 local days, oldest first."""
    take_parameters()
    counted = services().month.get("", lambda: services().records.ask(days, now_us()))
    items = [{"day": instant(day["day"]), **{key: day[key] for key in COUNTS}} for day in counted]
    return document({"items": items})


def shape(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the health of the box as programs get it; ProblemError before the first look."""
    found = facts.get("health")
    if found is None:
        raise ProblemError(503, "controller-unavailable", "The machine has not been looked at yet.")
    return {
        **{key: found.get(key) for key in FIGURES},
        "uninspected_packets": (facts.get("uninspected") or {}).get("packets", 0),
        "tight": list(found["tight"]),
        "ports": [{key: port[key] for key in PORT} for port in found["ports"]],
    }
