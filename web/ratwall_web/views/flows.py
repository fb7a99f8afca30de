"""Connections: every judged TLS connection, searched by each column, never counted.

A search looks at so many connections in one request and says how far back it came; as long as it
found nothing the page goes on by itself.
"""

from functools import partial

from flask import Blueprint, Response, make_response, render_template, request

from ratwall.ledger.search import Found, Wanted, search
from ratwall_web import flow_filter
from ratwall_web.api import shapes
from ratwall_web.flow_export import ROWS_MOST, as_csv, as_json_lines
from ratwall_web.flow_filter import TEXT_MOST, TLS_VERSIONS
from ratwall_web.numbers import row_number
from ratwall_web.records import PAGE_ROWS
from ratwall_web.services import services

UNPROCESSABLE = 422
DETAIL_MOST = 500  # characters that the audit trail takes

blueprint = Blueprint("flows", __name__, url_prefix="/connections")


@blueprint.get("/")
def index() -> Response:
    """List connections, newest first, that match what was searched for."""
    asked = flow_filter.read(request.args)
    before = request.args.get("before", type=row_number)
    found = Found([], None, None)
    if not asked.problems:
        found = find(asked.wanted, PAGE_ROWS, before)
    page = render_template(
        "flows/list.html",
        found=found,
        asked=asked,
        before=before,
        tls_versions=TLS_VERSIONS,
        text_most=TEXT_MOST,
        export_most=ROWS_MOST,
    )
    return make_response(page, UNPROCESSABLE if asked.problems else 200)


@blueprint.get("/export.<any(csv, jsonl):kind>")
def export(kind: str) -> Response:
    """Send the connections that match as a file; that somebody took it is written down."""
    asked = flow_filter.read(request.args)
    if asked.problems:
        return index()
    # Read while the answer is sent, when there is no request any more.
    read = partial(services().records.ask, search, asked.wanted)
    lines = (as_csv if kind == "csv" else as_json_lines)(read, shapes.flow)
    matching = ", ".join(f"{field} {text}" for field, text in asked.typed.items()) or "all"
    services().control.record("export", f"connections taken as {kind}: {matching}"[:DETAIL_MOST])
    media = "text/csv; charset=utf-8" if kind == "csv" else "application/jsonl"
    response = Response(lines, content_type=media)
    response.headers["Content-Disposition"] = f'attachment; filename="connections.{kind}"'
    return response


def find(wanted: Wanted, limit: int, before: int | None) -> Found:
    """Make one step of a search."""
    return services().records.ask(search, wanted, limit, before)
