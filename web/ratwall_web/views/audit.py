"""The audit trail: who changed what, and when."""

from flask import Blueprint, render_template, request

from ratwall.ledger import queries
from ratwall_web.numbers import row_number
from ratwall_web.records import PAGE_ROWS, split_page
from ratwall_web.services import services

SEARCH_MOST = 100  # characters

blueprint = Blueprint("audit", __name__, url_prefix="/audit")


@blueprint.get("/")
def index() -> str:
    """List changes, newest first: all, or those that mention a text or are somebody's."""
    search = request.args.get("q", "").strip()[:SEARCH_MOST]
    author = request.args.get("author", "").strip()[:SEARCH_MOST]
    before = request.args.get("before", type=row_number)
    rows = services().records.ask(
        queries.audit,
        limit=PAGE_ROWS + 1,
        before_id=before,
        search=search,
        author=author or None,
    )
    entries, older = split_page(rows)
    return render_template(
        "audit/index.html",
        entries=entries,
        older=older,
        before=before,
        search=search,
        author=author,
        search_most=SEARCH_MOST,
    )
