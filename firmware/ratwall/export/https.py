"""One HTTPS request, and what the server said: for whoever tells a web server something.

The server's certificate is verified, redirects are not followed, environment and proxies are not
heeded, and whatever the server does, it has a bounded time. Of the address only the host is ever
told: the rest may be a secret.
"""

import http.client
from collections.abc import Mapping
from contextlib import closing
from typing import Final
from urllib.parse import SplitResult

from ratwall.export.connection import ANSWER_SECONDS, CONNECT_SECONDS, bounded, tls_context, words
from ratwall.export.courier import DeliveryError
from ratwall.export.records import clean

SAID_LIMIT: Final = 200  # characters of a server's own words, for a person who tries it out
_REDIRECTS: Final = range(300, 400)
_TAKEN: Final = range(200, 300)


def post(parts: SplitResult, body: bytes, headers: Mapping[str, str], ca_file: str | None) -> str:
    """Send a request; return what the server said, DeliveryError unless it took it."""
    where = place_of(parts)
    connection = http.client.HTTPSConnection(
        parts.hostname or "", parts.port, timeout=CONNECT_SECONDS, context=tls_context(ca_file)
    )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with closing(connection):
            connection.connect()
            with bounded(lambda: connection.sock, ANSWER_SECONDS) as over:
                connection.request("POST", target, body, dict(headers))
                with connection.getresponse() as response:
                    status, said = response.status, response.read(SAID_LIMIT)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DeliveryError(f"{where}: {words(error)}") from error
    if over.is_set():  # what was cut off reads like a short answer
        raise DeliveryError(f"{where}: no answer within {ANSWER_SECONDS:.0f} s")
    if status in _REDIRECTS:
        raise DeliveryError(f"{where}: redirects ({status}), which is not followed")
    if status not in _TAKEN:
        raise DeliveryError(f"{where}: refuses with {status}")
    return clean(f"{status} {' '.join(said.decode(errors='replace').split())}".strip(), SAID_LIMIT)


def place_of(parts: SplitResult) -> str:
    """Return what of an address may be told."""
    return f"https://{parts.netloc}"
