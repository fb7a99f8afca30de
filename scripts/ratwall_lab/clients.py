"""Clients in the lab's office: one that idles and comes back, one that fetches a page.

What a client does to the network is real TCP and TLS; what it says is zero bytes or a plain GET.
It never leaves its namespace. Design note: a client's loop ends by three limits at once (attempts,
seconds, `stop()`), so that a forgotten client cannot outlive its test.
"""

from __future__ import annotations

import hashlib
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ratwall_lab.endpoint import PATIENCE_SECONDS, End, TlsEndpoint, end_of
from ratwall_lab.namespaces import Host
from ratwall_lab.shapes import Shape

CONNECT_SECONDS = 5.0  # enough for a retransmitted SYN
RECONNECT_SECONDS = 5.0  # AsyncRAT and DcRat: fixed, no backoff, no jitter
ATTEMPT_LIMIT = 100
RUN_SECONDS = 600.0


@dataclass(slots=True)
class Attempt:
    """One connection as the client saw it; times are monotonic seconds."""

    server: str
    port: int
    started: float
    connected: float | None = None
    handshaken: float | None = None
    resumed: bool = False
    pings: int = 0
    end: End | None = None
    ended: float | None = None
    error: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def wait_end(self, timeout: float) -> End:
        """Wait until the attempt is over and say how; TimeoutError if it is not."""
        if not self.over.wait(timeout) or self.end is None:
            raise TimeoutError(f"{self.server}:{self.port} is not over after {timeout} s")
        return self.end


class IdleClient:
    """Connects, says hello, pings at its period, and comes back after every end.

    With several servers or ports each attempt draws one, independently, as the RATs do. With
    `resume` it offers its session (its own last one, or `session`) and so hides the certificate.
    """

    def __init__(
        self,
        host: Host,
        servers: Sequence[str],
        ports: Sequence[int],
        context: ssl.SSLContext,
        shape: Shape,
        *,
        server_name: str | None = None,
        pinned: bytes | None = None,
        resume: bool = False,
        session: ssl.SSLSession | None = None,
        reconnect_seconds: float = RECONNECT_SECONDS,
        attempts: int = ATTEMPT_LIMIT,
        seconds: float = RUN_SECONDS,
    ) -> None:
        self.host, self.shape = host, shape
        self.attempts: list[Attempt] = []
        self._servers, self._ports = tuple(servers), tuple(ports)
        self._context, self._name, self._pinned = context, server_name, pinned
        self._resume = resume
        self.session = session  # the newest one to resume with, if `resume`
        self._reconnect, self._limit, self._seconds = reconnect_seconds, attempts, seconds
        self._changed, self._stop = threading.Condition(), threading.Event()
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self.run, name=f"lab {shape.name} client")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Run in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End the connection and the loop, and wait for the thread."""
        self._stop.set()
        with self._changed:
            if self._connection is not None:
                with suppress(OSError):  # it may have ended by itself
                    self._connection.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join()

    def run(self) -> None:
        """Connect again and again until a limit is reached."""
        deadline = time.monotonic() + self._seconds
        while len(self.attempts) < self._limit and time.monotonic() < deadline:
            attempt = Attempt(
                random.choice(self._servers), random.choice(self._ports), time.monotonic()
            )
            with self._changed:
                self.attempts.append(attempt)
                self._changed.notify_all()
            self._try(attempt, deadline)
            if len(self.attempts) >= self._limit or self._stop.wait(self._reconnect):
                return

    def wait_attempts(self, number: int, timeout: float = PATIENCE_SECONDS) -> list[Attempt]:
        """Wait for at least `number` attempts begun; TimeoutError with what came instead."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.attempts) >= number, timeout):
                raise TimeoutError(f"{len(self.attempts)} of {number} attempts")
            return list(self.attempts)

    def _try(self, attempt: Attempt, deadline: float) -> None:
        try:
            with self.host.enter():
                connection = socket.create_connection(
                    (attempt.server, attempt.port), timeout=CONNECT_SECONDS
                )
            with connection:
                attempt.connected = time.monotonic()
                with self._changed:
                    self._connection = connection
                self._converse(connection, attempt, deadline)
            attempt.end = End.STOPPED
        except OSError as error:
            attempt.end, attempt.error = end_of(error), str(error)
            if self._stop.is_set():
                attempt.end = End.STOPPED
        finally:
            attempt.ended = time.monotonic()
            with self._changed:
                self._connection = None
            attempt.over.set()

    def _converse(self, connection: socket.socket, attempt: Attempt, deadline: float) -> None:
        shape, period = self.shape, self.shape.draw_period()
        session = self.session if self._resume else None
        endpoint = TlsEndpoint(
            connection, self._context, server_side=False, server_name=self._name, session=session
        )
        endpoint.handshake()
        attempt.handshaken, attempt.resumed = time.monotonic(), endpoint.resumed
        if self._pinned is not None and endpoint.peer_certificate() != self._pinned:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "the certificate is not the pinned one")
        shape.send(endpoint, shape.hello)
        due = time.monotonic() + period
        while not self._stop.is_set() and time.monotonic() < deadline:
            self._wait(endpoint, min(due, deadline))
            if shape.ping:
                self._ping(endpoint)
                attempt.pings += 1
            due += period
        # Without a goodbye OpenSSL forgets the session, and nothing could be resumed.
        endpoint.close()

    def _ping(self, endpoint: TlsEndpoint) -> None:
        shape = self.shape
        shape.send(endpoint, shape.ping)
        if shape.pong:
            shape.receive(endpoint, shape.pong)
        if shape.answer:
            shape.send(endpoint, shape.answer)

    def _wait(self, endpoint: TlsEndpoint, due: float) -> None:
        """Read (session tickets, mostly) until `due`; raises as soon as the connection ends."""
        connection = endpoint.connection
        try:
            while (left := due - time.monotonic()) > 0:
                connection.settimeout(left)
                if not endpoint.receive():
                    raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the server closed the connection")
        except TimeoutError:
            pass  # it was quiet until the ping is due, as it should be
        finally:
            connection.settimeout(CONNECT_SECONDS)
            self.session = endpoint.session


