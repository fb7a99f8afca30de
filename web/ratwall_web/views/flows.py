"""Connections: every judged TLS connection, searched and paged by its number, never by counting."""

from flask import Blueprint, Response, make_response, render_template, request

from ratwall.ledger.queries import SEARCH_WORDS, SearchError
from ratwall_web import wording
from ratwall_web.numbers import row_number
from ratwall_web.records import split_page
from ratwall_web.services import services

# A host name has at most 253 characters (RFC 1035 §2.3.4), a fingerprint 64.
SEARCH_MOST = 253
UNPROCESSABLE = 422

blueprint = Blueprint("flows", __name__, url_prefix="/connections")


@blueprint.get("/")
def index() -> Response:
    """List connections, newest first, that match what was searched for."""
    search = request.args.get("q", "").strip()[:SEARCH_MOST]
    verdict = request.args.get("verdict")
    verdict = verdict if verdict in wording.VERDICT else None
    before = request.args.get("before", type=row_number)
    problem = None
    try:
        rows, older = split_page(services().records.flows(search, verdict, before))
    except SearchError:
        rows, older = [], None
        problem = f"Search for at most {SEARCH_WORDS} words at once: leave some out."
    page = render_template(
        "flows/index.html",
        flows=rows,
        older=older,
        search=search,
        verdict=verdict,
        before=before,
        search_most=SEARCH_MOST,
        problem=problem,
    )
    return make_response(page, 200 if problem is None else UNPROCESSABLE)
