"""The test of the protection: begun with a button, its result drawn when it is there, and kept.

The page only asks; who runs it is the controller's matter. The little piece that shows it asks for
itself again every second while a test runs, and not at all otherwise.
"""

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall_web.control import RefusedError
from ratwall_web.guard import FORM_EXPIRED, background, current_session, shows_form_again
from ratwall_web.language import _
from ratwall_web.selftest_words import outcome
from ratwall_web.services import services

# The pages that show it, by the word in the form.
PLACES = {"overview": "overview.dashboard", "first-run": "first_run.test"}

blueprint = Blueprint("selftest", __name__, url_prefix="/protection-test")


@blueprint.post("/")
@shows_form_again
def begin() -> BaseResponse:
    """Have a test begun."""
    place = _place(request.form.get("place"))
    if g.get("form_expired"):
        current_session().notify("bad", _(FORM_EXPIRED))
    else:
        try:
            services().control.change("selftest")
        except RefusedError as error:
            current_session().notify("bad", str(error))
    return redirect(url_for(PLACES[place], _anchor="protection-test"), 303)


@blueprint.get("/")
@background
def show() -> str:
    """Draw how it stands."""
    return piece(_place(request.args.get("place")))


def piece(place: str) -> str:
    """Return the piece of a page: the button, the test that runs, the last result."""
    status = services().control.status()
    facts = status.facts or {}
    result = facts.get("selftest")
    return render_template(
        "selftest/piece.html",
        place=place,
        back=url_for(PLACES[place]),
        reached=status.facts is not None,
        began=facts.get("selftest_began"),
        result=result,
        outcome=outcome(result, facts.get("state")) if result else None,
    )


def _place(name: str | None) -> str:
    return name if name in PLACES else "overview"
