"""`python -m ratwall.update.get URL LIMIT`: one bundle from an http or https address, onto stdout.

Before the first byte of the network this process gives up every right, may write no file and start
no process; whoever starts it makes it another user besides. Plain http is allowed, because what
counts is the bundle's signature: a technician's laptop need have no certificate. It follows no
redirect: a bundle is named by who installs it.
"""

import http.client
import ssl
import sys
from urllib.parse import urlsplit

from ratwall import __version__
from ratwall.errors import UsageError
from ratwall.kernel.rights import give_up_rights

MEMORY = 256 * 1024 * 1024  # bytes of address space: an interpreter, OpenSSL, its authorities
PROCESSOR_SECONDS = 300  # TLS over some hundred megabytes, on a slow box
QUIET_SECONDS = 30.0  # without a byte
CHUNK = 256 * 1024
FOUND = 200


def copy(url: str, limit: int) -> None:
    """Write what is at an address to stdout; UsageError if it is not there, or not whole."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"is no address: {error}") from error
    connection = (
        http.client.HTTPSConnection(
            host, port, timeout=QUIET_SECONDS, context=ssl.create_default_context()
        )
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=QUIET_SECONDS)
    )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request(
        "GET", target, headers={"User-Agent": f"ratwall/{__version__}", "Connection": "close"}
    )
    response = connection.getresponse()
    if response.status != FOUND:
        raise UsageError(f"the server answers {response.status}")
    announced, size = response.length, 0
    if announced is None:
        raise UsageError("the server does not say how long it is")
    if announced > limit:
        raise UsageError(f"has {announced} bytes; at most {limit} are allowed here")
    # The first line tells the reader how much will come, for its progress.
    sys.stdout.buffer.write(f"{announced}\n".encode())
    while chunk := response.read1(CHUNK):
        size += len(chunk)
        sys.stdout.buffer.write(chunk)
    if size != announced:
        raise UsageError(f"broke off after {size} of {announced} bytes; try again")


def main() -> int:
    """Print what is there; exit code 1 and one line on stderr if it cannot be had."""
    url, limit = sys.argv[1:]
    give_up_rights(memory=MEMORY, processor_seconds=PROCESSOR_SECONDS, file_bytes=0)
    try:
        copy(url, int(limit))
    except (OSError, UsageError, ValueError, http.client.HTTPException, MemoryError) as error:
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
