"""What every request meets before a page, and every answer after it.

The API (`ratwall_web.api`) has a gate of its own; only the policy is the same. For pages there are
five questions: is this page called by its own name (DNS rebinding), does a change come from our own
form (CSRF), is somebody signed in, may they change things (a viewer only what is `@own`), and did
they give their password a short while ago where that matters (`@confirmed`). A view is closed
unless it is marked `@public`. Every answer gets a policy under which no script or style but our own
files can run.
"""

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Callable
from typing import TypeVar

from flask import Flask, Response, current_app, g, redirect, request, url_for
from werkzeug.exceptions import BadRequest, Forbidden
from werkzeug.wrappers import Response as BaseResponse

from ratwall_web.api import gate
from ratwall_web.confirmation import ask_again, confirmed, needs_confirmation, take_answer
from ratwall_web.cookies import (
    KNOWN_COOKIE,
    KNOWN_SECONDS,
    SESSION_COOKIE,
    VISIT_COOKIE,
    drop_cookie,
    set_cookie,
)
from ratwall_web.language import N_, _, speak_english
from ratwall_web.services import services
from ratwall_web.sessions import Session
from ratwall_web.users import User

# What views take from here; the names of cookies and the confirmation have files of their own.
__all__ = [
    "CONTENT_POLICY",
    "CSRF_FIELD",
    "CSRF_HEADER",
    "FORM_EXPIRED",
    "HEADERS",
    "KNOWN_COOKIE",
    "KNOWN_SECONDS",
    "SAFE_METHODS",
    "SESSION_COOKIE",
    "STRICT_TRANSPORT",
    "VISIT_COOKIE",
    "ask_again",
    "background",
    "confirmed",
    "csrf_token",
    "current_session",
    "drop_cookie",
    "install",
    "may_change",
    "own",
    "public",
    "set_cookie",
    "shows_form_again",
]

CSRF_FIELD = "csrf"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # Pico draws its check marks and arrows as data: images
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: it would also blank the Origin header of our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
# A week, and only where it means something: browsers ignore it for addresses, and for `localhost`
# it would reach other services of a developer's machine.
STRICT_TRANSPORT = "max-age=604800"

FORM_EXPIRED = N_("This form was open for too long; nothing was changed. Please send it once more.")
ONLY_LOOK = N_(
    "You are signed in as a viewer: you see everything and change nothing. "
    "Nothing was changed. Ask an admin of this box."
)
OTHER_SITE = N_("This change was asked for by another web site; nothing was changed.")

View = TypeVar("View", bound=Callable[..., object])


def public(view: View) -> View:
    """Mark a view as open to people who have not signed in."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def own(view: View) -> View:
    """Mark a view that changes nothing but one's own account: a viewer may."""
    view.is_own = True  # type: ignore[attr-defined]
    return view


def background(view: View) -> View:
    """Mark a view that the page asks for by itself: it keeps no session alive."""
    view.is_background = True  # type: ignore[attr-defined]
    return view


def shows_form_again(view: View) -> View:
    """Mark a view that looks at `g.form_expired` itself and keeps what was typed."""
    view.shows_form_again = True  # type: ignore[attr-defined]
    return view


def install(app: Flask) -> None:
    """Put the questions before every request and the policy after every answer."""
    app.before_request(check_request)
    app.after_request(add_headers)
    app.jinja_env.globals["csrf_token"] = csrf_token
    app.jinja_env.globals["may_change"] = may_change


def check_request() -> BaseResponse | None:
    """Ask what is to be asked, of a program or of a person."""
    if gate.is_for_programs(request.path):
        speak_english()
        gate.admit()
        return None
    check_host()
    find_session()
    check_origin()
    refused = require_session()
    if refused is not None:
        return refused
    require_right()
    return require_confirmation()


def check_host() -> None:
    """Refuse a Host header that is neither an address nor one of our names."""
    host = _host_name(request.host)
    names = {*services().config.host_names, socket.gethostname().lower()}
    known = host is not None and (
        _is_address(host) or host in names or services().certificates.covers(host)
    )
    if not known:
        raise BadRequest(
            _(
                "This page does not answer to that name. "
                "Open it by the box's address, or as https://ratwall.local."
            )
        )


