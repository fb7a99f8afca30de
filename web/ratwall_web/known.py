"""Browsers that gave the right password before: the lock-out over all addresses is not for them.

Without this, a device that guesses from many addresses locks the owner out for as long as it likes.
Nothing is kept: the cookie is a random name and a signature, whose key comes from the hash of the
user's password. So it outlives restarts, and is worth nothing once the password is set anew. It
signs nobody in; it only gives its browser a count of wrong guesses of its own.
"""

import hashlib
import hmac
import secrets

from ratwall_web.users import User

NAME_BYTES = 16  # 128 random bits: no two browsers share a name
PURPOSE = b"ratwall known browser"  # the key must be of no use for anything else


def name_in(cookie: str, user: User | None) -> str | None:
    """Return the name of the browser that brought this cookie, None if it is not this user's."""
    name, _, signature = cookie.partition(".")
    if user is None or not hmac.compare_digest(signature.encode(), _sign(name, user).encode()):
        return None
    return name


def cookie_for(brought: str, user: User) -> str:
    """Return the cookie for a browser that signed in: the one it brought if it is this user's."""
    name = name_in(brought, user) or secrets.token_urlsafe(NAME_BYTES)
    return f"{name}.{_sign(name, user)}"


def _sign(name: str, user: User) -> str:
    key = hmac.new(user.password.encode(), PURPOSE, hashlib.sha256).digest()
    return hmac.new(key, name.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
