"""What is done about a device, and the pause: quarantine, closer watch, letting pass for a while.

Every button sends a command to the controller; its refusal is shown on the page that it came from.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, abort, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall.ledger import queries
from ratwall_web import wording
from ratwall_web.control import RefusedError
from ratwall_web.filters import person
from ratwall_web.guard import FORM_EXPIRED, current_session, shows_form_again
from ratwall_web.language import N_, _
from ratwall_web.makers import maker
from ratwall_web.records import Row, now_us
from ratwall_web.risk import risk
from ratwall_web.services import services

UNPROCESSABLE = 422
NAME_MOST = 64  # characters, as the controller's
TOMORROW_HOUR = 6  # before anybody comes to work, on the box's clock
REASON = N_("on the admin page")

blueprint = Blueprint("responses", __name__)


@blueprint.post("/pause")
@shows_form_again
def pause() -> BaseResponse:
    """Let everything pass for a while."""
    seconds = pause_seconds(request.form.get("length", ""))
    if seconds is None:
        return _again(_("Choose for how long to pause."), UNPROCESSABLE)
    done = _("Paused. It goes on by itself; what was blocked stays blocked.")
    return _do("pause", {"seconds": seconds, "reason": REASON}, done, _again, _overview())


@blueprint.post("/resume")
@shows_form_again
def resume() -> BaseResponse:
    """End every pause."""
    return _do("resume", {}, _("Protection goes on."), _again, _overview())


@blueprint.post("/devices/<int:number>/<any(quarantine, watch, pause):what>")
@shows_form_again
def about_device(number: int, what: str) -> BaseResponse:
    """Cut a device off, watch it closely, or let it pass for a while."""
    device = services().records.device(number)
    if device is None:
        abort(404)

    def again(problem: str, status: int) -> BaseResponse:
        return make_response(device_page(device, problem), status)

    arguments: dict[str, Any] = {"device": device["address"], "reason": REASON}
    who = person(device)
    if what == "quarantine" and request.form.get("sure") != "yes":
        return again(
            _("Tick the box to cut %(device)s off the internet.", device=who), UNPROCESSABLE
        )
    if what == "pause":
        arguments["seconds"] = pause_seconds(request.form.get("length", ""))
        if arguments["seconds"] is None:
            return again(_("Choose for how long to pause."), UNPROCESSABLE)
    done = {
        "quarantine": _("%(device)s reaches nothing but this box now.", device=who),
        "watch": _("%(device)s is watched closely now.", device=who),
        "pause": _("%(device)s passes without being inspected for a while.", device=who),
    }[what]
    target = url_for("devices.show", number=number)
    return _do(what, arguments, done, again, target)


@blueprint.post("/devices/<int:number>/name")
@shows_form_again
def name_device(number: int) -> BaseResponse:
    """Give a device the name by which people know it; an empty one takes it away."""
    device = services().records.device(number)
    if device is None:
        abort(404)

    def again(problem: str, status: int) -> BaseResponse:
        return make_response(device_page(device, problem), status)

    name = " ".join(request.form.get("name", "").split())[:NAME_MOST]
    done = _("It is called %(name)s now.", name=name) if name else _("It has no name any more.")
    target = url_for("devices.show", number=number)
    return _do("name", {"device": number, "name": name}, done, again, target)


def device_page(device: Row, problem: str | None = None) -> str:
    """Draw a device with what is in force about it."""
    held = [
        action
        for action in services().records.actions()
        if action["device"] == device["address"] and action["kind"] in wording.OF_DEVICES
    ]
    scores = services().records.ask(queries.risks, now_us())
    return render_template(
        "devices/show.html",
        device=device,
        held=held,
        problem=problem,
        risk=risk(scores.get(device["id"])),
        maker=maker(device["mac"]),
        typed=request.form,
        name_most=NAME_MOST,
    )


def pause_seconds(length: str) -> int | None:
    """Return how long a pause of the page lasts, None if there is no such choice."""
    if length == "tomorrow":
        now = datetime.now().astimezone()
        morning = (now + timedelta(days=1)).replace(hour=TOMORROW_HOUR, minute=0, second=0)
        return int((morning - now).total_seconds())
    return wording.PAUSE_SECONDS.get(length)


def _do(
    command: str,
    arguments: dict[str, Any],
    done: str,
    again: Callable[[str, int], BaseResponse],
    target: str,
) -> BaseResponse:
    if g.get("form_expired"):
        return again(FORM_EXPIRED, UNPROCESSABLE)
    try:
        answer = services().control.change(command, **arguments)
    except RefusedError as error:
        return again(str(error), error.status)
    current_session().notify("good", done)
    if "warning" in answer:
        current_session().notify("bad", answer["warning"])
    return redirect(target, 303)


def _again(problem: str, status: int) -> BaseResponse:
    current_session().notify("bad", problem)
    return redirect(_overview(), 303)


def _overview() -> str:
    return url_for("overview.dashboard")
