"""The password as a form brings it: right, wrong, or not to be tried at this moment.

Used where somebody signs in and where the password is asked for again; both count the same wrong
guesses. Never says which part of a guess was wrong, and writes down that there was one.
"""

from dataclasses import dataclass

from flask import request

from ratwall_web.credentials import BusyError
from ratwall_web.filters import span
from ratwall_web.language import N_, _, ngettext
from ratwall_web.services import services

UNPROCESSABLE = 422  # understood, but what was typed is not right
TOO_MANY = 429
UNAVAILABLE = 503
# What was guessed too often.
PASSWORDS = N_("Too many wrong passwords.")
SET_UP_CODES = N_("Too many wrong set-up codes.")


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


def refusal(known_cookie: str, event: str) -> Refusal | None:
    """Return None if the form's password is right; `event` names a wrong one in the audit trail."""
    parts = services()
    address = request.remote_addr or "unknown"
    browser = parts.known.name_in(request.cookies.get(known_cookie, ""))
    wait = parts.lockout.wait(address, browser)
    if wait > 0:
        return locked(wait, PASSWORDS)
    try:
        right = parts.credentials.check(request.form.get("password", ""))
    except BusyError as error:
        return Refusal(str(error), UNAVAILABLE)
    if right:
        parts.lockout.succeed(address, browser)
        return None
    parts.lockout.fail(address, browser)
    parts.control.record(event, f"wrong password from {address}")
    wait = parts.lockout.wait(address, browser)
    if wait > 0:
        return locked(wait, PASSWORDS)
    left = parts.lockout.left(address, browser)
    text = ngettext(
        "That is not the password. One try is left before this device has to wait.",
        "That is not the password. %(num)s tries are left before this device has to wait.",
        left,
        num=left,
    )
    return Refusal(text, UNPROCESSABLE)


def locked(wait: float, what: str) -> Refusal:
    """Return the refusal of somebody who guessed wrong too often."""
    advice = _(
        "Wait %(time)s, then try again. Whoever is signed in already stays signed in.",
        time=span(wait),
    )
    return Refusal(f"{_(what)} {advice}", TOO_MANY, wait)
