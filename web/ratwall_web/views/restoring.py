"""A backup put back on a new box: in place of the set-up, for somebody who can read its console.

Open only while nobody may sign in, and only with the set-up code; wrong codes count as those of the
set-up do. Afterwards the users of the backup sign in.
"""

from flask import Blueprint, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ratwall.backup.envelope import FILE_LIMIT, PASSPHRASE_MOST
from ratwall.backup.work import look_into, put_back
from ratwall.errors import RatwallError, UsageError
from ratwall_web import guard
from ratwall_web.control import RefusedError
from ratwall_web.language import _
from ratwall_web.password_check import locked
from ratwall_web.services import services
from ratwall_web.told import told
from ratwall_web.views.backup import Turn

UNPROCESSABLE, UNAVAILABLE = 422, 503

blueprint = Blueprint("restoring", __name__, url_prefix="/setup/restore")


@blueprint.get("/")
@guard.public
def show() -> ResponseReturnValue:
    """Ask for the code, the file and its passphrase."""
    if services().credentials.exist():
        return redirect(url_for("entrance.login"), 303)
    services().setup_code.ensure()
    return _page()


@blueprint.post("/")
@guard.public
@guard.shows_form_again
def restore() -> ResponseReturnValue:
    """Put the backup back, whole or not at all."""
    parts, address = services(), request.remote_addr or "unknown"
    if parts.credentials.exist():
        return redirect(url_for("entrance.login"), 303)
    if g.get("form_expired"):
        return _page(_(guard.FORM_EXPIRED))
    wait = parts.lockout.wait(address)
    if wait > 0:
        refused = locked(wait, _("Too many wrong set-up codes."))
        return make_response(_form(refused.text), refused.status, refused.headers)
    if not parts.setup_code.matches(request.form.get("code", "")):
        parts.lockout.fail(address)
        parts.control.record("restore refused", f"wrong set-up code from {address}")
        return _page(_("That is not the set-up code. It stands on the box's console."))
    sent = request.files.get("file")
    file = b"" if sent is None else sent.read(FILE_LIMIT + 1)
    if not file:
        return _page(_("Choose the file."))
    try:
        with Turn():
            contents = look_into(file, request.form.get("passphrase", ""))
            put_back(parts.control.change, parts.config.web_dir, contents)
    except UsageError as error:
        return _page(told(str(error)) or "")
    except RatwallError as error:
        status = error.status if isinstance(error, RefusedError) else UNAVAILABLE
        return _page(told(str(error)) or "", status)
    parts.lockout.succeed(address)
    parts.sessions.end_all()
    if not parts.credentials.exist():  # a box that had no user yet
        return redirect(url_for("entrance.setup"), 303)
    parts.setup_code.withdraw()
    return redirect(url_for("entrance.login"), 303)


def _page(problem: str | None = None, status: int = UNPROCESSABLE) -> ResponseReturnValue:
    return make_response(_form(problem), 200 if problem is None else status)


def _form(problem: str | None) -> str:
    code = request.form.get("code", "")
    return render_template("restoring/index.html", problem=problem, code=code, most=PASSPHRASE_MOST)
