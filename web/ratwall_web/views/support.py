"""Help from outside: a file that says how the box fares, and a door that closes by itself."""

import json
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
from werkzeug.wrappers import Response as BaseResponse

from ratwall.errors import UsageError
from ratwall.steward.order import HOURS, Verb
from ratwall.steward.ssh_key import TEXT_LIMIT, read_key
from ratwall.support.access import Access, read_access
from ratwall_web.control import RefusedError
from ratwall_web.guard import FORM_EXPIRED, confirmed, current_session, may_change, shows_form_again
from ratwall_web.language import N_, _
from ratwall_web.records import now_us
from ratwall_web.services import services
from ratwall_web.stewarding import is_image, order

UNPROCESSABLE = 422
REQUEST_NAME, BUNDLE_NAME = "bundle-request.json", "support-bundle.zip"
REQUEST_LIMIT = 1_024
BUNDLE_LIMIT = 32 << 20  # bytes: eleven parts of 2 MB before they are packed
MAKING_US = 180_000_000  # a minute for the box's answers, and a slow box's start

# What is in the file, in the order of `ratwall.support.collect`.
CONTENTS = (
    N_("versions of Ratwall and of the system"),
    N_("what became of the last update"),
    N_("which parts of the box run, and which failed"),
    N_("the log of the box since its last start; addresses of devices may stand in it"),
    N_("the settings, without passwords, keys and secret addresses"),
    N_("state, counters and health"),
    N_("what Ratwall finds wrong around it"),
    N_("network ports, their state and counters"),
    N_("how large the history is, not what it says"),
    N_("how full the disks are"),
)

blueprint = Blueprint("support", __name__, url_prefix="/support")


@blueprint.app_template_global()
def support_access() -> Access | None:
    """Return the open door, for every page's notice."""
    return read_access(services().config.runtime_dir, now_us())


@blueprint.get("/")
def index() -> str:
    """Offer both."""
    return _page()


@blueprint.post("/access")
@confirmed
@shows_form_again
def let_in() -> BaseResponse:
    """Open the door for some hours, for whoever has the other half of a key."""
    if g.get("form_expired"):
        return make_response(_page(_(FORM_EXPIRED), "access"), UNPROCESSABLE)
    try:
        key = read_key(request.form.get("key", ""))
        hours = int(request.form.get("hours", ""))
        if hours not in HOURS:
            raise ValueError
    except UsageError as error:
        return make_response(_page(str(error), "access"), UNPROCESSABLE)
    except ValueError:
        return make_response(_page(_("Choose for how long."), "access"), UNPROCESSABLE)
    return _order("access", Verb.SUPPORT_ON, hours=hours, key=key.text)


@blueprint.post("/access/end")
def end() -> BaseResponse:
    """Close the door; whoever is in is thrown out."""
    return _order("access", Verb.SUPPORT_OFF)


@blueprint.post("/bundle")
@confirmed
@shows_form_again
def make() -> BaseResponse:
    """Have the file made."""
    if g.get("form_expired"):
        return make_response(_page(_(FORM_EXPIRED), "bundle"), UNPROCESSABLE)
    incidents = request.form.get("incidents") == "yes"
    return _order("bundle", Verb.SUPPORT_BUNDLE, incidents=incidents)


@blueprint.get("/bundle.zip")
@confirmed
def download() -> Response:
    """Give the file to whoever has just shown the password."""
    if not may_change():
        abort(403)
    try:
        with (services().config.runtime_dir / BUNDLE_NAME).open("rb") as file:
            raw = file.read(BUNDLE_LIMIT)
    except OSError:
        abort(404)
    services().control.record("support bundle", f"taken, by {request.remote_addr}")
    name = "attachment; filename=ratwall-support.zip"
    return Response(raw, mimetype="application/zip", headers={"Content-Disposition": name})


def _order(where: str, verb: Verb, **arguments: Any) -> BaseResponse:
    try:
        order(verb, **arguments)
    except RefusedError as error:
        return make_response(_page(str(error), where), error.status)
    if verb is Verb.SUPPORT_OFF:
        current_session().notify("good", _("Support access is over."))
    return redirect(url_for("support.index"), 303)


def _page(problem: str | None = None, where: str = "") -> str:
    made, making = _bundle()
    return render_template(
        "support/index.html",
        problem=problem,
        where=where,
        is_image=is_image(),
        typed=request.form,
        hours=HOURS,
        key_most=TEXT_LIMIT,
        contents=[_(text) for text in CONTENTS],
        made=made,
        making=making,
    )


def _bundle() -> tuple[int | None, bool]:
    """Return when the newest file was made, and whether another one is being made."""
    directory = services().config.runtime_dir
    try:
        made: int | None = (directory / BUNDLE_NAME).stat().st_mtime_ns // 1000
    except OSError:
        made = None
    try:
        with (directory / REQUEST_NAME).open("rb") as file:
            began = int(json.loads(file.read(REQUEST_LIMIT))["began"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return made, False
    return made, (made is None or made < began) and now_us() - began < MAKING_US
