"""Who may ask: a token in the `Authorization` header, and nothing else.

Never looks at a cookie or at the address for one: what is in an address ends in logs. The name by
which the box is called does not matter either: a web site that has its name point here (DNS
rebinding) has no token. A right token always gets in; wrong ones are told to wait after some, and
are then no longer written down, so that nobody can fill the audit trail, or shut a monitor out that
shares an address.
"""

from flask import g, request

from ratwall_web.api.problem import ProblemError
from ratwall_web.control import API_AUTHOR
from ratwall_web.services import services
from ratwall_web.tokens import ACT, Token

PATHS = ("/api/", "/metrics")
READING = frozenset({"GET", "HEAD", "OPTIONS"})
SCHEME = "bearer"


def is_for_programs(path: str) -> bool:
    """Tell whether a path is the API's and not a page."""
    return path.startswith(PATHS)


def admit() -> None:
    """Find the token of this request; ProblemError if there is none or it may not do that."""
    g.session = None
    # Read before anything is refused: an answer to a question still on its way can get lost.
    request.get_data()
    given = request.authorization
    if given is None or given.type != SCHEME or not given.token:
        raise ProblemError(
            401,
            "no-token",
            "Send a token in the header: Authorization: Bearer TOKEN. "
            "Tokens are made on the admin page, under Settings, API tokens.",
            {"WWW-Authenticate": 'Bearer realm="ratwall"'},
        )
    token = services().tokens.find(given.token)
    if token is None:
        raise _wrong(request.remote_addr or "unknown")
    if request.method not in READING and token.scope != ACT:
        raise ProblemError(
            403,
            "read-only",
            f"The token {token.name} may look but not act; nothing was changed.",
            {"WWW-Authenticate": 'Bearer realm="ratwall", error="insufficient_scope"'},
        )
    g.token = token


def author() -> str:
    """Return in whose name this request acts: it stands in the audit trail."""
    token: Token = g.token
    return f"{API_AUTHOR}{token.name}"


def _wrong(address: str) -> ProblemError:
    parts = services()
    wait = parts.wrong_tokens.wait(address)
    if wait == 0:
        parts.control.record("token refused", f"wrong or revoked API token from {address}")
        parts.wrong_tokens.fail(address)
        wait = parts.wrong_tokens.wait(address)
    if wait > 0:
        return ProblemError(
            429,
            "too-many-wrong-tokens",
            "Too many wrong tokens came from this address.",
            {"Retry-After": str(int(wait) + 1)},
        )
    return ProblemError(
        401,
        "wrong-token",
        "This token is not known here: it was mistyped, or revoked.",
        {"WWW-Authenticate": 'Bearer realm="ratwall", error="invalid_token"'},
    )
