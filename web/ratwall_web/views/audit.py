"""The audit trail: who changed what, and when."""

from flask import Blueprint, render_template

from ratwall_web.services import services

blueprint = Blueprint("audit", __name__, url_prefix="/audit")


@blueprint.get("/")
def index() -> str:
    """List the newest changes."""
    return render_template("audit/index.html", entries=services().records.audit())
