"""Backup and restore: what makes this box yours, down as one encrypted file and up again.

Both ask for the password again. The open contents are in memory while they are sealed or looked
into, and nowhere else; one at a time, since making a key of a passphrase takes 64 MB.
"""

import re
import secrets
import socket
import threading
from datetime import UTC, datetime

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from ratwall.backup.envelope import FILE_LIMIT, PASSPHRASE_LEAST, PASSPHRASE_MOST, Cost
from ratwall.backup.work import SUFFIX, Restored, look_into, make, put_back
from ratwall.errors import RatwallError, UsageError
from ratwall_web import guard
from ratwall_web.control import RefusedError
from ratwall_web.guard import current_session
from ratwall_web.language import _
from ratwall_web.records import now_us
from ratwall_web.services import services
from ratwall_web.told import told

UNPROCESSABLE = 422
BUSY_SECONDS = 20.0  # for another one to end

blueprint = Blueprint("backup", __name__, url_prefix="/settings/backup")
_turn = threading.Lock()


class BusyError(RatwallError):
    """Another backup is being made or put back."""


@blueprint.get("/")
def index() -> ResponseReturnValue:
    """Offer both."""
    return _page()


@blueprint.post("/make")
@guard.shows_form_again
@guard.confirmed
def make_one() -> ResponseReturnValue:
    """Send a backup as a file."""
    if g.get("form_expired"):
        return make_response(_page(_(guard.FORM_EXPIRED)), UNPROCESSABLE)
    passphrase = request.form.get("passphrase", "")
    if passphrase != request.form.get("again", ""):
        return make_response(
            _page(make_problem=_("The two passphrases are not the same.")), UNPROCESSABLE
        )
    if not PASSPHRASE_LEAST <= len(passphrase) <= PASSPHRASE_MOST:
        problem = _(
            "The passphrase needs %(least)s to %(most)s characters; this one has %(found)s.",
            least=PASSPHRASE_LEAST,
            most=PASSPHRASE_MOST,
            found=len(passphrase),
        )
        return make_response(_page(make_problem=problem), UNPROCESSABLE)
    parts, box, now = services(), socket.gethostname(), now_us()
    try:
        with Turn():
            sealed = make(
                parts.control.change,
                parts.config.web_dir,
                passphrase,
                box,
                now,
                secrets.token_bytes,
                Cost(parts.config.backup_passes, parts.config.backup_memory_kib),
            )
    except RatwallError as error:
        return make_response(_page(_words(error)), _status(error))
    day = datetime.fromtimestamp(now / 1_000_000, UTC)
    safe = re.sub(r"[^A-Za-z0-9-]", "-", box)[:40]
    response = Response(sealed, mimetype="application/octet-stream")
    response.headers["Content-Disposition"] = (
        f'attachment; filename="{safe}-{day:%Y-%m-%d}{SUFFIX}"'
    )
    return response


@blueprint.post("/restore")
@guard.shows_form_again
@guard.confirmed
def restore() -> ResponseReturnValue:
    """Put a backup back, whole or not at all."""
    if g.get("form_expired"):
        return make_response(_page(_(guard.FORM_EXPIRED)), UNPROCESSABLE)
    sent = request.files.get("file")
    file = b"" if sent is None else sent.read(FILE_LIMIT + 1)
    if not file:
        return make_response(_page(restore_problem=_("Choose the file.")), UNPROCESSABLE)
    parts = services()
    try:
        with Turn():
            contents = look_into(file, request.form.get("passphrase", ""))
            restored = put_back(parts.control.change, parts.config.web_dir, contents)
    except UsageError as error:
        return make_response(_page(restore_problem=_words(error)), UNPROCESSABLE)
    except RatwallError as error:
        return make_response(_page(_words(error)), _status(error))
    for tone, text in notices(restored):
        current_session().notify(tone, text)
    return redirect(url_for("backup.index"), 303)


def notices(restored: Restored) -> list[tuple[str, str]]:
    """Return what came of it in words, each with its tone."""
    said = [("good", _("The backup is put back."))]
    said += [
        ("warn", _("Left out, because this box refuses it: %(what)s", what=each))
        for each in restored.refused[:5]
    ]
    if restored.certificate:
        said.append(("warn", _("The certificate of this page changes when the box is restarted.")))
    return said


class Turn:
    """One's turn at a backup, or BusyError."""

    def __enter__(self) -> None:
        if not _turn.acquire(timeout=BUSY_SECONDS):
            raise BusyError(_("Another backup is under way. Try again in a minute."))

    def __exit__(self, *_: object) -> None:
        _turn.release()


def _words(error: RatwallError) -> str:
    return told(str(error)) or ""


def _status(error: RatwallError) -> int:
    return error.status if isinstance(error, RefusedError) else 503


def _page(
    problem: str | None = None, make_problem: str | None = None, restore_problem: str | None = None
) -> str:
    return render_template(
        "backup/index.html",
        problem=problem,
        make_problem=make_problem,
        restore_problem=restore_problem,
        least=PASSPHRASE_LEAST,
        most=PASSPHRASE_MOST,
    )