@dataclass(frozen=True, slots=True)
class Page:
    """What a client got from a web server."""

    sha256: str
    size: int
    version: str | None
    seconds: float


def fetch(
    host: Host,
    address: str,
    port: int,
    context: ssl.SSLContext,
    *,
    server_name: str | None = None,
    timeout: float = 20.0,
    greet: Callable[[socket.socket], None] | None = None,
) -> Page:
    """GET one page over TLS from inside a namespace; OSError of sockets and `ssl` when cut.

    `greet` holds the dialogue in cleartext that comes before TLS, if there is one.
    """
    started = time.monotonic()
    with host.enter():
        connection = socket.create_connection((address, port), timeout=timeout)
    with connection:
        if greet is not None:
            greet(connection)
        endpoint = TlsEndpoint(connection, context, server_side=False, server_name=server_name)
        endpoint.handshake()
        name = server_name or address
        endpoint.send(f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        pending = b""
        while b"\r\n\r\n" not in pending:
            part = endpoint.receive()
            if not part:
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "no answer to the request")
            pending += part
        head, _, body = pending.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split()[0])
        body += endpoint.receive_exactly(length - len(body))
        version = endpoint.version
        endpoint.close()
    return Page(hashlib.sha256(body).hexdigest(), len(body), version, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a client got that says one thing and listens: the bytes, and how it ended when."""

    received: bytes
    end: End
    seconds: float


def say_and_listen(
    host: Host,
    address: str,
    port: int,
    hello: bytes,
    *,
    expected: int,
    timeout: float = 15.0,
    source_port: int = 0,
    fast_open: bool = False,
) -> Exchange:
    """Send canned bytes over plain TCP and read until `expected` bytes came or it ended.

    With `fast_open` they go into the SYN: allow it by `net.ipv4.tcp_fastopen` in the namespace.
    """
    started, received, end = time.monotonic(), bytearray(), End.STOPPED
    try:
        with host.enter():
            connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        with connection:
            connection.settimeout(timeout)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            connection.bind(("", source_port))
            if source_port:  # closed by a reset, or nobody could use the port again for a minute
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if fast_open:
                connection.sendto(hello, socket.MSG_FASTOPEN, (address, port))
            else:
                connection.connect((address, port))
                connection.sendall(hello)
            while len(received) < expected:
                part = connection.recv(expected - len(received))
                if not part:
                    end = End.CLOSED
                    break
                received += part
    except OSError as error:
        end = end_of(error)
    return Exchange(bytes(received), end, time.monotonic() - started)
