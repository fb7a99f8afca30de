"""What is in force: everything allowed and everything blocked, by whom, until when, with undo."""

from flask import Blueprint, g, make_response, redirect, render_template, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall_web.control import RefusedError
from ratwall_web.guard import FORM_EXPIRED, current_session, shows_form_again
from ratwall_web.language import _
from ratwall_web.services import services

UNPROCESSABLE = 422
BLOCKS = ("block", "keep", "block_device", "block_server")

blueprint = Blueprint("allows", __name__, url_prefix="/allowed")


@blueprint.get("/")
def index() -> str:
    """List what is allowed and what is blocked at this moment."""
    return _page()


@blueprint.post("/undo/<int:action>")
@shows_form_again
def undo(action: int) -> BaseResponse:
    """Take one permission or block back."""
    if g.get("form_expired"):
        return make_response(_page(FORM_EXPIRED), UNPROCESSABLE)
    try:
        services().control.change("undo", action=action)
    except RefusedError as error:
        return make_response(_page(str(error)), error.status)
    current_session().notify("good", _("Undone."))
    return redirect(url_for("allows.index"), 303)


def _page(problem: str | None = None) -> str:
    actions = services().records.actions()
    return render_template(
        "allows/index.html",
        allows=[action for action in actions if action["kind"] == "allow"],
        blocks=[action for action in actions if action["kind"] in BLOCKS],
        others=[action for action in actions if action["kind"] not in (*BLOCKS, "allow")],
        problem=problem,
    )
