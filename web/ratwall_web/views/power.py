"""Restart, power off, factory reset: each says what stops before it is done.

The password is asked for again. Afterwards a page says that the box is on its way, and what to do.
"""

from flask import Blueprint, g, make_response, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from ratwall.steward.order import Verb
from ratwall_web.control import RefusedError
from ratwall_web.guard import FORM_EXPIRED, confirmed, shows_form_again
from ratwall_web.language import _
from ratwall_web.services import services
from ratwall_web.stewarding import is_image, order

UNPROCESSABLE = 422
VERBS = (Verb.RESTART, Verb.POWER_OFF, Verb.FACTORY_RESET)

blueprint = Blueprint("power", __name__, url_prefix="/power")


@blueprint.get("/")
def index() -> str:
    """Offer the three, and say what each of them stops."""
    return _page()


@blueprint.post("/<any('restart', 'power-off', 'factory-reset'):name>")
@confirmed
@shows_form_again
def act(name: str) -> BaseResponse:
    """Do one of them."""
    verb = Verb(name)
    if g.get("form_expired"):
        return make_response(_page(_(FORM_EXPIRED), verb), UNPROCESSABLE)
    if verb is Verb.FACTORY_RESET and request.form.get("sure") != "yes":
        problem = _("Tick the box first: everything on this box will be forgotten.")
        return make_response(_page(problem, verb), UNPROCESSABLE)
    try:
        order(verb)
    except RefusedError as error:
        return make_response(_page(str(error), verb), error.status)
    if verb is Verb.FACTORY_RESET:
        services().sessions.end_all()  # whoever is signed in has nothing to come back to
    # In this answer: the box does not wait for another question.
    return make_response(render_template("power/leaving.html", verb=verb.value))


def _page(problem: str | None = None, verb: Verb | None = None) -> str:
    return render_template(
        "power/index.html",
        problem=problem,
        verb="" if verb is None else verb.value,
        is_image=is_image(),
    )
