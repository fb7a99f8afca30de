"""Gets a list: from a file, or over HTTPS from its publisher.

The server's certificate is verified against the system's authorities. Redirects are followed a few
times, to https and from the publisher into no private network; size and time are bounded whatever
the server does; what has not changed since is not sent again (ETag, Last-Modified). Environment and
proxies are not heeded.
"""

import http.client
import os
import ssl
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from ratwall import __version__
from ratwall.address import is_local
from ratwall.feeds.errors import FeedError
from ratwall.feeds.indicator import SECOND
from ratwall.feeds.reading import BYTES_LIMIT, printable, quoted

SECONDS = 60.0  # for one list, redirects included: ten megabytes over a slow line
QUIET_SECONDS = 15.0  # without a byte
REDIRECTS_LIMIT = 4
CHUNK = 64 * 1024
REDIRECTS = (301, 302, 303, 307, 308)
NOT_MODIFIED, FOUND = 304, 200
WORDS_LIMIT = 200  # characters of what went wrong: some of it may be the server's own
TAG_LIMIT = 256  # characters of an ETag or a date that are kept and sent back


@dataclass(frozen=True, slots=True)
class Fetched:
    """A list as it came; `edition` is when it was made (UTC microseconds), as far as is known."""

    data: bytes
    edition: int
    etag: str | None = None
    modified: str | None = None


def read_file(path: str, now: int) -> Fetched:
    """Read a list from a file; FeedError if it cannot be read. It was made when it was written, and
    not after `now` (UTC microseconds)."""
    try:
        if not Path(path).is_file() and Path(path).exists():
            raise FeedError(f"{path}: is no file")
        # Should it have become a pipe meanwhile, nobody waits for it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            made = min(now, int(os.fstat(descriptor).st_mtime) * SECOND)
            return Fetched(file.read(BYTES_LIMIT + 1), made)
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror}") from error


def fetch(
    url: str, etag: str | None, modified: str | None, now: int, limit: int = BYTES_LIMIT
) -> Fetched | None:
    """Fetch a list of at most `limit` bytes; None if it is what it was at `etag` and
    `modified`; FeedError says why not.

    `now` (UTC microseconds) is when it is taken to be made where the server does not say.
    """
    deadline = time.monotonic() + SECONDS
    context = ssl.create_default_context()
    here = url
    for _ in range(REDIRECTS_LIMIT + 1):
        try:
            away = _host(here) != _host(url)
            answer = _ask(here, etag, modified, now, limit, context, deadline, away=away)
        except ssl.SSLCertVerificationError as error:
            raise FeedError(
                f"{_host(here)}: its certificate is not valid: {error.verify_message}"
            ) from error
        # ValueError: a name or a path that cannot be asked for, such as a label of 64 letters.
        except (OSError, ValueError, http.client.HTTPException) as error:
            words = " ".join(str(error).split())[:WORDS_LIMIT] or type(error).__name__
            raise FeedError(f"{_host(here)}: {printable(words)}") from error
        if not isinstance(answer, str):
            return answer
        here = _next(here, answer)
    raise FeedError(f"{_host(url)}: more than {REDIRECTS_LIMIT} redirects")


def _next(here: str, there: str) -> str:
    """Return where a redirect leads; FeedError if that is no https address."""
    with suppress(ValueError):
        place = urljoin(here, there)
        if urlsplit(place).scheme == "https" and urlsplit(place).hostname:
            return place
    raise FeedError(f"{_host(here)}: sends us to {quoted(there)}, which is no https address")


def _ask(
    url: str,
    etag: str | None,
    modified: str | None,
    now: int,
    limit: int,
    context: ssl.SSLContext,
    deadline: float,
    *,
    away: bool,
) -> Fetched | str | None:
    """Ask once: the list, None if it has not changed, or where else to ask.

    `away`: a redirect led here, and not the settings.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        port = parts.port
    except ValueError as error:
        raise FeedError(f"{host}: a port that is none in {quoted(url)}") from error
    connection = http.client.HTTPSConnection(
        host, port, timeout=min(QUIET_SECONDS, _left(deadline)), context=context
    )
    headers = {"User-Agent": f"ratwall/{__version__}", "Accept-Encoding": "identity"}
    if etag is not None:
        headers["If-None-Match"] = etag
    if modified is not None:
        headers["If-Modified-Since"] = modified
    with ExitStack() as stack:
        stack.callback(connection.close)
        connection.connect()
        peer = ip_address(connection.sock.getpeername()[0].partition("%")[0])
        if away and is_local(peer.packed):
            raise FeedError(f"{host}: a redirect into a private network, to {peer}")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers=headers)
        # It may outlive its connection, and keep the line open.
        response = stack.enter_context(connection.getresponse())
        if response.status == NOT_MODIFIED and (etag or modified):
            return None
        if response.status in REDIRECTS:
            return response.getheader("Location") or ""
        if response.status != FOUND:
            raise FeedError(f"{host}: answers {response.status} {quoted(response.reason)}")
        data = _body(response, host, limit, deadline)
        dated = _header(response, "Last-Modified")
        return Fetched(data, _moment(dated, now), _header(response, "ETag"), dated)


def _body(response: http.client.HTTPResponse, host: str, limit: int, deadline: float) -> bytes:
    announced = response.getheader("Content-Length", "")
    if _is_number(announced) and int(announced[:20]) > limit:
        raise FeedError(f"{host}: sends more than {limit} bytes")
    parts, size = [], 0
    while chunk := response.read1(CHUNK):
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            raise FeedError(f"{host}: sends more than {limit} bytes")
        _left(deadline)
    if _is_number(announced) and size != int(announced[:20]):
        raise FeedError(f"{host}: broke off after {size} of {announced} bytes")
    return b"".join(parts)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()  # a superscript two is a digit too, and no number


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"not done within {SECONDS:.0f} s")
    return left


def _header(response: http.client.HTTPResponse, name: str) -> str | None:
    value = response.getheader(name)
    if value is None or len(value) > TAG_LIMIT or not (value.isascii() and value.isprintable()):
        return None
    return value


def _moment(text: str | None, now: int) -> int:
    if text is None:
        return now
    try:
        return min(now, int(parsedate_to_datetime(text).timestamp()) * SECOND)
    except (ValueError, OverflowError):
        return now


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "?"
    except ValueError:
        return "?"


def obtain(source: str, etag: str | None, modified: str | None, now: int) -> Fetched | None:
    """Get a list from a file or an https address; None if it has not changed."""
    if source.startswith("https://"):
        return fetch(source, etag, modified, now)
    return read_file(str(Path(source)), now)
