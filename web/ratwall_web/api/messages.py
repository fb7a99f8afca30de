"""Who is told of what happens, for programs: how each way fares, and a test of one."""

from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from ratwall.export.facts import RECEIVERS
from ratwall_web.api import gate
from ratwall_web.api.answers import document, instant, take_parameters
from ratwall_web.api.body import Body
from ratwall_web.api.problem import ProblemError
from ratwall_web.control import RefusedError
from ratwall_web.services import services

REFUSED = {409: "refused", 503: "controller-unavailable"}
ACCEPTED = 202

blueprint = Blueprint("api_messages", __name__, url_prefix="/api/v1")


@blueprint.get("/messages")
def show() -> BaseResponse:
    """Return each way that is switched on, and what came of its newest test."""
    take_parameters()
    told = _ask("messages")
    receivers, trials = told["receivers"] or {}, told["trials"] or {}
    ways = {name: _way(facts, trials.get(name)) for name, facts in receivers.items()}
    return document({"ways": ways})


@blueprint.post(f"/messages/<any({', '.join(RECEIVERS)}):way>/test")
def test(way: str) -> BaseResponse:
    """Send a test; its answer is among the ways some seconds later."""
    take_parameters()
    Body()
    asked = _ask("message_test", receiver=way)["asked"]
    return document({"asked": instant(asked)}, ACCEPTED)


def _way(facts: dict[str, Any], trial: dict[str, Any] | None) -> dict[str, Any]:
    shown = {key: facts[key] for key in ("to", "sent", "backlog", "error")}
    shown |= {key: instant(facts[key]) for key in ("last_sent", "error_since")}
    if trial is not None:
        trial = {"at": instant(trial["at"]), "ok": trial["ok"], "answer": trial["answer"]}
    return shown | {"test": trial}


def _ask(command: str, **arguments: Any) -> dict[str, Any]:
    try:
        return services().control.change(command, author=gate.author(), **arguments)
    except RefusedError as error:
        raise ProblemError(error.status, REFUSED[error.status], str(error)) from error
