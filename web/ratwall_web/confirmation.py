"""Privileged acts ask for the password again, and lose nothing that was typed.

A view marked `@confirmed` runs only in a session whose password was given within the last minutes.
Otherwise the request waits in its session, in memory, while a small form asks for the password; the
right one lets it go on as it came. Nothing of it is sent back to the browser, for a form may hold a
key or another password. Wrong guesses count as those of a sign-in do (`password_check`).
"""

import io
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.datastructures import FileStorage, ImmutableMultiDict, MultiDict
from werkzeug.wrappers import Response as BaseResponse

from ratwall_web.password_check import Refusal, refusal
from ratwall_web.services import services
from ratwall_web.sessions import Session

FORBIDDEN = 403  # what a program meets: it asks first, and nothing was done
# A waiting form and its files; 64 sessions of this size are 16 MB. What is larger is sent again.
PENDING_MOST = 256 * 1024
PENDING_FIELD = "confirm_pending"
TOKEN_BYTES = 16

View = TypeVar("View", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that waits for the password; a form that is too large to wait is None."""

    token: str
    method: str
    path: str
    back: str
    form: MultiDict[str, str] | None = field(repr=False)
    files: tuple[tuple[str, str, str, bytes], ...] = field(repr=False)


def confirmed(view: View) -> View:
    """Mark a view that runs only when the password was given a short while ago."""
    view.needs_confirmation = True  # type: ignore[attr-defined]
    return view


def needs_confirmation(view: object) -> bool:
    """Tell whether a view is marked."""
    return bool(getattr(view, "needs_confirmation", False))


def ask_again() -> BaseResponse | None:
    """Return the page that asks for the password, None if it was given a short while ago.

    For a view in which only some changes are privileged: return what this returns, if anything.
    """
    session: Session = g.session
    if services().sessions.is_confirmed(session):
        return None
    session.pending = pending = _set_aside()
    if request.headers.get("HX-Request"):
        # htmx would put the form into the middle of the page.
        return Response(status=FORBIDDEN, headers={"HX-Redirect": url_for("confirm.ask")})
    return form(pending)


def form(pending: Pending, refused: Refusal | None = None) -> BaseResponse:
    """Return the page that asks for the password, for a request that waits."""
    page = render_template(
        "confirm/ask.html",
        problem=refused.text if refused else None,
        action=pending.path if _can_go_on(pending) else url_for("confirm.answer"),
        back=pending.back,
        field=PENDING_FIELD,
        token=pending.token,
    )
    status = refused.status if refused else FORBIDDEN
    return make_response(page, status, refused.headers if refused else {})


def take_answer() -> BaseResponse | None:
    """Check the password that came in place of a form; the form goes on if it is right.

    Returns what to answer instead of going on, None for a request that is no such answer.
    """
    token = request.form.get(PENDING_FIELD) if request.method == "POST" else None
    if token is None:
        return None
    session: Session = g.session
    pending = session.pending
    if pending is None or not secrets.compare_digest(pending.token.encode(), token.encode()):
        return redirect("/", 303)  # asked twice, in two tabs: only the newer waits
    refused = refusal("confirmation refused")
    if refused is not None:
        return form(pending, refused)
    services().sessions.confirm(session)
    session.pending = None
    if not _can_go_on(pending):
        return redirect(pending.path if pending.method == "GET" else pending.back, 303)
    if pending.path != request.full_path.rstrip("?"):
        return redirect("/", 303)
    assert pending.form is not None
    _restore(pending.form, pending.files)
    return None


def _can_go_on(pending: Pending) -> bool:
    return pending.method == "POST" and pending.form is not None


def _set_aside() -> Pending:
    path = request.full_path.rstrip("?")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    if request.method != "POST":
        return Pending(token, "GET", path, _came_from(), None, ())
    files, size = [], request.content_length or 0
    if size <= PENDING_MOST:
        for name, file in request.files.items(multi=True):
            kind = file.mimetype or "application/octet-stream"
            files.append((name, file.filename or "", kind, file.stream.read()))
    kept = MultiDict(request.form) if size <= PENDING_MOST else None
    return Pending(token, "POST", path, _came_from(), kept, tuple(files))


def _restore(kept: MultiDict[str, str], files: tuple[tuple[str, str, str, bytes], ...]) -> None:
    """Put the form that waited in the place of the one that brought the password."""
    again = [
        (name, FileStorage(io.BytesIO(content), filename, name, kind))
        for name, filename, kind, content in files
    ]
    # Where werkzeug keeps a form once it is read (`Request._load_form_data`).
    read: dict[str, Any] = request._get_current_object().__dict__  # type: ignore[attr-defined]
    read["form"] = ImmutableMultiDict(kept)
    read["files"] = ImmutableMultiDict(again)
    read.pop("values", None)


def _came_from() -> str:
    """Return the page on which the button was, to go back to; the overview if that is not known."""
    split = urlsplit(request.referrer or "")
    if split.netloc != request.host or not split.path.startswith("/"):
        return "/"
    path = split.path if not split.path.startswith("//") else "/"
    return f"{path}?{split.query}" if split.query else path
