"""The settings: one page from which all others about the box itself are reached."""

from flask import Blueprint, render_template

from ratwall_web import menu

blueprint = Blueprint("hub", __name__)


@blueprint.get("/settings")
def index() -> str:
    """Show what can be set, in groups."""
    return render_template("hub/index.html", sections=menu.settings())
