"""Incidents: what one device did with one server, why Ratwall thinks so, and what can be done.

Every button sends a command to the controller; its refusal is shown on the same page, with
everything that was typed still there.
"""

import hashlib
from collections.abc import Callable
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from markupsafe import Markup
from werkzeug.wrappers import Response as BaseResponse

from ratwall.evidence.package import as_bytes
from ratwall_web import wording
from ratwall_web.beats import beat_line
from ratwall_web.blocking import asked_for
from ratwall_web.control import RefusedError
from ratwall_web.evidence import explain
from ratwall_web.filters import clock, endpoint, person
from ratwall_web.guard import FORM_EXPIRED, background, current_session, shows_form_again
from ratwall_web.language import N_, _
from ratwall_web.numbers import row_number
from ratwall_web.records import Row, now_us, split_page
from ratwall_web.services import services

UNPROCESSABLE = 422
REASON_MOST = 200
NOTE_MOST = 2000  # characters, as the controller's
DIGEST_DIGITS = 16
# The reason that is kept when nobody gives one.
ALLOWED_HERE = N_("allowed on the admin page")
RELEASED_HERE = N_("released on the admin page")

blueprint = Blueprint("incidents", __name__, url_prefix="/incidents")


@blueprint.get("/")
def index() -> str:
    """List incidents, newest first."""
    state = request.args.get("state")
    state = state if state in wording.INCIDENT_STATE else None
    before = request.args.get("before", type=row_number)
    device = request.args.get("device", type=row_number)
    rows, older = split_page(services().records.incidents(before, state, device))
    return render_template(
        "incidents/index.html",
        incidents=rows,
        older=older,
        state=state,
        before=before,
        device=device,
    )


@blueprint.get("/<int:number>")
def show(number: int) -> str:
    """Explain one incident."""
    return _page(_find(number))


