"""Set-up, sign-in and sign-out: the only pages that people who are not signed in can reach."""

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall.errors import UsageError
from ratwall_web import guard, signing_in
from ratwall_web.credentials import BusyError
from ratwall_web.language import _
from ratwall_web.own_path import own_path
from ratwall_web.password_check import UNAVAILABLE, UNPROCESSABLE, Refusal, check, forgive, locked
from ratwall_web.services import services
from ratwall_web.users import FIRST_NAME, User

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
        return _refuse(_setup_form(_(guard.FORM_EXPIRED)), UNPROCESSABLE)
    wait = parts.lockout.wait(_address())
    if wait > 0:
        refused = locked(wait, _("Too many wrong set-up codes."))
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
    first = parts.credentials.named(FIRST_NAME)
    if first is None:  # taken away again by root, this very moment
        return redirect(url_for("entrance.setup"), 303)
    parts.first_run.begin()
    return signing_in.start(first, url_for("first_run.index"))


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
    """Check name and password; start a session, or ask for the code of the second step."""
    parts = services()
    if not parts.credentials.exist():
        return redirect(url_for("entrance.setup"), 303)
    if g.get("form_expired"):
        return _refuse(_login_form(_(guard.FORM_EXPIRED)), UNPROCESSABLE)
    user = check(request.form.get("account", FIRST_NAME), "sign-in refused")
    if isinstance(user, Refusal):
        return make_response(_login_form(user.text), user.status, user.headers)
    target = own_path(request.form.get("next"))
    if user.secret is None:
        forgive(user)
        return _enter(user, target)
    ticket = signing_in.ticket(user, parts.sessions.now())
    return make_response(_code_form(ticket, target))


@blueprint.post("/login/code")
@guard.public
@guard.shows_form_again
def second_step() -> BaseResponse:
    """Check the code of the second step and start a session."""
    parts = services()
    if g.get("form_expired"):
        return _refuse(_login_form(_(guard.FORM_EXPIRED)), UNPROCESSABLE)
    given = request.form.get("ticket", "")
    user = signing_in.holder(given, parts.sessions.now())
    if user is None:
        return _refuse(
            _login_form(_("That took too long. Please sign in once more.")), UNPROCESSABLE
        )
    target = own_path(request.form.get("next"))
    refused = signing_in.code_refusal(user, request.form.get("code", ""))
    if refused is not None:
        page = _code_form(given, target, refused.text)
        return make_response(page, refused.status, refused.headers)
    return _enter(user, target)


@blueprint.post("/logout")
@guard.own
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
    there = services().credentials.all()
    return render_template(
        "entrance/login.html",
        problem=problem,
        wanted=wanted,
        left=left,
        account=request.form.get("account", ""),
        # Where there has been one password ever since, nobody needs to know that it has a name.
        only=there[0].name if len(there) == 1 and there[0].name == FIRST_NAME else None,
    )


def _code_form(ticket: str, wanted: str, problem: str | None = None) -> str:
    return render_template("entrance/code.html", problem=problem, ticket=ticket, wanted=wanted)


def _enter(user: User, target: str) -> BaseResponse:
    g.user = user
    services().control.record("sign-in", f"from {_address()}")
    return signing_in.start(user, target)


def _refuse(page: str, status: int) -> Response:
    return make_response(page, status)


def _address() -> str:
    return request.remote_addr or "unknown"
