"""Sends a message to a server that pushes it to telephones, as ntfy does: title and priority are
headers, the text is the body.

Of the address only the host is ever told: who knows the topic can read along.
"""

from email.header import Header
from typing import Final
from urllib.parse import urlsplit

from ratwall import __version__
from ratwall.export.connection import secret
from ratwall.export.https import place_of, post
from ratwall.export.notices import Message
from ratwall.export.records import CRITICAL, WARNING, clean
from ratwall.settings.export import ExportPush

TITLE_LIMIT: Final = 180  # characters
BODY_LIMIT: Final = 3500  # bytes: ntfy turns more than 4,096 into a file
# ntfy's priorities: 5 rings until somebody looks, 4 rings, 3 is the default.
URGENT, HIGH, NORMAL = "5", "4", "3"


class PushPost:
    """One topic of one server."""

    def __init__(self, settings: ExportPush) -> None:
        self._settings = settings
        self._parts = urlsplit(str(settings.url))
        self.where = place_of(self._parts)

    def send(self, message: Message) -> str:
        """Send a message; return what the server said, DeliveryError if it did not take it."""
        headers = {
            "Content-Type": "text/plain; charset=utf-8",
            "User-Agent": f"ratwall/{__version__}",
            "Title": _header(clean(message.title, TITLE_LIMIT)),
            "Priority": _priority(message),
            "Tags": "rotating_light" if message.severity <= CRITICAL else "shield",
            "Click": message.link,
        }
        if self._settings.token_file is not None:
            headers["Authorization"] = f"Bearer {secret(self._settings.token_file)}"
        body = message.body.encode()[:BODY_LIMIT].decode(errors="ignore").encode()
        return post(self._parts, body, headers, self._settings.ca_file)


def _priority(message: Message) -> str:
    if message.severity <= CRITICAL:
        return URGENT
    return HIGH if message.severity <= WARNING else NORMAL


def _header(text: str) -> str:
    """Return text for a header: beyond ASCII as RFC 2047 has it, which ntfy reads, in one line."""
    return text if text.isascii() else Header(text, "utf-8", maxlinelen=10_000).encode()
