"""The password as a form brings it: right, wrong, or not to be tried at this moment.

Used where somebody signs in and where the password is asked for again; both count the same wrong
guesses. Never says which part of a guess was wrong, and writes down that there was one.
"""

from dataclasses import dataclass

from flask import request

from ratwall_web.credentials import BusyError
from ratwall_web.filters import span
from ratwall_web.services import services

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


def refusal(known_cookie: str, event: str) -> Refusal | None:
    """Return None if the form's password is right; `event` names a wrong one in the audit trail."""
    parts = services()
    address = request.remote_addr or "unknown"
    browser = parts.known.name_in(request.cookies.get(known_cookie, ""))
    wait = parts.lockout.wait(address, browser)
    if wait > 0:
        return locked(wait, "passwords")
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
        return locked(wait, "passwords")
    left = parts.lockout.left(address, browser)
    tries = "One try is" if left == 1 else f"{left} tries are"
    return Refusal(
        f"That is not the password. {tries} left before this device has to wait.", UNPROCESSABLE
    )


def locked(wait: float, what: str) -> Refusal:
    """Return the refusal of somebody who guessed wrong too often."""
    text = (
        f"Too many wrong {what}. Wait {span(wait)}, then try again. "
        "Whoever is signed in already stays signed in."
    )
    return Refusal(text, TOO_MANY, wait)
