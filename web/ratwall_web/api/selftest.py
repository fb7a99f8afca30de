"""The test of the protection for programs: have one run, and read what came of the last."""

from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from ratwall_web.api import gate
from ratwall_web.api.acting import REFUSED
from ratwall_web.api.answers import document, instant, take_parameters
from ratwall_web.api.body import Body
from ratwall_web.api.problem import ProblemError
from ratwall_web.api.reading import controller_facts
from ratwall_web.control import RefusedError
from ratwall_web.services import services

ACCEPTED = 202

blueprint = Blueprint("api_selftest", __name__, url_prefix="/api/v1")


@blueprint.get("/selftest")
def show() -> BaseResponse:
    """Return whether a test runs, and the last result."""
    take_parameters()
    return document(shape(controller_facts()))


@blueprint.post("/selftest")
def begin() -> BaseResponse:
    """Have a test begun."""
    Body()
    take_parameters()
    try:
        answer = services().control.change("selftest", author=gate.author())
    except RefusedError as error:
        raise ProblemError(error.status, REFUSED[error.status], str(error)) from error
    return document({"began": instant(answer.get("began"))}, ACCEPTED)


def shape(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the test as programs get it."""
    result = facts.get("selftest")
    return {
        "began": instant(facts.get("selftest_began")),
        "result": result
        and {
            "ok": result.get("ok") is True,
            "cause": result.get("cause"),
            "reason": result.get("reason"),
            "duration_ms": result.get("duration_ms"),
            "time": instant(result.get("time")),
        },
    }
