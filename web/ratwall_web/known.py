"""Browsers that gave the right password before: the lock-out over all addresses is not for them.

Without this, a device that guesses from many addresses locks the owner out for as long as it likes.
Nothing is kept: the cookie is a random name and a signature, whose key comes from the password's
hash. So it outlives restarts, and is worth nothing once the password is set anew. It signs nobody
in; it only gives its browser a count of wrong guesses of its own.
"""

import hashlib
import hmac
import secrets

from ratwall_web.credentials import Credentials

NAME_BYTES = 16  # 128 random bits: no two browsers share a name
PURPOSE = b"ratwall known browser"  # the key must be of no use for anything else


class KnownBrowsers:
    """Gives cookies to browsers and recognises them."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def name_in(self, cookie: str) -> str | None:
        """Return the name of the browser that brought this cookie, None if it is not ours."""
        name, _, signature = cookie.partition(".")
        expected = self._sign(name)
        if expected is None or not hmac.compare_digest(signature.encode(), expected.encode()):
            return None
        return name

    def cookie(self, brought: str) -> str:
        """Return the cookie for a browser that signed in: the one it brought if it is ours."""
        name = self.name_in(brought) or secrets.token_urlsafe(NAME_BYTES)
        return f"{name}.{self._sign(name)}"

    def _sign(self, name: str) -> str | None:
        secret = self._credentials.secret()
        if secret is None:
            return None
        key = hmac.new(secret, PURPOSE, hashlib.sha256).digest()
        return hmac.new(key, name.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