@blueprint.get("/<int:number>/evidence.zip")
def evidence(number: int) -> Response:
    """Send all that is known of an incident as one file; that somebody took it is written down."""
    made = now_us()
    files = services().records.evidence(number, made)
    if files is None:
        abort(404)
    services().control.record("evidence", f"package of incident {number} taken")
    response = Response(as_bytes(files, made), mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="incident-{number}.zip"'
    return response


@blueprint.get("/<int:number>/live")
@background
def live(number: int) -> Response:
    """Return the part of an incident that moves, if it is no longer what the browser shows."""
    incident = _find(number)
    facts, digest = _facts(incident)
    if request.args.get("seen") == digest:
        return Response(status=204)
    return make_response(
        render_template("incidents/live.html", incident=incident, facts=facts, digest=digest)
    )


@blueprint.post("/<int:number>/allow")
@shows_form_again
def allow(number: int) -> BaseResponse:
    """Allow what this incident is about: for whom, what, and for how long."""
    incident = _find(number)
    who, what = request.form.get("who", ""), request.form.get("what", "")
    length = request.form.get("length", "")
    certificate = incident["certificate"]
    done = wording.ALLOWED.get((who, what, length == "always"))
    if done is None or length not in wording.ALLOW_LENGTHS:
        return _again(incident, _("Choose for whom, what, and for how long."), UNPROCESSABLE)
    if what == "certificate" and certificate is None:
        return _again(incident, _("This incident has no certificate to allow."), UNPROCESSABLE)
    device = incident["device"]
    arguments: dict[str, Any] = {
        "device": device["address"] if who == "device" else None,
        "server": incident["server"] if what == "server" else None,
        "server_port": incident["server_port"] if what == "server" else None,
        "certificate_sha256": certificate["sha256"] if what == "certificate" else None,
        "seconds": wording.SECONDS[length],
        "reason": _reason(ALLOWED_HERE),
        "incident": number,
    }
    said = _(
        done,
        device=person(device),
        server=_place(incident),
        length=wording.LENGTH[length],
    )
    return _do(incident, "allow", arguments, lambda answer: said)


@blueprint.post("/<int:number>/release")
@shows_form_again
def release(number: int) -> BaseResponse:
    """Take the block of this incident's server away; the next attempt is judged anew."""
    incident = _find(number)
    arguments = {"incident": number, "reason": _reason(RELEASED_HERE)}
    done = _(
        "The block of %(server)s is taken away. The next attempt is judged anew.",
        server=_place(incident),
    )
    return _do(incident, "release", arguments, lambda answer: done)


@blueprint.post("/<int:number>/keep")
@shows_form_again
def keep(number: int) -> BaseResponse:
    """Keep this incident's server blocked for longer."""
    incident = _find(number)
    length = request.form.get("length", "")
    if length not in wording.KEEP_LENGTHS:
        return _again(incident, _("Choose for how long to keep the block."), UNPROCESSABLE)
    arguments = {"incident": number, "seconds": wording.SECONDS[length]}
    done = Markup(_("%(server)s stays blocked until %(time)s."))  # noqa: S704 -- our catalogue's
    return _do(
        incident,
        "keep",
        arguments,
        lambda answer: done % {"server": _place(incident), "time": clock(answer["expires"])},
    )


@blueprint.post("/<int:number>/block")
@shows_form_again
def block(number: int) -> BaseResponse:
    """Block this incident's server: for whom, on which ports, and for how long."""
    incident = _find(number)
    wanted = asked_for(
        request.form,
        incident["device"],
        incident["server"],
        incident["server_port"],
        _reason(""),
        number,
    )
    if isinstance(wanted, str):
        return _again(incident, wanted, UNPROCESSABLE)
    return _do(incident, "block", wanted.arguments, lambda answer: wanted.done)


@blueprint.post("/<int:number>/note")
@shows_form_again
def note(number: int) -> BaseResponse:
    """Keep what somebody knows of this incident; an empty note takes it away."""
    incident = _find(number)
    text = request.form.get("note", "").replace("\r\n", "\n").strip()[:NOTE_MOST]
    done = _("The note is kept.") if text else _("The note is taken away.")
    return _do(incident, "note", {"incident": number, "text": text}, lambda answer: done)


@blueprint.post("/<int:number>/undo/<int:action>")
@shows_form_again
def undo(number: int, action: int) -> BaseResponse:
    """Undo one thing that was done about this incident."""
    return _do(_find(number), "undo", {"action": action}, lambda answer: _("Undone."))


def _do(
    incident: Row, command: str, arguments: dict[str, Any], done: Callable[[dict[str, Any]], str]
) -> BaseResponse:
    """Send a command; `done` puts the controller's answer into words."""
    if g.get("form_expired"):
        return _again(incident, FORM_EXPIRED, UNPROCESSABLE)
    try:
        answer = services().control.change(command, **arguments)
    except RefusedError as error:
        return _again(incident, str(error), error.status)
    current_session().notify("good", done(answer))
    if "warning" in answer:
        current_session().notify("bad", answer["warning"])
    return redirect(url_for("incidents.show", number=incident["id"]), 303)


def _place(incident: Row) -> str:
    return endpoint(incident["server"], incident["server_port"])


def _again(incident: Row, problem: str, status: int) -> Response:
    return make_response(_page(incident, problem), status)


def _page(incident: Row, problem: str | None = None) -> str:
    facts, digest = _facts(incident)
    return render_template(
        "incidents/show.html",
        incident=incident,
        facts=facts,
        digest=digest,
        scale=explain(incident["evidence"], incident["score"]),
        rhythm=beat_line(incident["detections"]),
        problem=problem,
        chosen=request.form,
        reason_most=REASON_MOST,
        note_most=NOTE_MOST,
    )


def _facts(incident: Row) -> tuple[str, str]:
    facts = render_template("incidents/facts.html", incident=incident)
    return facts, hashlib.sha256(facts.encode()).hexdigest()[:DIGEST_DIGITS]


def _find(number: int) -> Row:
    incident = services().records.incident(number)
    if incident is None:
        abort(404)
    return incident


def _reason(otherwise: str) -> str:
    return request.form.get("reason", "").strip()[:REASON_MOST] or otherwise
