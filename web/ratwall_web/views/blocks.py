"""Blocking the server of one connection: a page that asks once more, and the command."""

from flask import Blueprint, abort, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall_web.blocking import asked_for
from ratwall_web.control import RefusedError
from ratwall_web.guard import FORM_EXPIRED, current_session, shows_form_again
from ratwall_web.records import Row
from ratwall_web.services import services
from ratwall_web.views.incidents import REASON_MOST

UNPROCESSABLE = 422

blueprint = Blueprint("blocks", __name__, url_prefix="/connections")


@blueprint.get("/<int:number>/block")
def show(number: int) -> str:
    """Show what would be blocked, and ask for whom and for how long."""
    return _page(_find(number))


@blueprint.post("/<int:number>/block")
@shows_form_again
def block(number: int) -> BaseResponse:
    """Block the server of this connection; what is in force is shown after."""
    flow = _find(number)
    reason = request.form.get("reason", "").strip()[:REASON_MOST]
    wanted = asked_for(
        request.form, flow["device"], flow["server"], flow["server_port"], reason, flow["incident"]
    )
    if g.get("form_expired"):
        return make_response(_page(flow, FORM_EXPIRED), UNPROCESSABLE)
    if isinstance(wanted, str):
        return make_response(_page(flow, wanted), UNPROCESSABLE)
    try:
        answer = services().control.change("block", **wanted.arguments)
    except RefusedError as error:
        return make_response(_page(flow, str(error)), error.status)
    current_session().notify("good", wanted.done)
    if "warning" in answer:
        current_session().notify("bad", answer["warning"])
    return redirect(url_for("allows.index"), 303)


def _page(flow: Row, problem: str | None = None) -> str:
    return render_template(
        "blocks/show.html",
        flow=flow,
        problem=problem,
        chosen=request.form,
        reason_most=REASON_MOST,
    )


def _find(number: int) -> Row:
    flow = services().records.flow(number)
    if flow is None:
        abort(404)
    return flow
