"""From a right password to a session: the second step, and the cookies of whoever is in.

Between password and code nobody is signed in and nothing is kept: a ticket in the form says who
gave the password, signed for this browser and some minutes. A new password makes it worthless.
"""

import hashlib
import hmac

from flask import g, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from ratwall_web import cookies, known
from ratwall_web.browsers import browser_name
from ratwall_web.language import _, ngettext
from ratwall_web.password_check import UNPROCESSABLE, Refusal, forgive, locked
from ratwall_web.services import services
from ratwall_web.users import User

PURPOSE = "ratwall second step"  # the key must be of no use for anything else


def start(user: User, target: str) -> BaseResponse:
    """Sign this browser in, and lead on to a page of ours."""
    parts = services()
    end_brought()
    address = request.remote_addr or "unknown"
    browser = browser_name(request.headers.get("User-Agent", ""))
    response = redirect(target, 303)
    token = parts.sessions.start(user, address, browser)
    cookies.set_cookie(response, cookies.SESSION_COOKIE, token)
    cookies.drop_cookie(response, cookies.VISIT_COOKIE)
    know(response, user)
    g.visit = None
    return response


def know(response: BaseResponse, user: User) -> None:
    """Have this browser known as one that gave this user's password."""
    brought = request.cookies.get(cookies.KNOWN_COOKIE, "")
    cookie = known.cookie_for(brought, user)
    cookies.set_cookie(response, cookies.KNOWN_COOKIE, cookie, cookies.KNOWN_SECONDS)


def end_brought() -> None:
    """End the session that the browser came with: nobody goes on in one that was there before."""
    old = request.cookies.get(cookies.SESSION_COOKIE)
    if old:
        services().sessions.end(old)


def ticket(user: User, moment: float) -> str:
    """Return the ticket of somebody who gave the password at `moment` of the page's clock."""
    until = int(moment + services().config.code_wait_s)
    return f"{user.id}.{until}.{_sign(user, until)}"


def holder(given: str, moment: float) -> User | None:
    """Return who gave the password, None if the ticket is not ours, or too old."""
    number, _dot, rest = given.partition(".")
    until, _dot, signature = rest.partition(".")
    user = services().credentials.user(number)
    if user is None or not (until.isascii() and until.isdecimal() and len(until) < 20):
        return None
    if not hmac.compare_digest(signature.encode(), _sign(user, int(until)).encode()):
        return None
    return user if moment < int(until) else None


def code_refusal(user: User, typed: str) -> Refusal | None:
    """Return None if this is the code of the second step; wrong ones count for the user."""
    parts = services()
    wait = parts.wrong_codes.wait(user.id)
    if wait > 0:
        return locked(wait, _("Too many wrong codes."))
    if parts.second_step.check(user, typed):
        parts.wrong_codes.succeed(user.id)
        forgive(user)
        return None
    parts.wrong_codes.fail(user.id)
    address = request.remote_addr or "unknown"
    parts.control.record("sign-in refused", f"wrong code for {user.name} from {address}")
    wait = parts.wrong_codes.wait(user.id)
    if wait > 0:
        return locked(wait, _("Too many wrong codes."))
    left = parts.wrong_codes.left(user.id)
    text = ngettext(
        "That is not the code, or it was used before. One try is left.",
        "That is not the code, or it was used before. %(left)s tries are left.",
        left,
    ) % {"left": left}
    return Refusal(text, UNPROCESSABLE)


def _sign(user: User, until: int) -> str:
    visit = request.cookies.get(cookies.VISIT_COOKIE, "")
    words = " ".join((PURPOSE, user.id, user.stamp, str(until), visit))
    return hmac.new(
        services().csrf_key, words.encode("utf-8", "replace"), hashlib.sha256
    ).hexdigest()
