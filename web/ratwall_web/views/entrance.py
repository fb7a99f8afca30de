"""Set-up, sign-in and sign-out: the only pages that people who are not signed in can reach."""

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall.errors import UsageError
from ratwall_web import guard
from ratwall_web.credentials import BusyError
from ratwall_web.language import _
from ratwall_web.own_path import own_path
from ratwall_web.password_check import SET_UP_CODES, UNAVAILABLE, UNPROCESSABLE, locked, refusal
from ratwall_web.services import services

blueprint = Blueprint("entrance", __name__)


@blueprint.get("/setup")
@guard.public
def setup() -> BaseResponse:
    """Show the first-run form, as long as there is no password."""
    if services().credentials.exist():
        return redirect(url_for("entrance.login"), 303)
    services().setup_code.ensure()
    return make_response(_setup_form())


@blueprint.post("/setup")
@guard.public
@guard.shows_form_again
def set_up() -> BaseResponse:
    """Set the first password, for somebody who can read the console."""
    parts = services()
    if parts.credentials.exist():
        return redirect(url_for("entrance.login"), 303)
    if g.get("form_expired"):
        return _refuse(_setup_form(guard.FORM_EXPIRED), UNPROCESSABLE)
    wait = parts.lockout.wait(_address())
    if wait > 0:
        refused = locked(wait, SET_UP_CODES)
        return make_response(_setup_form(refused.text), refused.status, refused.headers)
    if not parts.setup_code.matches(request.form.get("code", "")):
        parts.lockout.fail(_address())
        parts.control.record("set-up refused", f"wrong set-up code from {_address()}")
        text = _(
            "That is not the set-up code. It stands on the box's console, and in the file "
            "setup-code in its state directory."
        )
        return _refuse(_setup_form(text), UNPROCESSABLE)
    password = request.form.get("password", "")
    if password != request.form.get("again", ""):
        return _refuse(_setup_form(_("The two passwords are not the same.")), UNPROCESSABLE)
    try:
        parts.credentials.set(password)
    except UsageError as error:
        return _refuse(_setup_form(str(error)), UNPROCESSABLE)
    except BusyError as error:
        return _refuse(_setup_form(str(error)), UNAVAILABLE)
    parts.setup_code.withdraw()
    parts.sessions.end_all()
    parts.lockout.succeed(_address())
    parts.control.record("set-up", f"the admin password was set from {_address()}")
    return _sign_in("/")


@blueprint.get("/login")
@guard.public
def login() -> BaseResponse:
    """Show the sign-in form."""
    if not services().credentials.exist():
        return redirect(url_for("entrance.setup"), 303)
    if g.session is not None:
        return redirect(own_path(request.args.get("next")), 303)
    return make_response(_login_form())


@blueprint.post("/login")
@guard.public
@guard.shows_form_again
def log_in() -> BaseResponse:
    """Check the password and start a session."""
    parts = services()
    if not parts.credentials.exist():
        return redirect(url_for("entrance.setup"), 303)
    if g.get("form_expired"):
        return _refuse(_login_form(guard.FORM_EXPIRED), UNPROCESSABLE)
    refused = refusal(guard.KNOWN_COOKIE, "sign-in refused")
    if refused is not None:
        return make_response(_login_form(refused.text), refused.status, refused.headers)
    parts.control.record("sign-in", f"from {_address()}")
    return _sign_in(own_path(request.form.get("next")))


@blueprint.post("/logout")
def logout() -> BaseResponse:
    """End this browser's session."""
    services().sessions.end(request.cookies.get(guard.SESSION_COOKIE, ""))
    services().control.record("sign-out", f"from {_address()}")
    response = redirect(url_for("entrance.login", left="yes"), 303)
    guard.drop_cookie(response, guard.SESSION_COOKIE)
    return response


def _setup_form(problem: str | None = None) -> str:
    # The passwords are not shown again, the code is: mistyping one must not cost the other.
    code = request.form.get("code", "")
    least = services().config.password_least
    return render_template("entrance/setup.html", problem=problem, code=code, least=least)


def _login_form(problem: str | None = None) -> str:
    wanted = request.form.get("next") or request.args.get("next") or ""
    left = request.args.get("left") == "yes"
    return render_template("entrance/login.html", problem=problem, wanted=wanted, left=left)


def _sign_in(target: str) -> BaseResponse:
    old = request.cookies.get(guard.SESSION_COOKIE)
    if old:
        services().sessions.end(old)
    response = redirect(target, 303)
    guard.set_cookie(response, guard.SESSION_COOKIE, services().sessions.start())
    guard.drop_cookie(response, guard.VISIT_COOKIE)
    known = services().known.cookie(request.cookies.get(guard.KNOWN_COOKIE, ""))
    guard.set_cookie(response, guard.KNOWN_COOKIE, known, guard.KNOWN_SECONDS)
    g.visit = None
    return response


def _refuse(page: str, status: int) -> Response:
    return make_response(page, status)


def _address() -> str:
    return request.remote_addr or "unknown"
