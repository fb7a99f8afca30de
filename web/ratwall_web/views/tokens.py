"""API tokens: who else may read or act, made here and revoked here.

A token's text is in the one answer to the form that made it, and nowhere else: not in a session,
not in the audit trail. Making one, or revoking it, asks for the password again. It may end by
itself.
"""

from flask import Blueprint, abort, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall.errors import UsageError
from ratwall_web.guard import FORM_EXPIRED, confirmed, current_session, shows_form_again
from ratwall_web.language import N_, _
from ratwall_web.password_check import UNPROCESSABLE
from ratwall_web.services import services
from ratwall_web.tokens import NAME_RULE

# For how long a token is offered; the empty one lasts until it is revoked.
LASTS = {
    "": N_("until it is revoked"),
    "30": N_("for 30 days"),
    "90": N_("for 90 days"),
    "365": N_("for a year"),
}

blueprint = Blueprint("tokens", __name__, url_prefix="/tokens")


@blueprint.get("/")
def index() -> str:
    """List the tokens, and offer to make one."""
    return _page()


@blueprint.post("/")
@shows_form_again
@confirmed
def make() -> BaseResponse:
    """Make a token for somebody who knows the password, and show it this once."""
    if g.get("form_expired"):
        return make_response(_page(_(FORM_EXPIRED)), UNPROCESSABLE)
    name, scope = request.form.get("name", "").strip(), request.form.get("scope", "")
    try:
        text = services().tokens.make(name, scope, _days(), g.user.name)
    except UsageError as error:
        return make_response(_page(str(error)), UNPROCESSABLE)
    services().control.record("token made", f"{name}, may {scope}, from {request.remote_addr}")
    return make_response(_page(made=text, made_name=name))


@blueprint.post("/<string(length=8):number>/revoke")
@confirmed
def revoke(number: str) -> BaseResponse:
    """Take a token away; its next use is refused."""
    token = services().tokens.revoke(number)
    if token is None:
        abort(404)
    services().control.record("token revoked", f"{token.name}, from {request.remote_addr}")
    current_session().notify(
        "good", _("The token %(name)s is of no use any more.") % {"name": token.name}
    )
    return redirect(url_for("tokens.index"), 303)


def _days() -> int | None:
    """Return the days that were chosen, None for no end."""
    chosen = request.form.get("days", "")
    if chosen not in LASTS:
        raise UsageError(_("Choose for how long the token lasts."))
    return int(chosen) if chosen else None


def _page(problem: str | None = None, made: str | None = None, made_name: str = "") -> str:
    return render_template(
        "tokens/index.html",
        tokens=services().tokens.all(),
        problem=problem,
        made=made,
        made_name=made_name,
        name_rule=NAME_RULE,
        lasts=LASTS,
        is_over=services().tokens.is_over,
        chosen={} if made else request.form,
    )
