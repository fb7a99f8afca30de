"""The page's cookies: their names, and how each is set so that nobody else gets hold of it."""

from werkzeug.wrappers import Response

# `__Host-`: the browser takes it only with Secure, Path=/ and no Domain.
SESSION_COOKIE = "__Host-ratwall"
# Before the sign-in a form is bound to this browser by a cookie of its own.
VISIT_COOKIE = "__Host-ratwall-visit"
# Stays when the session ends: this browser has signed in before (`ratwall_web.known`).
KNOWN_COOKIE = "__Host-ratwall-known"
# The language in which the page speaks to this browser, of those there are.
LANGUAGE_COOKIE = "__Host-ratwall-language"
KNOWN_SECONDS = LANGUAGE_SECONDS = 400 * 86_400  # browsers keep no cookie for longer


def set_cookie(response: Response, name: str, value: str, seconds: int | None = None) -> None:
    """Set a cookie that only this page's own requests over HTTPS carry.

    It lasts for `seconds`, None: until the browser ends.
    """
    response.set_cookie(
        name, value, max_age=seconds, secure=True, httponly=True, samesite="Strict", path="/"
    )


def drop_cookie(response: Response, name: str) -> None:
    """Take a cookie away again."""
    response.delete_cookie(name, secure=True, httponly=True, samesite="Strict", path="/")
