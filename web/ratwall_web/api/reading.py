"""What programs may read: the page's own queries, in pages of bounded size.

Never changes anything; only that somebody took an evidence package is written down, as on the page.
"""

from typing import Any

from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as BaseResponse

from ratwall.evidence.package import as_bytes
from ratwall.ledger import queries
from ratwall.ledger.search import search
from ratwall_web import flow_filter, wording
from ratwall_web.api import gate, shapes
from ratwall_web.api.answers import (
    bad,
    document,
    missing,
    number,
    page,
    steps,
    tagged,
    take_parameters,
    text,
    word,
)
from ratwall_web.api.problem import ProblemError
from ratwall_web.records import Row, just_above, now_us
from ratwall_web.services import services

PAGING = ("limit", "cursor")
SEARCH_MOST = 100  # characters
IN_FORCE = ("yes", "no")  # no: also what is over or undone

blueprint = Blueprint("api_reading", __name__, url_prefix="/api/v1")


@blueprint.get("/status")
def status() -> BaseResponse:
    """Return the state of the box."""
    take_parameters()
    return document(shapes.status(controller_facts()))


@blueprint.get("/today")
def today() -> BaseResponse:
    """Return today's figures and those of the last 24 hours."""
    take_parameters()
    return document(shapes.today(services().records.dashboard()))


@blueprint.get("/incidents")
def incidents() -> BaseResponse:
    """Return incidents."""
    take_parameters(*PAGING, "state", "device")
    state, device = word("state", tuple(wording.INCIDENT_STATE)), number("device")
    ask = services().records.ask

    def read(limit: int, before: int | None) -> list[Row]:
        return ask(queries.incidents, limit=limit, before_id=before, state=state, device=device)

    return page(read, shapes.incident)


@blueprint.get("/incidents/<int:number>")
def incident(number: int) -> BaseResponse:
    """Return one incident."""
    take_parameters()
    return document(shapes.whole_incident(found(services().records.incident(number))))


@blueprint.get("/incidents/<int:number>/evidence.zip")
def evidence(number: int) -> BaseResponse:
    """Return all that is known of an incident as one file."""
    take_parameters()
    made = now_us()
    files = services().records.evidence(number, made)
    if files is None:
        raise missing()
    detail = f"package of incident {number} taken"
    services().control.record("evidence", detail, gate.author())
    body = as_bytes(files, made)
    response = Response(body, mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="incident-{number}.zip"'
    return tagged(response, body)


@blueprint.get("/devices")
def devices() -> BaseResponse:
    """Return devices."""
    take_parameters(*PAGING)
    ask = services().records.ask
    return page(
        lambda limit, before: ask(queries.devices_by_id, limit=limit, before_id=before),
        shapes.known_device,
    )


@blueprint.get("/devices/<int:number>")
def device(number: int) -> BaseResponse:
    """Return one device."""
    take_parameters()
    rows = services().records.ask(queries.devices_by_id, limit=1, before_id=just_above(number))
    return document(shapes.known_device(found(exactly(rows, number))))


@blueprint.get("/flows")
def flows() -> BaseResponse:
    """Return connections that match all that is asked for."""
    take_parameters(*PAGING, *flow_filter.FIELDS)
    for name in flow_filter.FIELDS:
        text(name, flow_filter.TEXT_MOST)
    asked = flow_filter.read(request.args)
    for name, problem in asked.problems.items():
        raise bad(f"{name}: {problem} Found {asked.typed[name]!r:.60}")
    ask = services().records.ask

    def read(limit: int, before: int | None) -> tuple[list[Row], int | None]:
        found = ask(search, asked.wanted, limit, before)
        return found.rows, found.further

    return steps(read, shapes.flow)


@blueprint.get("/flows/<int:number>")
def flow(number: int) -> BaseResponse:
    """Return one connection."""
    take_parameters()
    return document(shapes.flow(found(services().records.flow(number))))


@blueprint.get("/actions")
def actions() -> BaseResponse:
    """Return what is in force, or all that was done."""
    take_parameters(*PAGING, "in_force")
    active = word("in_force", IN_FORCE) != "no"
    ask, now = services().records.ask, now_us()

    def read(limit: int, before: int | None) -> list[Row]:
        return ask(queries.actions, now, active_only=active, limit=limit, before_id=before)

    return page(read, shapes.action)


@blueprint.get("/actions/<int:number>")
def action(number: int) -> BaseResponse:
    """Return one thing that was done."""
    take_parameters()
    rows = services().records.ask(
        queries.actions, now_us(), active_only=False, limit=1, before_id=just_above(number)
    )
    return document(shapes.action(found(exactly(rows, number))))


@blueprint.get("/audit")
def audit() -> BaseResponse:
    """Return the audit trail."""
    take_parameters(*PAGING, "q", "author")
    search, author = text("q", SEARCH_MOST) or "", text("author", SEARCH_MOST)
    ask = services().records.ask

    def read(limit: int, before: int | None) -> list[Row]:
        return ask(queries.audit, limit=limit, before_id=before, search=search, author=author)

    return page(read, shapes.audit)


@blueprint.get("/feeds")
def feeds() -> BaseResponse:
    """Return the lists of others, with state and age."""
    take_parameters()
    return document(shapes.feeds(controller_facts().get("feeds")))


@blueprint.get("/signatures")
def signatures() -> BaseResponse:
    """Return the signature packs in force."""
    take_parameters()
    return document(shapes.signatures(controller_facts().get("signatures")))


def controller_facts() -> dict[str, Any]:
    """Return what the controller says of itself; ProblemError if it does not answer."""
    answer = services().control.status()
    if answer.facts is None:
        raise ProblemError(503, "controller-unavailable", answer.failure or "No answer.")
    return answer.facts


def exactly(rows: list[Row], number: int) -> Row | None:
    """Return the row of this number among those found at or below it."""
    return next((row for row in rows if row["id"] == number), None)


def found(row: Row | None) -> Row:
    """Return a row that is there; ProblemError if it is not."""
    if row is None:
        raise missing()
    return row
