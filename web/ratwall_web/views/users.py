"""Who may use this page: made, renamed, given another role or password, and removed by an admin.

Every change asks for the admin's own password again. A user whose password or role changes is
signed out everywhere, by the guard, at the next request.
"""

from flask import Blueprint, abort, g, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ratwall.errors import RatwallError, UsageError
from ratwall_web import browsers
from ratwall_web.credentials import BusyError
from ratwall_web.guard import FORM_EXPIRED, confirmed, current_session, shows_form_again
from ratwall_web.language import _
from ratwall_web.password_check import UNAVAILABLE, UNPROCESSABLE
from ratwall_web.services import services
from ratwall_web.signing_in import know
from ratwall_web.users import NAME_RULE, ROLE_WORDS, User

blueprint = Blueprint("users", __name__, url_prefix="/users")


@blueprint.get("/")
def index() -> str:
    """List the users and who is signed in, and offer to make a user."""
    return _list()


@blueprint.post("/")
@shows_form_again
@confirmed
def add() -> BaseResponse:
    """Make a user."""
    if g.get("form_expired"):
        return make_response(_list(_(FORM_EXPIRED)), UNPROCESSABLE)
    name, role = request.form.get("name", "").strip(), request.form.get("role", "")
    try:
        new = services().credentials.add(name, role, _new_password())
    except (UsageError, BusyError) as error:
        return make_response(_list(str(error)), _status(error))
    _record("user made", f"{new.name}, {new.role}")
    current_session().notify(
        "good", _("%(name)s can sign in now, with the password you typed.") % {"name": new.name}
    )
    return redirect(url_for("users.index"), 303)


@blueprint.get("/<string(length=8):number>")
def show(number: str) -> str:
    """Show one user, and what can be changed."""
    return _one(_found(number))


@blueprint.post("/<string(length=8):number>/name")
@shows_form_again
@confirmed
def rename(number: str) -> BaseResponse:
    """Give a user another name."""
    user = _found(number)
    name = request.form.get("name", "").strip()
    return _change(user, "name", lambda: services().credentials.rename(number, name), name)


@blueprint.post("/<string(length=8):number>/role")
@shows_form_again
@confirmed
def set_role(number: str) -> BaseResponse:
    """Let a user change things, or only look."""
    user = _found(number)
    role = request.form.get("role", "")
    return _change(user, "role", lambda: services().credentials.set_role(number, role), role)


@blueprint.post("/<string(length=8):number>/password")
@shows_form_again
@confirmed
def set_password(number: str) -> BaseResponse:
    """Give a user another password."""
    user = _found(number)
    return _change(
        user,
        "password",
        lambda: services().credentials.set_password(number, _new_password()),
    )


@blueprint.post("/<string(length=8):number>/second-step")
@shows_form_again
@confirmed
def reset_second_step(number: str) -> BaseResponse:
    """Turn the second step of a user off who has lost the phone."""
    user = _found(number)
    return _change(
        user,
        "second step",
        lambda: services().credentials.set_second_step(number, None, ()),
        "off",
    )


@blueprint.post("/<string(length=8):number>/remove")
@shows_form_again
@confirmed
def remove(number: str) -> BaseResponse:
    """Take a user away, and the tokens that they made where that is wanted."""
    user = _found(number)
    if g.get("form_expired"):
        return make_response(_one(user, _(FORM_EXPIRED)), UNPROCESSABLE)
    if user.id == g.user.id:
        return make_response(
            _one(user, _("You cannot remove yourself. Another admin can.")), UNPROCESSABLE
        )
    try:
        services().credentials.remove(number)
    except UsageError as error:
        return make_response(_one(user, str(error)), UNPROCESSABLE)
    services().sessions.end_of(user.id)
    _record("user removed", user.name)
    if request.form.get("tokens"):
        for token in services().tokens.all():
            if token.by == user.name:
                services().tokens.revoke(token.id)
                _record("token revoked", f"{token.name}, made by {user.name}")
    current_session().notify("good", _("%(name)s is removed and signed out.") % {"name": user.name})
    return redirect(url_for("users.index"), 303)


@blueprint.post("/sessions/<string(length=8):number>/end")
def end_session(number: str) -> BaseResponse:
    """Sign one browser out, whoever's it is."""
    ended = services().sessions.end_one(number)
    if ended is not None:
        whose = services().credentials.user(ended.user)
        _record("session ended", f"{whose.name if whose else 'somebody'} at {ended.address}")
        current_session().notify("good", _("That browser is signed out."))
    return redirect(url_for("users.index"), 303)


@blueprint.post("/sessions/end-all")
def end_all_sessions() -> BaseResponse:
    """Sign everybody out but this browser."""
    mine = current_session()
    for session, *_times in services().sessions.all():
        if session is not mine:
            services().sessions.end_one(session.id)
    _record("sessions ended", "all but one's own")
    mine.notify("good", _("Everybody else is signed out."))
    return redirect(url_for("users.index"), 303)


def _change(user: User, what: str, change: object, detail: str = "") -> BaseResponse:
    """Make a change to a user and say so, or show the page again with what is wrong."""
    if g.get("form_expired"):
        return make_response(_one(user, _(FORM_EXPIRED)), UNPROCESSABLE)
    try:
        new = change()  # type: ignore[operator]
    except (UsageError, BusyError) as error:
        return make_response(_one(user, str(error), what), _status(error))
    if new is None:
        abort(404)
    _record(f"user's {what} changed", f"{user.name}{': ' if detail else ''}{detail}")
    mine = current_session()
    response = redirect(url_for("users.show", number=user.id), 303)
    if user.id == g.user.id:
        # One's own browser goes on; all others meet another stamp, or are ended here.
        mine.stamp = new.stamp
        know(response, new)
    if new.stamp != user.stamp or what == "second step":
        services().sessions.end_of(user.id, but=mine)
    mine.notify("good", _("Changed."))
    return response


def _new_password() -> str:
    password = request.form.get("new_password", "")
    if password != request.form.get("again", ""):
        raise UsageError(_("The two passwords are not the same."))
    return password


def _status(error: RatwallError) -> int:
    return UNAVAILABLE if isinstance(error, BusyError) else UNPROCESSABLE


def _found(number: str) -> User:
    user = services().credentials.user(number)
    if user is None:
        abort(404)
    return user


def _record(event: str, detail: str) -> None:
    services().control.record(event, f"{detail}, from {request.remote_addr}")


def _list(problem: str | None = None) -> str:
    there = services().credentials.all()
    return render_template(
        "users/index.html",
        users=there,
        names={user.id: user.name for user in there},
        sessions=services().sessions.all(),
        mine=current_session(),
        browser=browsers.shown,
        roles=ROLE_WORDS,
        name_rule=NAME_RULE,
        least=services().config.password_least,
        problem=problem,
        chosen=request.form,
    )


def _one(user: User, problem: str | None = None, what: str | None = None) -> str:
    return render_template(
        "users/show.html",
        user=user,
        tokens=[token.name for token in services().tokens.all() if token.by == user.name],
        roles=ROLE_WORDS,
        name_rule=NAME_RULE,
        least=services().config.password_least,
        problem=problem,
        what=what,
        chosen=request.form,
    )
