"""A bulk transfer whose every byte is known, to show that a cut beside it loses none of them.

The server sends numbered blocks, the client hashes what arrives and knows what the hash must be.
It never stores the content. Design note: each block starts with its number, so that no repeated,
lost or swapped block can leave the hash as it was.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from ratwall_lab.endpoint import (
    PATIENCE_SECONDS,
    End,
    Endpoint,
    PlainEndpoint,
    TlsEndpoint,
    end_of,
)
from ratwall_lab.namespaces import Host
from ratwall_lab.servers import Handler, page

BLOCK_BYTES = 65536
GO = b"go\r\n\r\n"  # the client speaks first, as in most protocols
STALL_SECONDS = 20.0  # a transfer that stands still for so long has been broken
LONG_RATE = 10_000_000  # bytes a second: some hundred segments, however they are put together
LONG_LEAST = 8_000_000  # what a test has at the end at least, however soon it had seen enough
LONG_MOST = 200 * LONG_RATE  # the longest that a forgotten one goes on
_FILLING = page(BLOCK_BYTES - 8)


def blocks(size: int) -> Iterator[bytes]:
    """Yield the content of a transfer of `size` bytes, block by block."""
    for number, position in enumerate(range(0, size, BLOCK_BYTES)):
        yield (number.to_bytes(8, "big") + _FILLING)[: size - position]


def expected_hash(size: int) -> str:
    """Return the SHA-256 (hex) of a transfer of `size` bytes."""
    digest = hashlib.sha256()
    for block in blocks(size):
        digest.update(block)
    return digest.hexdigest()


def bulk_handler(size: int, rate: float | None = None) -> Handler:
    """Return a server's side that sends `size` bytes, at most `rate` bytes a second."""

    def serve(endpoint: Endpoint) -> None:
        endpoint.receive_exactly(len(GO))
        started, sent = time.monotonic(), 0
        for block in blocks(size):
            endpoint.send(block)
            sent += len(block)
            if rate is not None:
                time.sleep(max(0.0, started + sent / rate - time.monotonic()))

    return serve


class LongDownload:
    """A server's side that sends until a test has seen enough, for a transfer that must be running
    while something happens: how long that takes depends on the machine."""

    def __init__(self, rate: float = LONG_RATE) -> None:
        self._rate, self._enough = rate, threading.Event()
        self._sizes: set[int] = set()  # of the downloads that were sent to their end

    def serve(self, endpoint: Endpoint) -> None:
        """Send blocks, at most `rate` bytes a second; a handler of `Server`."""
        endpoint.receive_exactly(len(GO))
        started, sent = time.monotonic(), 0
        for block in blocks(LONG_MOST):
            endpoint.send(block)
            sent += len(block)
            if self._enough.is_set() and sent >= LONG_LEAST:
                break
            self._enough.wait(started + sent / self._rate - time.monotonic())
        self._sizes.add(sent)

    def comes_whole(self, client: BulkClient) -> bool:
        """Let the server come to its end; whether this client then has all that was sent to it."""
        self._enough.set()
        got = client.result()
        return got.size in self._sizes and got.whole(got.size)


@dataclass(frozen=True, slots=True)
class Transfer:
    """What arrived at the client, and how long it took."""

    size: int
    sha256: str
    seconds: float
    end: End

    def whole(self, size: int) -> bool:
        """Say whether the transfer of `size` bytes arrived: every byte and no other."""
        return self.end is End.CLOSED and (self.size, self.sha256) == (size, expected_hash(size))


class BulkClient:
    """Downloads in the background until the server is done; a context manager."""

    def __init__(
        self, host: Host, address: str, port: int, context: ssl.SSLContext | None = None
    ) -> None:
        self.received = 0  # bytes so far: a test may wait for the middle
        with host.enter():
            connection = socket.create_connection((address, port), timeout=STALL_SECONDS)
        self._endpoint: Endpoint = PlainEndpoint(connection)
        if context is not None:
            self._endpoint = TlsEndpoint(connection, context, server_side=False)
        self._result: Transfer | None = None
        self._refused: End | None = None
        self._thread = threading.Thread(target=self._download, name="lab bulk client")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._endpoint.connection.close()
        self._thread.join()
        self._endpoint.close()

    def wait_received(self, size: int, timeout: float = PATIENCE_SECONDS) -> None:
        """Wait until `size` bytes have arrived; TimeoutError with how many did."""
        deadline = time.monotonic() + timeout
        while self.received < size:
            if time.monotonic() > deadline or self._result is not None:
                raise TimeoutError(f"{self.received} of {size} bytes after {timeout} s")
            time.sleep(0.005)

    def nudge(self) -> None:
        """Send one byte beside the protocol, as whoever waits for an answer sooner or later does.

        Only for a connection that is refused already: TLS does not survive it. The kernel tells a
        reset once, to the sender or to the receiver, whoever asks first: told here, it is the end
        of the transfer too.
        """
        try:
            self._endpoint.connection.sendall(b"\0")
        except OSError as error:
            self._refused = end_of(error)

    def result(self, timeout: float = 60.0) -> Transfer:
        """Wait for the end of the transfer and return what arrived."""
        self._thread.join(timeout)
        if self._result is None:
            raise TimeoutError(f"the transfer is not over after {timeout} s")
        if self._refused is not None:
            return replace(self._result, end=self._refused)
        return self._result

    def _download(self) -> None:
        digest, started, end = hashlib.sha256(), time.monotonic(), End.CLOSED
        try:
            self._endpoint.handshake()
            self._endpoint.send(GO)
            while data := self._endpoint.receive():
                digest.update(data)
                self.received += len(data)
        except OSError as error:
            end = end_of(error)
        seconds = time.monotonic() - started
        self._result = Transfer(self.received, digest.hexdigest(), seconds, end)
