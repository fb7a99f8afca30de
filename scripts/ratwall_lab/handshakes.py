"""A TLS handshake between OpenSSL and OpenSSL in memory: what each side sent, flight by flight.

No socket and no namespace: for simulations that need what a handshake looks like, and many of them.
"""

from __future__ import annotations

import ssl

ROUNDS_LIMIT = 10  # flights of one side; the longest handshake, with a retry, takes three


def flights(
    server: ssl.SSLContext, client: ssl.SSLContext, server_name: str | None
) -> list[tuple[bool, bytes]]:
    """Return (from the client, bytes) in the order in which they were sent; ssl.SSLError if the
    two cannot agree."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_side=False, server_hostname=server_name)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    sent: list[tuple[bool, bytes]] = []
    done = {True: False, False: False}
    for _ in range(ROUNDS_LIMIT):
        for from_client, side, incoming, outgoing in (
            (True, one, to_client, to_server),
            (False, other, to_server, to_client),
        ):
            before = outgoing.pending
            done[from_client] = done[from_client] or _advance(side)
            if outgoing.pending > before:
                sent.append((from_client, _peek(outgoing)[before:]))
            del incoming  # read by OpenSSL
        if all(done.values()):
            return sent
    raise ssl.SSLError(ssl.SSL_ERROR_SSL, "the handshake does not end")


def _advance(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _peek(buffer: ssl.MemoryBIO) -> bytes:
    """Return what stands in a buffer, and leave it there."""
    data = buffer.read()
    buffer.write(data)
    return data
