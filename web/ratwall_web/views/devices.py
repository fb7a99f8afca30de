"""Devices: who is on the protected side, and what each of them did."""

from flask import Blueprint, abort, render_template

from ratwall.ledger import queries
from ratwall_web.makers import maker
from ratwall_web.records import now_us
from ratwall_web.risk import risk
from ratwall_web.services import services
from ratwall_web.views.responses import device_page

blueprint = Blueprint("devices", __name__, url_prefix="/devices")


@blueprint.get("/")
def index() -> str:
    """List every device seen."""
    records = services().records
    scores = records.ask(queries.risks, now_us())
    return render_template(
        "devices/index.html",
        devices=[
            device | {"risk": risk(scores.get(device["id"])), "maker": maker(device["mac"])}
            for device in records.devices()
        ],
    )


@blueprint.get("/<int:number>")
def show(number: int) -> str:
    """Show one device with its incidents and newest connections."""
    device = services().records.device(number)
    if device is None:
        abort(404)
    return device_page(device)
