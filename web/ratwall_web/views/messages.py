"""Who is told of what happens: each way with how it fares, its settings, and a test.

A test is asked for by the controller and made by the exporter; the page looks again until its
answer is there, or says after some seconds that none came.
"""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, g, make_response, render_template, request
from flask.typing import ResponseReturnValue

from ratwall_web import guard
from ratwall_web.control import RefusedError
from ratwall_web.guard import background
from ratwall_web.language import _
from ratwall_web.records import now_us
from ratwall_web.services import services
from ratwall_web.settings_words import SECTIONS

WAYS = ("mail", "push", "syslog", "webhook", "mqtt")
PATIENCE_US = 40_000_000  # a mail server may take 20 seconds to connect and 20 to answer

blueprint = Blueprint("messages", __name__, url_prefix="/settings/messages")


@dataclass(frozen=True, slots=True)
class Way:
    """One way of telling somebody."""

    name: str
    facts: dict[str, Any] | None  # how it fares, None: not switched on
    trial: dict[str, Any] | None

    @property
    def section(self) -> str:
        """The section of its settings."""
        return f"export.{self.name}"

    @property
    def title(self) -> str:
        """What it is called."""
        return _(SECTIONS[self.section][0])

    @property
    def sentence(self) -> str:
        """What it does."""
        return _(SECTIONS[self.section][1])


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """List all ways."""
    return _page()


@blueprint.post("/<way>/test")
@guard.shows_form_again
def test(way: str) -> ResponseReturnValue:
    """Send a test message that way."""
    if way not in WAYS:
        abort(404)
    if g.get("form_expired"):
        return make_response(_page(_(guard.FORM_EXPIRED)), 422)
    try:
        asked = services().control.change("message_test", receiver=way)["asked"]
    except RefusedError as error:
        return make_response(_page(str(error)), error.status)
    return _page(asked={way: asked})


@blueprint.get("/<way>/trial")
@background
def trial(way: str) -> ResponseReturnValue:
    """Say what came of a test that was asked for at a time."""
    asked = request.args.get("asked", "")
    if way not in WAYS or not asked.isdecimal() or len(asked) > 18:
        abort(404)
    ways, problem = _ways()
    (found,) = (each for each in ways if each.name == way)
    return render_template(
        "messages/trial.html",
        way=found,
        asked=int(asked),
        over=_is_over(int(asked)),
        problem=problem,
    )


def _is_over(asked: int) -> bool:
    return now_us() - asked > PATIENCE_US


def _ways() -> tuple[list[Way], str | None]:
    """Return all ways with how they fare, and what is wrong with asking."""
    problem = None
    told: dict[str, Any] = {}
    try:
        told = services().control.change("messages")
    except RefusedError as error:
        problem = str(error)
    receivers, trials = told.get("receivers") or {}, told.get("trials") or {}
    return [Way(name, receivers.get(name), trials.get(name)) for name in WAYS], problem


def _page(problem: str | None = None, asked: dict[str, int] | None = None) -> str:
    ways, unheard = _ways()
    return render_template(
        "messages/index.html", ways=ways, problem=problem or unheard, asked=asked or {}, over=False
    )
