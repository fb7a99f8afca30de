"""Tells a web server: an HTTPS request with a batch of records, signed.

The receiver checks that it came from this box and is not an old one sent again: the signature is
HMAC-SHA256 over the time, a full stop, and the body. `ratwall.export.https` sends the request.
"""

import hmac
import json
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from ratwall import __version__
from ratwall.export.connection import secret
from ratwall.export.ecs import ecs
from ratwall.export.https import place_of, post
from ratwall.export.records import Record
from ratwall.settings.export import ExportWebhook

TIME_HEADER: Final = "X-Ratwall-Timestamp"  # seconds since 1970
SIGNATURE_HEADER: Final = "X-Ratwall-Signature"


def signature(key: str, timestamp: str, body: bytes) -> str:
    """Return the value of the signature's header."""
    digest = hmac.new(key.encode(), timestamp.encode() + b"." + body, "sha256").hexdigest()
    return f"sha256={digest}"


def body_of(records: Sequence[Record], host: str) -> bytes:
    """Return the records as ECS objects in one JSON object."""
    events = [ecs(record, host) for record in records]
    return json.dumps({"box": host, "events": events}, separators=(",", ":")).encode()


class WebhookReceiver:
    """One address; each batch is a request on a connection of its own."""

    settle_seconds = 0.0  # its answer says that it has them

    def __init__(self, settings: ExportWebhook, host: str, wall: Callable[[], int]) -> None:
        """`host` is the box's name, `wall` gives UTC microseconds."""
        self._settings = settings
        self._parts = urlsplit(str(settings.url))
        self._host = host
        self._wall = wall
        self.where = place_of(self._parts)
        self.answer = ""

    def deliver(self, records: Sequence[Record]) -> None:
        """Send records in one request; DeliveryError unless the server says that it took them."""
        body = body_of(records, self._host)
        timestamp = str(self._wall() // 1_000_000)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"ratwall/{__version__}",
            TIME_HEADER: timestamp,
            SIGNATURE_HEADER: signature(secret(str(self._settings.secret_file)), timestamp, body),
        }
        self.answer = post(self._parts, body, headers, self._settings.ca_file)

    def check(self) -> bool:
        """Nothing is under way between two requests."""
        return True

    def close(self) -> None:
        """Nothing is kept open."""
