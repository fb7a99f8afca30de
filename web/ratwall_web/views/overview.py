"""The dashboard: is the office protected, what happened today, what happened last.

The page asks for `/live` every two seconds. The answer is empty (204) as long as nothing changed,
so an open tab costs a few hundred bytes a time and never flickers.
"""

import hashlib
import json
import time

from flask import Blueprint, Response, make_response, render_template, request

from ratwall.ledger.store import LedgerError
from ratwall.update.attempt import State, notice
from ratwall.update.place import Place, last_attempt
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
        update=_update(),
        chart=_chart(figures) if figures else None,
    )
    return body, hashlib.sha256(body.encode()).hexdigest()[:DIGEST_DIGITS]


def _update() -> dict[str, str] | None:
    """Return what the owner should know of the last update, and how it looks."""
    last = last_attempt(Place(services().config.update_dir))
    text = notice(last, time.time_ns() // 1000)
    if last is None or text is None:
        return None
    tones = {State.FAILED: "warn", State.GOOD: "good"}
    return {"text": text, "tone": tones.get(last.state, "")}


def _chart(figures: Row) -> str:
    """Return what uPlot draws: four rows of the same length, the first in Unix seconds."""
    hours = figures["hours"]
    columns = [[hour["hour"] // MICROSECONDS for hour in hours]]
    columns += [[hour[key] for hour in hours] for key in ("inspected", "uninspected", "blocked")]
    return json.dumps(columns, separators=(",", ":"))
