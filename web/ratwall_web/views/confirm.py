"""The page that asks for the password again (`ratwall_web.confirmation`)."""

from flask import Blueprint, redirect
from werkzeug.wrappers import Response as BaseResponse

from ratwall_web.confirmation import form
from ratwall_web.guard import current_session, own

blueprint = Blueprint("confirm", __name__, url_prefix="/confirm")


@blueprint.get("/")
def ask() -> BaseResponse:
    """Ask for the password if something waits for it."""
    pending = current_session().pending
    return redirect("/", 303) if pending is None else form(pending)


@blueprint.post("/")
@own
def answer() -> BaseResponse:
    """Go back to the overview: what waited is gone; the guard has taken every answer before."""
    return redirect("/", 303)
