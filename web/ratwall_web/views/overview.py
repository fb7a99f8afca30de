"""The dashboard: is the office protected, what happened today, what happened last.

The page asks for `/live` every two seconds. The answer is empty (204) as long as nothing changed,
so an open tab costs a few hundred bytes a time and never flickers.
"""

import hashlib
import json

from flask import Blueprint, Response, make_response, render_template, request

from ratwall.ledger.store import LedgerError
from ratwall_web.guard import background
from ratwall_web.records import Row
from ratwall_web.services import services

MICROSECONDS = 1_000_000
DIGEST_DIGITS = 16

blueprint = Blueprint("overview", __name__)


@blueprint.get("/")
def dashboard() -> str:
    """Show the dashboard."""
    body, digest = _body()
    return render_template("overview/dashboard.html", body=body, digest=digest)


@blueprint.get("/live")
@background
def live() -> Response:
    """Return the dashboard's body if it is no longer the one that the browser shows."""
    body, digest = _body()
    if request.args.get("seen") == digest:
        return Response(status=204)
    return make_response(render_template("overview/live.html", body=body, digest=digest))


def _body() -> tuple[str, str]:
    status = services().control.status()
    try:
        figures: Row | None = services().records.dashboard()
        problem = None
    except LedgerError as error:
        figures, problem = None, str(error)
    body = render_template(
        "overview/body.html",
        status=status,
        figures=figures,
        problem=problem,
        chart=_chart(figures) if figures else None,
    )
    return body, hashlib.sha256(body.encode()).hexdigest()[:DIGEST_DIGITS]


def _chart(figures: Row) -> str:
    """Return what uPlot draws: four rows of the same length, the first in Unix seconds."""
    hours = figures["hours"]
    columns = [[hour["hour"] // MICROSECONDS for hour in hours]]
    columns += [[hour[key] for hour in hours] for key in ("inspected", "uninspected", "blocked")]
    return json.dumps(columns, separators=(",", ":"))
