"""Which version runs, what became of the last update, another one, and back to the one before.

"Updated" is only said when the new version has passed its own check after its first start: that is
what the record of the attempt says, never what this page hopes.
"""

import hashlib
from typing import Any

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall.errors import UsageError
from ratwall.steward.order import OrderError, Verb, https_address
from ratwall.update import overview
from ratwall.update.attempt import Attempt, State
from ratwall.update.bundle import BUNDLE_LIMIT
from ratwall.update.place import Place, last_attempt
from ratwall.update.progress import BYTES_LIMIT, STATE_NAME, Progress, load
from ratwall_web.changelog import newest
from ratwall_web.control import RefusedError
from ratwall_web.guard import (
    FORM_EXPIRED,
    background,
    confirmed,
    current_session,
    shows_form_again,
)
from ratwall_web.language import _
from ratwall_web.services import services
from ratwall_web.stewarding import is_image, order
from ratwall_web.uploads import BusyError, NoRoomError

UNPROCESSABLE = 422
FORBIDDEN, LENGTH_REQUIRED, TOO_LARGE, CONFLICT, NO_ROOM = 403, 411, 413, 409, 507
DIGEST_DIGITS = 16
REFUSED = {NoRoomError: NO_ROOM, BusyError: CONFLICT}

blueprint = Blueprint("updates", __name__, url_prefix="/updates")


@blueprint.get("/")
def index() -> str:
    """Show the versions, and offer another one."""
    return _page()


@blueprint.get("/live")
@background
def live() -> Response:
    """Return how far it has come, if that is no longer what the browser shows."""
    text, digest = _live()
    if request.args.get("seen") == digest:
        return Response(status=204)
    return make_response(render_template("updates/live.html", body=text, digest=digest))


@blueprint.post("/address")
@confirmed
@shows_form_again
def from_address() -> BaseResponse:
    """Install what an address holds."""
    if g.get("form_expired"):
        return make_response(_page(_(FORM_EXPIRED), "address"), UNPROCESSABLE)
    try:
        url = https_address(request.form.get("url", "").strip())
    except OrderError as error:
        return make_response(_page(str(error), "address"), UNPROCESSABLE)
    return _order("address", Verb.UPDATE, url=url)


@blueprint.post("/rollback")
@confirmed
@shows_form_again
def rollback() -> BaseResponse:
    """Go back to the version in the other slot."""
    if g.get("form_expired"):
        return make_response(_page(_(FORM_EXPIRED), "rollback"), UNPROCESSABLE)
    return _order("rollback", Verb.ROLLBACK)


@blueprint.get("/file")
@confirmed
def choose() -> str:
    """Offer to send a file from this computer."""
    room = services().uploads.room()
    return render_template("updates/file.html", is_image=is_image(), room=room)


@blueprint.put("/file")
def take() -> BaseResponse:
    """Take a file in, as it comes, and have it installed."""
    if not services().sessions.is_confirmed(current_session()):
        return _told(_("That took too long. Open this page again."), FORBIDDEN)
    if not is_image():
        return _told(_("This is only on a box started from Ratwall's own image."), CONFLICT)
    size = request.content_length
    if size is None:
        return _told(_("The browser does not say how large the file is."), LENGTH_REQUIRED)
    if size > BUNDLE_LIMIT:
        return _told(_("The file is larger than any update."), TOO_LARGE)
    request.max_content_length = BUNDLE_LIMIT  # the one route with a body of this size
    uploads = services().uploads
    try:
        uploads.take(request.stream, size)
    except (NoRoomError, BusyError, UsageError) as error:
        uploads.refuse(request.stream)
        return _told(str(error), REFUSED.get(type(error), UNPROCESSABLE))
    try:
        order(Verb.UPDATE)
    except RefusedError as error:
        uploads.drop()
        return _told(str(error), error.status)
    return _told("", 200)


def _told(text: str, status: int) -> BaseResponse:
    return make_response(text, status, {"Content-Type": "text/plain; charset=utf-8"})


def _order(where: str, verb: Verb, **arguments: Any) -> BaseResponse:
    try:
        order(verb, **arguments)
    except RefusedError as error:
        return make_response(_page(str(error), where), error.status)
    return redirect(url_for("updates.index"), 303)


def _page(problem: str | None = None, where: str = "") -> str:
    text, digest = _live()
    title, lines = newest(services().config.changelog)
    slots = overview.read(Place(services().config.update_dir))
    return render_template(
        "updates/index.html",
        problem=problem,
        where=where,
        url=request.form.get("url", ""),
        is_image=is_image(),
        slots=slots,
        body=text,
        digest=digest,
        title=title,
        lines=lines,
    )


def _live() -> tuple[str, str]:
    place = Place(services().config.update_dir)
    last = last_attempt(place)
    text = render_template(
        "updates/body.html",
        last=last,
        tone=_tone(last),
        progress=current_progress(),
        slots=overview.read(place),
        State=State,
    )
    return text, hashlib.sha256(text.encode()).hexdigest()[:DIGEST_DIGITS]


def _tone(last: Attempt | None) -> str:
    tones = {State.FAILED: "warn", State.GOOD: "good"}
    return "" if last is None else tones.get(last.state, "")


def current_progress() -> Progress | None:
    """Return how far an update is, None if none was asked for since the start."""
    try:
        with (services().config.runtime_dir / STATE_NAME).open("rb") as file:
            return load(file.read(BYTES_LIMIT))
    except OSError:
        return None
