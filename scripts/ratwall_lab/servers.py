"""TLS servers of the lab's internet, look-alikes and honest ones, that measure what reaches them.

A server is a listening socket opened inside a namespace, a thread that accepts, and a thread for
each connection. It never keeps what it receives: it counts it. Design note: `Visit` is the record
of one connection as the *server* saw it; the promise "cut before the first byte" is checked there
and nowhere else.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from ratwall_lab.endpoint import (
    APPLICATION_DATA,
    PATIENCE_SECONDS,
    End,
    Endpoint,
    PlainEndpoint,
    RecordLog,
    TlsEndpoint,
    end_of,
)
from ratwall_lab.namespaces import Host
from ratwall_lab.shapes import Shape

Handler = Callable[[Endpoint], None]

VISIT_LIMIT = 5000  # a runaway client must not fill the memory of the test
BACKLOG = 128
IDLE_SECONDS = 120.0  # longer than the slowest heartbeat, shorter than a forgotten test
REQUEST_LIMIT = 65536  # bytes of one HTTP request's head
PAGE_BYTES = 1_000_000
PAGE_SEED = b"ratwall lab page"


def page(size: int = PAGE_BYTES) -> bytes:
    """Return the lab's web page: the same incompressible bytes for the same size, every time."""
    return hashlib.shake_128(PAGE_SEED).digest(size)


@dataclass(slots=True)
class Visit:
    """One connection as the server saw it; times are monotonic seconds."""

    peer: str
    peer_port: int
    opened: float
    received: RecordLog
    handshaken: float | None = None
    version: str | None = None
    resumed: bool = False
    application_bytes: int = 0
    end: End | None = None
    ended: float | None = None
    error: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def application_records(self) -> int:
        """Records of type application_data that arrived, decrypted or not."""
        return len(self.received.lengths(APPLICATION_DATA))

    def wait_end(self, timeout: float) -> End:
        """Wait until the connection is over and say how; TimeoutError if it is not."""
        if not self.over.wait(timeout) or self.end is None:
            raise TimeoutError(f"the visit from {self.peer} is not over after {timeout} s")
        return self.end


class Server:
    """A server in a namespace (plain TCP without a context); a context manager, up on entry."""

    def __init__(
        self,
        host: Host,
        address: str,
        port: int,
        context: ssl.SSLContext | None,
        handler: Handler,
        *,
        name: str = "server",
        idle_seconds: float = IDLE_SECONDS,
        greet: Callable[[socket.socket], None] | None = None,
    ) -> None:
        """`greet` holds the dialogue in cleartext that comes before TLS, if there is one."""
        self.host, self.address, self.port = host, address, port
        self.name = name
        self.visits: list[Visit] = []
        self._context, self._handler, self._idle = context, handler, idle_seconds
        self._greet = greet
        self._changed = threading.Condition()
        self._open: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None

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
        """Listen (inside the namespace) and accept in the background."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with self.host.enter():
            self._listener = socket.create_server(
                (self.address, self.port), family=family, backlog=BACKLOG
            )
        self._start(self._accept, self._listener)

    def stop(self) -> None:
        """Close the listener and every connection, and wait for their threads."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(); close() alone does not
        self.end_visits()
        for thread in list(self._threads):
            thread.join()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def end_visits(self) -> None:
        """End every open connection; the server goes on listening."""
        with self._changed:
            for connection in self._open.values():
                _shut(connection)

    def wait_visits(self, number: int, timeout: float = PATIENCE_SECONDS) -> list[Visit]:
        """Wait for at least `number` connections; TimeoutError with what came instead."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.visits) >= number, timeout):
                raise TimeoutError(f"{self.name}: {len(self.visits)} of {number} visits")
            return list(self.visits)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name=f"lab {self.name}")
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while len(self.visits) < VISIT_LIMIT:
            try:
                connection, peer = listener.accept()
            except OSError:
                return  # stop() shut the listener down
            connection.settimeout(self._idle)
            endpoint: Endpoint = PlainEndpoint(connection)
            if self._context is not None:
                endpoint = TlsEndpoint(connection, self._context, server_side=True)
            visit = Visit(peer[0], peer[1], time.monotonic(), endpoint.received)
            with self._changed:
                self.visits.append(visit)
                self._open[id(visit)] = connection
                self._changed.notify_all()
            self._start(self._serve, endpoint, visit)

    def _serve(self, endpoint: Endpoint, visit: Visit) -> None:
        try:
            if self._greet is not None:
                self._greet(endpoint.connection)
            endpoint.handshake()
            visit.handshaken = time.monotonic()
            visit.version, visit.resumed = endpoint.version, endpoint.resumed
            self._handler(endpoint)
            visit.end = End.CLOSED
        except OSError as error:
            visit.end, visit.error = end_of(error), str(error)
        finally:
            visit.ended = time.monotonic()
            visit.application_bytes = endpoint.application_bytes
            with self._changed:
                del self._open[id(visit)]
            endpoint.close()
            visit.over.set()


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # it may have ended by itself
        connection.shutdown(socket.SHUT_RDWR)


def idle_handler(shape: Shape) -> Handler:
    """Return a server's side of an idle conversation (a C2 look-alike, a broker, an agent's)."""

    def converse(endpoint: Endpoint) -> None:
        shape.receive(endpoint, shape.hello)
        while True:
            shape.receive(endpoint, shape.ping or 1)
            if shape.pong:
                shape.send(endpoint, shape.pong)
            if shape.answer:
                shape.receive(endpoint, shape.answer)

    return converse


def web_handler(body: bytes, content_type: str = "application/octet-stream") -> Handler:
    """Return an HTTP/1.1 server's side that answers every request with `body`."""
    head = (
        f"HTTP/1.1 200 OK\r\nServer: lab\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()

    def serve(endpoint: Endpoint) -> None:
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                data = endpoint.receive()
                if not data:
                    return
                pending += data
                if len(pending) > REQUEST_LIMIT:
                    return
            request, _, pending = pending.partition(b"\r\n\r\n")
            endpoint.send(head)
            if not request.startswith(b"HEAD "):
                endpoint.send(body)
            if b"\r\nconnection: close" in request.lower():
                return

    return serve
