"""Rules of detection: what each may do, changed here, with who did it and an undo.

What there is to set is asked of the controller; a group stands for all rules of a pack or a kind,
and a rule set by itself goes before its group.
"""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall.detections.catalog import MODELS
from ratwall.errors import RatwallError
from ratwall.settings.rules import RULE_NAME
from ratwall.settings.schema import MODES, Rules
from ratwall_web.control import RefusedError
from ratwall_web.guard import FORM_EXPIRED, current_session, shows_form_again
from ratwall_web.language import N_, Words, _
from ratwall_web.services import services

UNPROCESSABLE = 422
RULE_MOST = 100  # characters, as the controller's
REASON_MOST = 200
# What is found over time, beside the packs; models have their names in the catalogue.
KINDS = Words(
    {
        "rhythm.*": N_("A program reports in like a clock"),
        "loop.*": N_("A program tries a server again and again"),
        "model.*": N_("Models: what is unusual for this office"),
        "feed.*": N_("Lists of others"),
        "policy.*": N_("Remote-support programs"),
    }
)
MODE = Words({"off": N_("Off"), "monitor": N_("Only tell"), "enforce": N_("Have connections cut")})

blueprint = Blueprint("rules", __name__, url_prefix="/rules")


@dataclass(frozen=True, slots=True)
class Line:
    """A rule or group as the page shows it; `set` is what was set here, None: as the settings
    say."""

    rule: str
    about: str
    mode: str
    set: dict[str, Any] | None


@blueprint.get("/")
def index() -> str:
    """List groups, and the rules that are set by themselves."""
    return _page()


@blueprint.post("/")
@shows_form_again
def change() -> BaseResponse:
    """Set what a rule may do."""
    rule, mode = request.form.get("rule", "").strip()[:RULE_MOST], request.form.get("mode", "")
    reason = request.form.get("reason", "").strip()[:REASON_MOST]
    if g.get("form_expired"):
        return make_response(_page(FORM_EXPIRED), UNPROCESSABLE)
    if not RULE_NAME.fullmatch(rule):
        problem = _("Give the name of a rule, such as asyncrat.port, or of a group: rhythm.*")
        return make_response(_page(problem), UNPROCESSABLE)
    if mode not in MODES:
        return make_response(_page(_("Choose what the rule may do.")), UNPROCESSABLE)
    try:
        answer = services().control.change(
            "rule", rule=rule, mode=mode, reason=reason or "set on the admin page"
        )
    except RefusedError as error:
        return make_response(_page(str(error)), error.status)
    done = _(
        "%(rule)s: %(mode)s. It holds from the next connection on.", rule=rule, mode=MODE[mode]
    )
    current_session().notify("good", done)
    if "warning" in answer:
        current_session().notify("bad", answer["warning"])
    return redirect(url_for("rules.index"), 303)


@blueprint.post("/undo/<int:action>")
@shows_form_again
def undo(action: int) -> BaseResponse:
    """Go back to what the settings say of a rule."""
    if g.get("form_expired"):
        return make_response(_page(FORM_EXPIRED), UNPROCESSABLE)
    try:
        services().control.change("undo", action=action)
    except RefusedError as error:
        return make_response(_page(str(error)), error.status)
    current_session().notify("good", _("Undone."))
    return redirect(url_for("rules.index"), 303)


def _page(problem: str | None = None) -> str:
    failure, lines = None, []
    try:
        lines = _lines(services().control.ask("rules"))
    except RatwallError as error:
        failure = str(error)
    return render_template(
        "rules/index.html",
        lines=lines,
        failure=failure,
        problem=problem,
        modes=MODE,
        models=[(model.id, model.name) for model in MODELS],
        typed=request.form,
        rule_most=RULE_MOST,
        reason_most=REASON_MOST,
    )


def _lines(answer: dict[str, Any]) -> list[Line]:
    """Put the groups first, then what is set by itself."""
    rules = Rules(**{mode: tuple(answer["effective"][mode]) for mode in MODES})
    held = {one["rule"]: one for one in answer["set"]}
    facts = services().control.status().facts or {}
    about = {
        f"{pack['name']}.*": str(pack["about"])
        for pack in (facts.get("signatures") or {}).get("packs", ())
    } | dict(KINDS.items())
    named = {model.id: model.name for model in MODELS}
    special = [rule for mode in MODES for rule in answer["effective"][mode] if rule not in about]
    # The mode of a group is that of a rule of it that nobody has named.
    shown = {rule: rules.mode_of(rule.replace("*", "")) for rule in about}
    shown |= {rule: rules.mode_of(rule) for rule in special}
    return [
        Line(rule, about.get(rule) or named.get(rule, ""), mode, held.get(rule))
        for rule, mode in shown.items()
    ]
