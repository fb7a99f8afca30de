"""Tells a web server: an HTTPS request with a batch of records, signed.

The receiver checks that it came from this box and is not an old one sent again: the signature is
HMAC-SHA256 over the time, a full stop, and the body. The server's certificate is verified,
redirects are not followed, environment and proxies are not heeded, and whatever the server does, it
has a bounded time. Of the address only the host is ever told: the rest may be a secret.
"""

import hmac
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

from ratwall import __version__
from ratwall.export.connection import CONNECT_SECONDS, secret, tls_context, words
from ratwall.export.courier import DeliveryError
from ratwall.export.ecs import ecs
from ratwall.export.records import Record
from ratwall.settings.export import ExportWebhook

ANSWER_SECONDS: Final = 20.0  # for a whole request; a server that takes longer is asked again later
TIME_HEADER: Final = "X-Ratwall-Timestamp"  # seconds since 1970
SIGNATURE_HEADER: Final = "X-Ratwall-Signature"
_REDIRECTS: Final = range(300, 400)
_TAKEN: Final = range(200, 300)


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
        self.where = f"https://{self._parts.netloc}"

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
        connection = http.client.HTTPSConnection(
            self._parts.hostname or "",
            self._parts.port,
            timeout=CONNECT_SECONDS,
            context=tls_context(self._settings.ca_file),
        )
        target = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        try:
            with closing(connection):
                connection.connect()
                with _bounded(connection.sock) as over:
                    connection.request("POST", target, body, headers)
                    with connection.getresponse() as response:
                        status = response.status
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise DeliveryError(f"{self.where}: {words(error)}") from error
        if over.is_set():  # what was cut off reads like a short answer
            raise DeliveryError(f"{self.where}: no answer within {ANSWER_SECONDS:.0f} s")
        if status in _REDIRECTS:
            raise DeliveryError(f"{self.where}: redirects ({status}), which is not followed")
        if status not in _TAKEN:
            raise DeliveryError(f"{self.where}: refuses with {status}")

    def check(self) -> bool:
        """Nothing is under way between two requests."""
        return True

    def close(self) -> None:
        """Nothing is kept open."""


@contextmanager
def _bounded(connection: socket.socket) -> Iterator[threading.Event]:
    """Cut the connection when its time is over, and say so: a server can dribble where no time-out
    looks."""
    over = threading.Event()

    def cut() -> None:
        over.set()
        with suppress(OSError):  # it has ended by itself
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # below TLS: it is in use

    timer = threading.Timer(ANSWER_SECONDS, cut)
    timer.daemon = True
    timer.start()
    try:
        yield over
    finally:
        timer.cancel()
