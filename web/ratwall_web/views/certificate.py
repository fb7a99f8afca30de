"""The page's certificate: the box's own, or one that the owner brings.

A change holds at once, for the next connection; the page goes on. The key is never shown again.
"""

from flask import Blueprint, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall.errors import UsageError
from ratwall_web.guard import FORM_EXPIRED, confirmed, current_session, shows_form_again
from ratwall_web.language import _
from ratwall_web.own_certificate import CHAIN_MOST, KEY_MOST
from ratwall_web.password_check import UNPROCESSABLE
from ratwall_web.records import now_us
from ratwall_web.services import services

SOON_US = 30 * 86_400 * 1_000_000  # a month before its end the owner is reminded

blueprint = Blueprint("certificate", __name__, url_prefix="/certificate")


@blueprint.get("/")
def index() -> str:
    """Show the certificate in force, and offer to bring another."""
    return _page()


@blueprint.post("/")
@shows_form_again
@confirmed
def put() -> BaseResponse:
    """Put a certificate of the owner's in force."""
    if g.get("form_expired"):
        return make_response(_page(_(FORM_EXPIRED)), UNPROCESSABLE)
    try:
        facts = services().certificates.put(_upload("chain", CHAIN_MOST), _upload("key", KEY_MOST))
    except UsageError as error:
        return make_response(_page(str(error)), UNPROCESSABLE)
    _record("certificate put in force", facts.fingerprint)
    current_session().notify(
        "good", _("Your certificate is in force. Your browser sees it at its next connection.")
    )
    return redirect(url_for("certificate.index"), 303)


@blueprint.post("/remove")
@confirmed
def remove() -> BaseResponse:
    """Go back to the certificate that the box made."""
    if services().certificates.remove():
        _record("certificate removed", "the box's own is in force")
        current_session().notify(
            "good",
            _("The box's own certificate is in force again. Your browser will ask about it."),
        )
    return redirect(url_for("certificate.index"), 303)


def _upload(name: str, most: int) -> bytes:
    """Return a file, one byte more than allowed at most."""
    file = request.files.get(name)
    return b"" if file is None else file.stream.read(most + 1)


def _record(event: str, detail: str) -> None:
    services().control.record(event, f"{detail}, from {request.remote_addr}")


def _page(problem: str | None = None) -> str:
    there = services().certificates
    own = there.own
    return render_template(
        "certificate/index.html",
        own=own,
        shown=own or there.box,
        unloadable=there.unloadable,
        soon=own is not None and own.not_after - now_us() < SOON_US,
        problem=problem,
    )
