"""What programs may do to the box itself: restart it, update it, go back; and how that goes.

Less than the page: what cuts the office off for good, forgets everything or lets somebody in takes
a person with a password, and the controller refuses it to a token.
"""

from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from ratwall.steward.order import OrderError, Verb, https_address
from ratwall.update import overview
from ratwall.update.attempt import Attempt
from ratwall.update.place import Place, last_attempt
from ratwall.update.progress import Progress
from ratwall_web.api import gate
from ratwall_web.api.answers import document, instant, take_parameters
from ratwall_web.api.body import Body
from ratwall_web.api.problem import ProblemError
from ratwall_web.control import RefusedError
from ratwall_web.services import services
from ratwall_web.stewarding import is_image
from ratwall_web.views.updates import current_progress

ACCEPTED = 202
REFUSED = {409: "refused", 503: "controller-unavailable"}

blueprint = Blueprint("api_upkeep", __name__, url_prefix="/api/v1")


@blueprint.get("/update")
def update() -> BaseResponse:
    """Return both slots, what became of the last update, and how far one is."""
    take_parameters()
    place = Place(services().config.update_dir)
    slots = overview.read(place)
    return document(
        {
            "image": is_image(),
            "running": None if slots is None else {"slot": slots.slot, "version": slots.version},
            "other": None
            if slots is None
            else {
                "slot": slots.other_slot,
                "version": slots.other_version,
                "good": slots.other_good,
            },
            "last": _last(last_attempt(place)),
            "progress": _progress(current_progress()),
        }
    )


@blueprint.post("/update")
def install() -> BaseResponse:
    """Install what an address holds, and restart."""
    body = Body("url")
    try:
        url = https_address(body.text("url"))
    except OrderError as error:
        raise ProblemError(422, "invalid", f"body: url: {error}") from error
    return _order(Verb.UPDATE, url=url)


@blueprint.post("/update/rollback")
def rollback() -> BaseResponse:
    """Go back to the version in the other slot, and restart."""
    Body()
    return _order(Verb.ROLLBACK)


@blueprint.post("/restart")
def restart() -> BaseResponse:
    """Restart the box."""
    Body()
    return _order(Verb.RESTART)


def _order(verb: Verb, **arguments: Any) -> BaseResponse:
    take_parameters()
    try:
        services().control.change("steward", author=gate.author(), verb=verb.value, **arguments)
    except RefusedError as error:
        raise ProblemError(error.status, REFUSED[error.status], str(error)) from error
    return document({"begun": verb.value}, ACCEPTED)


def _last(attempt: Attempt | None) -> dict[str, Any] | None:
    if attempt is None:
        return None
    return {
        "version": attempt.version,
        "former": attempt.former,
        "slot": attempt.slot,
        "state": attempt.state.value,
        "reason": attempt.reason or None,
        "began": instant(attempt.began),
        "ended": instant(attempt.ended),
    }


def _progress(progress: Progress | None) -> dict[str, Any] | None:
    if progress is None:
        return None
    return {
        "what": progress.what,
        "state": progress.state,
        "step": progress.step or None,
        "percent": progress.percent,
        "reason": progress.reason or None,
        "began": instant(progress.began),
        "ended": instant(progress.ended),
    }