def find_session() -> None:
    """Look up who is signed in, and end a session whose user is not the same any more."""
    token = request.cookies.get(SESSION_COOKIE, "")
    touch = not getattr(_view(), "is_background", False)
    g.session = services().sessions.find(token, touch=touch) if token else None
    g.user = None
    if g.session is None:
        return
    user = services().credentials.user(g.session.user)
    if user is None or user.stamp != g.session.stamp:  # gone, or another password or role
        services().sessions.end(token)
        g.session = None
    else:
        g.user = user


def check_origin() -> None:
    """Refuse a change that does not come from one of our own forms."""
    if request.method in SAFE_METHODS:
        return
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden(_(OTHER_SITE))
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"https://{request.host}":
        raise Forbidden(_(OTHER_SITE))
    binding = _binding()
    given = request.headers.get(CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    expected = services().csrf_token(binding) if binding else ""
    if not binding or not hmac.compare_digest(given.encode(), expected.encode()):
        g.form_expired = True
        signed_out = g.session is None and not getattr(_view(), "is_public", False)
        # Signed out, require_session asks to sign in; a view that shows its form again does so.
        if not signed_out and not getattr(_view(), "shows_form_again", False):
            raise Forbidden(_(FORM_EXPIRED))


def require_session() -> BaseResponse | None:
    """Send people who have not signed in to the page where they can."""
    if getattr(_view(), "is_public", False) or request.routing_exception is not None:
        return None
    if services().credentials.exist():
        if g.session is not None:
            return None
        wanted = request.full_path.rstrip("?") if request.method in SAFE_METHODS else "/"
        target = url_for("entrance.login", next=None if wanted == "/" else wanted)
    else:
        target = url_for("entrance.setup")
    if request.headers.get("HX-Request"):
        # htmx would follow a redirect silently and put the sign-in page into the dashboard.
        return Response(status=401, headers={"HX-Redirect": url_for("entrance.login")})
    return redirect(target, 303)


def require_right() -> None:
    """Let a viewer change nothing but what is their own: the one place where that is decided."""
    if g.user is None or g.user.is_admin or getattr(_view(), "is_own", False):
        return
    if request.method not in SAFE_METHODS or needs_confirmation(_view()):
        raise Forbidden(_(ONLY_LOOK))


def may_change() -> bool:
    """Tell whether whoever is signed in may change things: what they may not is not shown."""
    user: User | None = g.get("user")
    return user is not None and user.is_admin


def require_confirmation() -> BaseResponse | None:
    """Ask for the password before a view that is marked, and take the answer."""
    if g.session is None or request.routing_exception is not None:
        return None
    answer = None if g.get("form_expired") else take_answer()
    if answer is None and needs_confirmation(_view()) and not g.get("form_expired"):
        return ask_again()
    return answer


def add_headers(response: Response) -> Response:
    """Add the security policy, and keep pages out of every cache."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    host = _host_name(request.host)
    if host is not None and host != "localhost" and not _is_address(host):
        response.headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT)
    fresh = g.get("visit")
    if fresh is not None:
        set_cookie(response, VISIT_COOKIE, fresh)
    return response


def csrf_token() -> str:
    """Return the token for a form on this page, and bind the browser to it if it is not yet."""
    binding = _binding()
    if not binding:
        binding = g.visit = secrets.token_urlsafe(16)
    return services().csrf_token(binding)


def current_session() -> Session:
    """Return the session of this request; only for views that are not public."""
    session: Session = g.session
    return session


def _binding() -> str:
    if g.get("session") is not None:
        return request.cookies.get(SESSION_COOKIE, "")
    visit: str = g.get("visit") or request.cookies.get(VISIT_COOKIE, "")
    return visit


def _view() -> object:
    return current_app.view_functions.get(request.endpoint or "")


def _host_name(host: str) -> str | None:
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        valid = bool(bracket) and (not rest or _is_port(rest))
    else:
        name, colon, port = host.partition(":")
        valid = bool(name) and (not colon or _is_port(":" + port))
    return name.lower().rstrip(".") if valid else None


def _is_port(text: str) -> bool:
    return text[0] == ":" and text[1:].isdecimal()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
