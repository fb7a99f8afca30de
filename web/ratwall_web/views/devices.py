"""Devices: who is on the protected side, and what each of them did."""

from flask import Blueprint, abort, render_template

from ratwall_web.services import services
from ratwall_web.views.responses import device_page

blueprint = Blueprint("devices", __name__, url_prefix="/devices")


@blueprint.get("/")
def index() -> str:
    """List every device seen."""
    return render_template("devices/index.html", devices=services().records.devices())


@blueprint.get("/<int:number>")
def show(number: int) -> str:
    """Show one device with its incidents and newest connections."""
    device = services().records.device(number)
    if device is None:
        abort(404)
    return device_page(device)
