"""What programs may read and write of servers, certificates and rules, of notes and names.

As everywhere here: the page's own queries, the controller's own commands, and a number for each
thing that has a page of its own. A server's number is that of a contact with it.
"""

from typing import Any

from flask import Blueprint
from werkzeug.wrappers import Response as BaseResponse

from ratwall.controller.annotation_commands import NAME_LIMIT, NOTE_LIMIT
from ratwall.errors import RatwallError
from ratwall.ledger import servers as known
from ratwall.settings.rules import RULE_NAME
from ratwall.settings.schema import MODES
from ratwall_web.api import shapes
from ratwall_web.api.acting import command, new_action
from ratwall_web.api.answers import document, steps, take_parameters, text
from ratwall_web.api.body import Body
from ratwall_web.api.problem import ProblemError
from ratwall_web.api.reading import PAGING, found
from ratwall_web.records import Row, now_us
from ratwall_web.services import services

SEARCH_MOST = 253  # characters of a host name (RFC 1035 §2.3.4)
RULE_MOST = 100  # characters, as the controller's

blueprint = Blueprint("api_knowledge", __name__, url_prefix="/api/v1")


@blueprint.get("/servers")
def servers() -> BaseResponse:
    """Return servers, those that devices spoke with last first."""
    take_parameters(*PAGING, "q")
    search = (text("q", SEARCH_MOST) or "").strip()
    ask = services().records.ask

    def read(limit: int, before: int | None) -> tuple[list[Row], int | None]:
        return ask(known.servers, search, limit, before)

    return steps(read, shapes.server)


@blueprint.get("/servers/<int:number>")
def server(number: int) -> BaseResponse:
    """Return one server with the devices that spoke with it, and what it showed."""
    take_parameters()
    ask = services().records.ask
    address = found(ask(known.contact, number))["server"]
    return document(shapes.whole_server(number, found(ask(known.server, address, now_us()))))


@blueprint.get("/certificates")
def certificates() -> BaseResponse:
    """Return certificates that servers showed."""
    take_parameters(*PAGING, "q")
    search = (text("q", SEARCH_MOST) or "").strip()
    ask = services().records.ask

    def read(limit: int, before: int | None) -> tuple[list[Row], int | None]:
        return ask(known.certificates, search, limit, before)

    return steps(read, shapes.known_certificate)


@blueprint.get("/certificates/<int:number>")
def certificate(number: int) -> BaseResponse:
    """Return one certificate with the servers that showed it."""
    take_parameters()
    row = found(services().records.ask(known.certificate, number))
    return document(shapes.known_certificate(row) | {"servers": row["servers"]})


@blueprint.get("/rules")
def rules() -> BaseResponse:
    """Return what rules may do, where that is not their default."""
    take_parameters()
    try:
        answer = services().control.ask("rules")
    except RatwallError as error:
        raise ProblemError(503, "controller-unavailable", str(error)) from error
    return document(shapes.rules(answer))


@blueprint.post("/rules")
def set_rule() -> BaseResponse:
    """Set what a rule, or all of a group, may do."""
    body = Body("rule", "mode", "reason")
    rule, mode = body.text("rule", RULE_MOST), body.text("mode", RULE_MOST)
    if not RULE_NAME.fullmatch(rule):
        raise ProblemError(
            422, "invalid", 'body: rule: expected such as "asyncrat.port" or "loop.*"'
        )
    if mode not in MODES:
        raise ProblemError(422, "invalid", f"body: mode: expected one of {', '.join(MODES)}")
    return new_action("rule", rule=rule, mode=mode, reason=body.reason())


@blueprint.put("/incidents/<int:number>/note")
def note(number: int) -> BaseResponse:
    """Keep a note on an incident; an empty one takes it away."""
    written = Body("text").text("text", NOTE_LIMIT)
    found(services().records.incident(number))
    answer = command("note", incident=number, text=written)
    return document(_with_warning({"incident": number, "note": answer.get("note")}, answer))


@blueprint.put("/devices/<int:number>/name")
def name(number: int) -> BaseResponse:
    """Give a device a name; an empty one takes it away."""
    wanted = Body("name").text("name", NAME_LIMIT)
    found(services().records.device(number))
    answer = command("name", device=number, name=wanted)
    return document(_with_warning({"device": number, "name": answer.get("name")}, answer))


def _with_warning(done: Row, answer: dict[str, Any]) -> Row:
    return done | ({"warning": answer["warning"]} if "warning" in answer else {})
