"""The first run after the password: place in the network, protection, and a real test.

Each step may be left and taken up again later; the overview reminds of it until it is over. A step
changes a setting only if another one was chosen, and shows what was chosen again if that failed.
"""

from typing import Any

from flask import Blueprint, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall.settings.catalogue import entries, said
from ratwall_web import guard
from ratwall_web.control import RefusedError
from ratwall_web.first_run import STEPS
from ratwall_web.guard import FORM_EXPIRED, current_session
from ratwall_web.language import _
from ratwall_web.services import services
from ratwall_web.views import selftest

UNPROCESSABLE = 422
MODES = ("bridge", "router")
PROTECTIONS = {"enforce": True, "monitor": False}
MODE, ENFORCE = "network.mode", "detection.enforce"

blueprint = Blueprint("first_run", __name__, url_prefix="/first-run")


@blueprint.get("/")
def index() -> BaseResponse:
    """Go to the step that comes next."""
    step = services().first_run.step()
    return redirect(url_for("overview.dashboard" if step is None else f"first_run.{step}"), 303)


@blueprint.get("/place")
def place() -> str:
    """Show where the box stands, and what it found at its ports."""
    return _place()


@blueprint.post("/place")
@guard.shows_form_again
def set_place() -> BaseResponse:
    """Keep the place in the network."""
    chosen = request.form.get("mode", "")
    return _keep("place", MODE, chosen if chosen in MODES else None, _place)


@blueprint.get("/protection")
def protection() -> str:
    """Ask whether to cut or to watch."""
    return _protection()


@blueprint.post("/protection")
@guard.shows_form_again
def set_protection() -> BaseResponse:
    """Keep whether to cut or to watch."""
    return _keep("protection", ENFORCE, PROTECTIONS.get(request.form.get("mode", "")), _protection)


@blueprint.get("/test")
def test() -> str:
    """Test the protection."""
    return _page("test", test=selftest.piece("first-run"))


@blueprint.post("/over")
def finish() -> BaseResponse:
    """End the first run, whatever was left out of it."""
    services().first_run.finish()
    if request.form.get("left_out") != "yes":
        current_session().notify("good", _("The box is set up."))
    return redirect(url_for("overview.dashboard"), 303)


def _keep(step: str, name: str, value: Any, draw: Any) -> BaseResponse:
    """Have one setting kept if it was another, and go on; else draw the step again."""
    if g.get("form_expired"):
        return make_response(draw(_(FORM_EXPIRED)), UNPROCESSABLE)
    if value is None:
        return make_response(draw(_("Choose one of the two.")), UNPROCESSABLE)
    try:
        if _current(name) != value:
            # A box that watches only, or stands elsewhere, protects less: it must be the owner.
            if (question := guard.ask_again()) is not None:
                return question
            services().control.change(
                "settings_set", changes={name: value}, secrets={}, digest=None, dry=False
            )
    except RefusedError as error:
        return make_response(draw(str(error)), error.status)
    services().first_run.done(step)
    return redirect(url_for(f"first_run.{STEPS[STEPS.index(step) + 1]}"), 303)


def _current(name: str) -> Any:
    """Return what the settings say; what holds now where nobody keeps a settings file."""
    try:
        return _setting(name)[0]
    except RefusedError:
        facts = services().control.status().facts or {}
        held = facts.get({MODE: "mode", ENFORCE: "enforce"}[name])
        if held is None:
            raise
        return held


def _setting(name: str) -> tuple[Any, bool]:
    """Return what the settings say, and whether that waits for a restart."""
    file = services().control.change("settings")
    found = said(file["document"], name)
    return entries()[name].default if found is None else found, name in file["waiting"]


def _place(problem: str | None = None) -> str:
    facts = services().control.status().facts
    chosen, waits, problem = _chosen(MODE, problem)
    in_force = (facts or {}).get("mode")
    if not waits and in_force in MODES:
        chosen = in_force  # the command line, or the image, may have said it
    return _page(
        "place",
        problem=problem,
        in_force=in_force,
        chosen=request.form.get("mode") or chosen or "bridge",
        waits=waits,
        ports=((facts or {}).get("health") or {}).get("ports") or [],
    )


def _protection(problem: str | None = None) -> str:
    chosen, _waits, problem = _chosen(ENFORCE, problem)
    word = "monitor" if chosen is False else "enforce"
    return _page("protection", problem=problem, chosen=request.form.get("mode") or word)


def _chosen(name: str, problem: str | None) -> tuple[Any, bool, str | None]:
    """Return what the settings say, and what is wrong, if they cannot be asked for."""
    try:
        return (*_setting(name), problem)
    except RefusedError as error:
        return None, False, problem or str(error)


def _page(step: str, **values: Any) -> str:
    return render_template(
        f"first_run/{step}.html", step=step, problem=values.pop("problem", None), **values
    )
