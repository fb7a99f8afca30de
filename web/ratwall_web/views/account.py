"""One's own account: the password, the second step of the sign-in, and the browsers signed in.

Whoever is signed in may change all of it, a viewer too. Password and second step ask for the
password again. The recovery codes are in the one answer that made them, and nowhere else.
"""

from urllib.parse import urlsplit

import segno
from flask import Blueprint, g, make_response, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as BaseResponse

from ratwall.errors import UsageError
from ratwall_web import browsers, totp
from ratwall_web.credentials import BusyError
from ratwall_web.guard import FORM_EXPIRED, confirmed, current_session, own, shows_form_again
from ratwall_web.language import _
from ratwall_web.password_check import UNAVAILABLE, UNPROCESSABLE
from ratwall_web.services import services
from ratwall_web.signing_in import know
from ratwall_web.users import ROLE_WORDS, User

QR_SCALE = 4  # pixels a module: some 200 in all, which a phone reads from a screen

blueprint = Blueprint("account", __name__, url_prefix="/account")


@blueprint.get("/")
def index() -> str:
    """Show one's own account."""
    return _page()


@blueprint.post("/password")
@own
@shows_form_again
@confirmed
def set_password() -> BaseResponse:
    """Take another password, and sign all other browsers of one's own out."""
    if g.get("form_expired"):
        return make_response(_page(_(FORM_EXPIRED)), UNPROCESSABLE)
    password = request.form.get("new_password", "")
    if password != request.form.get("again", ""):
        return make_response(_page(_("The two passwords are not the same.")), UNPROCESSABLE)
    try:
        new = services().credentials.set_password(g.user.id, password)
    except UsageError as error:
        return make_response(_page(str(error)), UNPROCESSABLE)
    except BusyError as error:
        return make_response(_page(str(error)), UNAVAILABLE)
    response = _back(_("Your password is changed. Your other browsers are signed out."))
    if new is not None:
        mine = current_session()
        mine.stamp = new.stamp
        services().sessions.end_of(new.id, but=mine)
        know(response, new)
        _record("own password changed", new)
    return response


@blueprint.get("/second-step")
@own
@confirmed
def second_step() -> BaseResponse:
    """Show the square picture that a phone reads, for a secret that holds once it is confirmed."""
    mine = current_session()
    if g.user.secret is not None:
        return redirect(url_for("account.index"), 303)
    mine.enrolling = mine.enrolling or totp.new_secret()
    return make_response(_enrolment(mine.enrolling))


@blueprint.post("/second-step")
@own
@shows_form_again
@confirmed
def turn_on() -> BaseResponse:
    """Take the second step in force, for somebody whose phone shows the right code."""
    mine = current_session()
    secret = mine.enrolling
    if secret is None or g.user.secret is not None:
        return redirect(url_for("account.index"), 303)
    if g.get("form_expired"):
        return make_response(_enrolment(secret, _(FORM_EXPIRED)), UNPROCESSABLE)
    if not services().second_step.take(g.user.id, secret, request.form.get("code", "")):
        problem = _(
            "That is not the code that the box expects now. Type the newest one; if it is refused "
            "again, the clock of the phone or of the box may be wrong."
        )
        return make_response(_enrolment(secret, problem), UNPROCESSABLE)
    codes = totp.new_recovery_codes()
    services().credentials.set_second_step(g.user.id, secret, _digests(codes))
    mine.enrolling = None
    services().sessions.end_of(g.user.id, but=mine)
    _record("second step turned on", g.user)
    return make_response(render_template("account/codes.html", codes=codes))


@blueprint.post("/second-step/codes")
@own
@confirmed
def new_codes() -> BaseResponse:
    """Make new recovery codes; the ones before are of no use any more."""
    if g.user.secret is None:
        return redirect(url_for("account.index"), 303)
    codes = totp.new_recovery_codes()
    services().credentials.set_second_step(g.user.id, g.user.secret, _digests(codes))
    _record("recovery codes made", g.user)
    return make_response(render_template("account/codes.html", codes=codes))


@blueprint.post("/second-step/off")
@own
@confirmed
def turn_off() -> BaseResponse:
    """Sign in with the password alone from now on."""
    services().credentials.set_second_step(g.user.id, None, ())
    _record("second step turned off", g.user)
    return _back(_("From now on your password alone signs you in."))


@blueprint.post("/sessions/<string(length=8):number>/end")
@own
def end_session(number: str) -> BaseResponse:
    """Sign one of one's own browsers out."""
    if services().sessions.end_one(number, user=g.user.id) is None:
        return redirect(url_for("account.index"), 303)
    _record("own session ended", g.user)
    return _back(_("That browser is signed out."))


@blueprint.post("/sessions/end-others")
@own
def end_others() -> BaseResponse:
    """Sign all of one's own browsers out but this one."""
    services().sessions.end_of(g.user.id, but=current_session())
    _record("own sessions ended", g.user)
    return _back(_("Your other browsers are signed out."))


def _page(problem: str | None = None) -> str:
    return render_template(
        "account/index.html",
        user=g.user,
        role=_(ROLE_WORDS[g.user.role]),
        sessions=[each for each in services().sessions.all() if each[0].user == g.user.id],
        mine=current_session(),
        browser=browsers.shown,
        least=services().config.password_least,
        problem=problem,
    )


def _enrolment(secret: str, problem: str | None = None) -> str:
    box = urlsplit(f"//{request.host}").hostname or "box"
    uri = totp.uri(secret, g.user.name, box)
    picture = segno.make(uri, error="m").svg_data_uri(scale=QR_SCALE, light="#fff")
    return render_template(
        "account/enrol.html",
        # Markup: a text would be cut; it is made of characters that our own code chose.
        picture=Markup(picture.replace('"', "%22")),  # noqa: S704
        secret=" ".join(totp.grouped(secret).split("-")),
        problem=problem,
    )


def _digests(codes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(None, map(totp.recovery_digest, codes)))


def _back(notice: str) -> BaseResponse:
    current_session().notify("good", notice)
    return redirect(url_for("account.index"), 303)


def _record(event: str, user: User) -> None:
    services().control.record(event, f"{user.name}, from {request.remote_addr}")
