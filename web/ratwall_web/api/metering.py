"""`/metrics`: what Prometheus asks for every few seconds.

A controller or a ledger that does not answer is a metric and no error: the monitor shall see it.
"""

from flask import Blueprint, Response

from ratwall.ledger.store import LedgerError
from ratwall_web.api.metrics import MEDIA_TYPE, exposition
from ratwall_web.records import Row
from ratwall_web.services import services

blueprint = Blueprint("api_metering", __name__)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return the metrics."""
    status = services().control.status()
    try:
        figures: Row | None = services().records.dashboard()
    except LedgerError:
        figures = None
    return Response(exposition(status.facts, figures), content_type=MEDIA_TYPE)
