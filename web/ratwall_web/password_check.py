"""The password as a form brings it: right, wrong, or not to be tried at this moment.

Used where somebody signs in and where the password is asked for again; both count the same wrong
guesses. Never says which part of a guess was wrong, and writes down that there was one; a name that
nobody has is not written down, for some people type their password there.
"""

from dataclasses import dataclass

from flask import g, request

from ratwall_web.cookies import KNOWN_COOKIE
from ratwall_web.credentials import BusyError
from ratwall_web.filters import span
from ratwall_web.known import name_in
from ratwall_web.language import _, ngettext
from ratwall_web.services import services
from ratwall_web.users import User

UNPROCESSABLE = 422  # understood, but what was typed is not right
TOO_MANY = 429
UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a password does not count; `wait` is in seconds, 0 for now."""

    text: str
    status: int
    wait: float = 0.0

    @property
    def headers(self) -> dict[str, str]:
        """Return what belongs into the answer's head."""
        return {"Retry-After": str(int(self.wait) + 1)} if self.wait else {}


def refusal(event: str) -> Refusal | None:
    """Return None if the form has the password of whoever is signed in."""
    checked = check(g.user.name, event)
    if isinstance(checked, Refusal):
        return checked
    forgive(checked)
    return None


def check(name: str, event: str) -> User | Refusal:
    """Return the user whose name and password a form has; `event` names a wrong one in the trail.

    Wrong guesses before it are forgotten by `forgive`, where a second step is asked for after that.
    """
    parts = services()
    address = request.remote_addr or "unknown"
    user = parts.credentials.named(name)
    browser = name_in(request.cookies.get(KNOWN_COOKIE, ""), user)
    wait = parts.lockout.wait(address, browser, name)
    if wait > 0:
        return locked(wait, _("Too many wrong passwords."))
    try:
        right = parts.credentials.check(request.form.get("password", ""), name)
    except BusyError as error:
        return Refusal(str(error), UNAVAILABLE)
    if right is not None:
        return right
    parts.lockout.fail(address, browser, name)
    whose = f" for {user.name}" if user is not None and len(parts.credentials.all()) > 1 else ""
    parts.control.record(event, f"wrong password{whose} from {address}")
    wait = parts.lockout.wait(address, browser, name)
    if wait > 0:
        return locked(wait, _("Too many wrong passwords."))
    return Refusal(_wrong(parts.lockout.left(address, browser)), UNPROCESSABLE)


def forgive(user: User) -> None:
    """Forget the wrong guesses of an address, or a known browser, that got it right."""
    browser = name_in(request.cookies.get(KNOWN_COOKIE, ""), user)
    services().lockout.succeed(request.remote_addr or "unknown", browser)


def locked(wait: float, what: str) -> Refusal:
    """Return the refusal of somebody who guessed wrong too often; `what` says what, a sentence."""
    text = _(
        "%(what)s Wait %(span)s, then try again. Whoever is signed in already stays signed in."
    ) % {"what": what, "span": span(wait)}
    return Refusal(text, TOO_MANY, wait)


def _wrong(left: int) -> str:
    return ngettext(
        "That is not the password. One try is left before this device has to wait.",
        "That is not the password. %(left)s tries are left before this device has to wait.",
        left,
    ) % {"left": left}
