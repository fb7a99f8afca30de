"""Servers: by address, name and certificate; who spoke with them, and what can be done.

What is blocked or allowed here is the server for every device; for one device it is done on an
incident or connection of it.
"""

import ipaddress
from typing import Any

from flask import Blueprint, abort, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall.address import PORT_LIMIT
from ratwall.ledger import servers as known
from ratwall_web import wording
from ratwall_web.control import RefusedError
from ratwall_web.filters import endpoint
from ratwall_web.guard import FORM_EXPIRED, current_session, shows_form_again
from ratwall_web.language import _
from ratwall_web.numbers import row_number
from ratwall_web.records import PAGE_ROWS, Row, now_us
from ratwall_web.services import services

SEARCH_MOST = 253  # characters of a host name (RFC 1035 §2.3.4)
REASON_MOST = 200
PORT_DIGITS = 5
UNPROCESSABLE = 422

blueprint = Blueprint("servers", __name__, url_prefix="/servers")


@blueprint.get("/")
def index() -> str:
    """List servers, those that devices spoke with last first."""
    search = request.args.get("q", "").strip()[:SEARCH_MOST]
    before = request.args.get("before", type=row_number)
    rows, further = services().records.ask(known.servers, search, PAGE_ROWS, before)
    return render_template(
        "servers/index.html", servers=rows, further=further, search=search, before=before
    )


@blueprint.get("/<address>")
def show(address: str) -> str:
    """Show one server."""
    return _page(_find(address))


@blueprint.post("/<address>/<any(block, allow):what>")
@shows_form_again
def decide(address: str, what: str) -> BaseResponse:
    """Block or allow a server for every device."""
    server = _find(address)
    length = request.form.get("length", "")
    reason = request.form.get("reason", "").strip()[:REASON_MOST]
    text = request.form.get("port", "").strip()
    if g.get("form_expired"):
        return _again(server, FORM_EXPIRED, UNPROCESSABLE)
    port = _port(text)
    if (text and port is None) or (what == "allow" and port is None):
        problem = _("Give a port from 1 to %(high)s, such as 443.", high=PORT_LIMIT)
        return _again(server, problem, UNPROCESSABLE)
    lengths = wording.BLOCK_LENGTHS if what == "block" else wording.ALLOW_LENGTHS
    if length not in lengths:
        return _again(server, _("Choose for how long."), UNPROCESSABLE)
    place = endpoint(server["server"], port)
    if what == "block" and request.form.get("sure") != "yes":
        problem = _("Tick the box to have %(server)s refused.", server=place)
        return _again(server, problem, UNPROCESSABLE)
    arguments: dict[str, Any] = {
        "server": server["server"],
        "server_port": port,
        "device": None,
        "seconds": wording.SECONDS[length],
        "reason": reason or "on the server's page",
        "incident": None,
    }
    try:
        answer = services().control.change(what, **arguments)
    except RefusedError as error:
        return _again(server, str(error), error.status)
    done = (
        _("%(server)s is refused to every device.", server=place)
        if what == "block"
        else _("Every device may reach %(server)s.", server=place)
    )
    current_session().notify("good", done)
    if "warning" in answer:
        current_session().notify("bad", answer["warning"])
    return redirect(url_for("servers.show", address=server["server"]), 303)


@blueprint.get("/certificates/")
def certificates() -> str:
    """List certificates that servers showed."""
    search = request.args.get("q", "").strip()[:SEARCH_MOST]
    before = request.args.get("before", type=row_number)
    rows, further = services().records.ask(known.certificates, search, PAGE_ROWS, before)
    return render_template(
        "servers/certificates.html",
        certificates=rows,
        further=further,
        search=search,
        before=before,
    )


@blueprint.get("/certificates/<int:number>")
def certificate(number: int) -> str:
    """Show one certificate, and who showed it."""
    found = services().records.ask(known.certificate, number)
    if found is None:
        abort(404)
    return render_template("servers/certificate.html", certificate=found)


def _find(address: str) -> Row:
    try:
        canonical = str(ipaddress.ip_address(address))
    except ValueError:
        abort(404)
    found = services().records.ask(known.server, canonical, now_us())
    if found is None:
        abort(404)
    return found


def _port(text: str) -> int | None:
    right = text.isascii() and text.isdecimal() and len(text) <= PORT_DIGITS
    return int(text) if right and 1 <= int(text) <= PORT_LIMIT else None


def _again(server: Row, problem: str, status: int) -> BaseResponse:
    return make_response(_page(server, problem), status)


def _page(server: Row, problem: str | None = None) -> str:
    return render_template(
        "servers/show.html",
        server=server,
        problem=problem,
        typed=request.form,
        reason_most=REASON_MOST,
    )
