"""What Ratwall knows servers by: signature packs and lists of indicators, with state and age.

Read-only: packs are brought and lists are named by root, at the console.
"""

from typing import Any

from flask import Blueprint, render_template

from ratwall_web.services import services

blueprint = Blueprint("lists", __name__, url_prefix="/lists")


@blueprint.get("/")
def index() -> str:
    """List the packs and feeds that the controller has in force."""
    status = services().control.status()
    facts: dict[str, Any] = status.facts or {}
    return render_template(
        "lists/index.html",
        failure=status.failure,
        signatures=facts.get("signatures"),
        feeds=facts.get("feeds"),
    )
