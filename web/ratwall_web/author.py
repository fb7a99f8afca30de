"""Who acts in this request, as the audit trail names them.

A user whose session this is; before anybody signed in, and outside a request, the page itself.
"""

from flask import g, has_request_context

from ratwall_web.users import FIRST_NAME, User

NOBODY = FIRST_NAME  # the page speaks as the admin it had when it had one


def current_author() -> str:
    """Return the author of what this request asks for."""
    user: User | None = g.get("user") if has_request_context() else None
    return NOBODY if user is None else user.author
