"""The dashboard: is the office protected, what happened today, what happened last.

The page asks for `/live` every two seconds. The answer is empty (204) as long as nothing changed,
so an open tab costs a few hundred bytes a time and never flickers. However many tabs are open, the
dashboard is drawn once a second at most; it holds nothing that belongs to one person.
"""

import hashlib
import json
import time
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request

from ratwall.ledger.days import days
from ratwall.ledger.store import LedgerError
from ratwall.update.attempt import State, notice
from ratwall.update.place import Place, last_attempt
from ratwall_web import conditions
from ratwall_web.guard import background
from ratwall_web.language import _, language
from ratwall_web.records import Row, now_us
from ratwall_web.services import services
from ratwall_web.views import selftest

MICROSECONDS = 1_000_000
DIGEST_DIGITS = 16
NOON_S = 12 * 3600  # where a day is drawn: the browser's clock may be hours from the box's
SERIES = ("inspected", "uninspected", "blocked")

blueprint = Blueprint("overview", __name__)


@blueprint.get("/")
def dashboard() -> str:
    """Show the dashboard."""
    # Whoever has just changed something must see it.
    body, digest = services().dashboard.renew(language(), _body)
    return render_template(
        "overview/dashboard.html",
        body=body,
        digest=digest,
        month=_month(),
        test=selftest.piece("overview"),
        unfinished=services().first_run.step() is not None,
    )


@blueprint.get("/live")
@background
def live() -> Response:
    """Return the dashboard's body if it is no longer the one that the browser shows."""
    body, digest = services().dashboard.get(language(), _body)
    if request.args.get("seen") == digest:
        return Response(status=204)
    return make_response(render_template("overview/live.html", body=body, digest=digest))


@blueprint.get("/month")
@background
def month() -> str:
    """Return the chart of the last 30 days."""
    return render_template("overview/month.html", month=_month())


def _month() -> dict[str, Any]:
    """Return the last 30 days, to draw and to read, or why they cannot be read."""
    try:
        counted = services().month.get("", lambda: services().records.ask(days, now_us()))
    except LedgerError as error:
        return {"problem": str(error), "days": [], "chart": None}
    shown = [
        {**day, "date": datetime.fromtimestamp(day["day"] // MICROSECONDS).date()}
        for day in counted
    ]
    columns = [[day["day"] // MICROSECONDS + NOON_S for day in counted]]
    columns += [[day[key] for day in counted] for key in SERIES]
    labels = _labels(_("Day"))
    return {
        "problem": None,
        "days": shown,
        "chart": json.dumps(columns, separators=(",", ":")),
        "labels": labels,
    }


def _labels(step: str) -> str:
    """Return what the series of a chart are called, for its script."""
    names = (step, _("Inspected"), _("Uninspected"), _("Blocked (right scale)"))
    return json.dumps(names, ensure_ascii=False)


def _body() -> tuple[str, str]:
    status = services().control.status()
    try:
        figures: Row | None = services().records.dashboard()
        problem = None
    except LedgerError as error:
        figures, problem = None, str(error)
    health = status.facts.get("health") if status.facts else None
    missed = status.facts["uninspected"]["packets"] if status.facts else 0
    body = render_template(
        "overview/body.html",
        health=health,
        health_hints=conditions.hints(health),
        missed=missed,
        status=status,
        figures=figures,
        problem=problem,
        update=_update(),
        chart=_chart(figures) if figures else None,
        chart_labels=_labels(_("Hour")),
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
    columns += [[hour[key] for hour in hours] for key in SERIES]
    return json.dumps(columns, separators=(",", ":"))
