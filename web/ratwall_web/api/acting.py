"""What programs may do: each route is one command to the controller, as a button of the page is.

Who acts is the token: the controller writes its name into the audit trail. What the controller
refuses is 409 in its own words, and then nothing was changed.
"""

from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from ratwall.ledger import queries
from ratwall_web.api import gate
from ratwall_web.api.answers import document, instant, take_parameters
from ratwall_web.api.body import ALLOW_SPAN, BLOCK_SPAN, PAUSE_SPAN, Body
from ratwall_web.api.problem import ProblemError
from ratwall_web.api.reading import exactly, found
from ratwall_web.control import RefusedError
from ratwall_web.records import just_above, now_us
from ratwall_web.services import services

CREATED = 201
REFUSED = {409: "refused", 503: "controller-unavailable"}

blueprint = Blueprint("api_acting", __name__, url_prefix="/api/v1")


@blueprint.post("/blocks")
def block() -> BaseResponse:
    """Refuse a server: to all devices or to one, on one port or on all."""
    body = Body("server", "server_port", "device", "seconds", "reason", "incident")
    return new_action(
        "block",
        server=body.address("server"),
        server_port=body.port(),
        device=body.optional_address("device"),
        seconds=body.optional_seconds(BLOCK_SPAN),
        reason=body.reason(),
        incident=body.incident(),
    )


@blueprint.post("/allows")
def allow() -> BaseResponse:
    """Let a server, or whoever shows a certificate, pass: for all devices or for one."""
    body = Body(
        *("server", "server_port", "certificate_sha256", "device", "seconds", "reason"), "incident"
    )
    server, port = body.optional_address("server"), body.port()
    certificate = body.certificate()
    if (server is None) != (port is None) or (server is None) == (certificate is None):
        raise ProblemError(
            422, "invalid", "body: expected either server and server_port, or certificate_sha256"
        )
    return new_action(
        "allow",
        server=server,
        server_port=port,
        certificate_sha256=certificate,
        device=body.optional_address("device"),
        seconds=body.optional_seconds(ALLOW_SPAN),
        reason=body.reason(),
        incident=body.incident(),
    )


@blueprint.delete("/actions/<int:number>")
def undo(number: int) -> BaseResponse:
    """Take one action back."""
    Body()
    rows = services().records.ask(
        queries.actions, now_us(), active_only=False, limit=1, before_id=just_above(number)
    )
    found(exactly(rows, number))
    command("undo", action=number)
    return document({"action": number})


@blueprint.post("/incidents/<int:number>/release")
def release(number: int) -> BaseResponse:
    """Take the blocks of an incident away."""
    body = Body("reason")
    found(services().records.incident(number))
    answer = command("release", incident=number, reason=body.reason())
    return document({"released": answer.get("released", 0)})


@blueprint.post("/incidents/<int:number>/keep")
def keep(number: int) -> BaseResponse:
    """Let the blocks of an incident last for so long from now."""
    body = Body("seconds", "reason")
    found(services().records.incident(number))
    return new_action(
        "keep", incident=number, seconds=body.seconds(BLOCK_SPAN), reason=body.reason()
    )


@blueprint.post("/devices/<int:number>/<any(quarantine, watch, pause):what>")
def about_device(number: int, what: str) -> BaseResponse:
    """Cut a device off, watch it closely, or let it pass for a while."""
    body = Body("seconds", "reason")
    if what == "pause":
        seconds: int | None = body.seconds(PAUSE_SPAN)
    else:
        seconds = body.optional_seconds(BLOCK_SPAN)
    device = found(services().records.device(number))
    return new_action(what, device=device["address"], seconds=seconds, reason=body.reason())


@blueprint.post("/pause")
def pause() -> BaseResponse:
    """Let everything pass for a while."""
    body = Body("seconds", "reason")
    return new_action("pause", seconds=body.seconds(PAUSE_SPAN), reason=body.reason())


@blueprint.post("/resume")
def resume() -> BaseResponse:
    """End every pause."""
    Body()
    return document({"resumed": command("resume").get("resumed", 0)})


def new_action(asked: str, /, **arguments: Any) -> BaseResponse:
    """Send a command that puts an action in force, and say which, and until when."""
    answer = command(asked, **arguments)
    made = {"action": answer.get("action"), "expires": instant(answer.get("expires"))}
    if "warning" in answer:
        made["warning"] = answer["warning"]
    response = document(made, CREATED)
    response.headers["Location"] = f"/api/v1/actions/{answer.get('action')}"
    return response


def command(asked: str, /, **arguments: Any) -> dict[str, Any]:
    """Send a command in the token's name; ProblemError if it is refused."""
    take_parameters()
    try:
        return services().control.change(asked, author=gate.author(), **arguments)
    except RefusedError as error:
        raise ProblemError(error.status, REFUSED[error.status], str(error)) from error
