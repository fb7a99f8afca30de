"""API tokens: who else may read or act, made here and revoked here.

A token's text is in the one answer to the form that made it, and nowhere else: not in a session,
not in the audit trail. Making one asks for the password again.
"""

from flask import Blueprint, abort, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall.errors import UsageError
from ratwall_web.guard import FORM_EXPIRED, KNOWN_COOKIE, current_session, shows_form_again
from ratwall_web.language import _
from ratwall_web.password_check import UNPROCESSABLE, refusal
from ratwall_web.services import services
from ratwall_web.tokens import NAME_RULE

blueprint = Blueprint("tokens", __name__, url_prefix="/tokens")


@blueprint.get("/")
def index() -> str:
    """List the tokens, and offer to make one."""
    return _page()


@blueprint.post("/")
@shows_form_again
def make() -> BaseResponse:
    """Make a token for somebody who knows the password, and show it this once."""
    if g.get("form_expired"):
        return make_response(_page(FORM_EXPIRED), UNPROCESSABLE)
    refused = refusal(KNOWN_COOKIE, "token refused")
    if refused is not None:
        return make_response(_page(refused.text), refused.status, refused.headers)
    name, scope = request.form.get("name", "").strip(), request.form.get("scope", "")
    try:
        text = services().tokens.make(name, scope)
    except UsageError as error:
        return make_response(_page(str(error)), UNPROCESSABLE)
    services().control.record("token made", f"{name}, may {scope}, from {request.remote_addr}")
    return make_response(_page(made=text, made_name=name))


@blueprint.post("/<string(length=8):number>/revoke")
def revoke(number: str) -> BaseResponse:
    """Take a token away; its next use is refused."""
    token = services().tokens.revoke(number)
    if token is None:
        abort(404)
    services().control.record("token revoked", f"{token.name}, from {request.remote_addr}")
    current_session().notify(
        "good", _("The token %(name)s is of no use any more.", name=token.name)
    )
    return redirect(url_for("tokens.index"), 303)


def _page(problem: str | None = None, made: str | None = None, made_name: str = "") -> str:
    return render_template(
        "tokens/index.html",
        tokens=services().tokens.all(),
        problem=problem,
        made=made,
        made_name=made_name,
        name_rule=NAME_RULE,
        chosen={} if made else request.form,
    )
