"""The HTTPS server under the admin page: cheroot, made safe against clients that dawdle.

Never knows what it serves. As it comes, cheroot shakes hands in its accepting thread, and gives
each new connection to a worker thread that then waits for the client: one silent client stops the
page for everybody, and a browser's spare connections use up the workers. Here a connection waits in
the selector until it has something to say, a worker does the handshake, each step has a deadline
as a whole (not one per byte), and one address has bounded shares of connections and of workers.
"""

import errno
import os
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import cheroot.errors
import cheroot.server
import cheroot.wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter

from ratwall.address import place
from ratwall.errors import RatwallError
from ratwall.update.bundle import BUNDLE_LIMIT
from ratwall_web.certificate import ServerCertificate
from ratwall_web.config import Config
from ratwall_web.turns import Turns

# A page takes milliseconds; more threads only cost memory on a small box.
THREADS = 16
# Two for the tabs that poll while the controller hangs, one for what is clicked. Whoever dawdles
# from so many addresses that no thread is left could as well take all CONNECTIONS.
THREADS_PER_ADDRESS = 3
# A whole handshake, a whole request, a whole answer (at most 100 KB), from first byte to last.
HANDSHAKE_DEADLINE_S = 5.0
REQUEST_DEADLINE_S = 10.0
ANSWER_DEADLINE_S = 20.0
# A connection on which nothing comes: longer than the page's polling interval of 2 s, by far.
IDLE_S = 20
# An update comes at 128 KB a second at least, or not at all: a worker waits for it.
SLOWEST_UPLOAD = 128 * 1024
UPLOAD = (b"PUT", b"/updates/file")
BACKLOG = 64
# A browser opens 6 connections to one host; some people open the page in several tabs.
CONNECTIONS_PER_ADDRESS = 24
CONNECTIONS = 128
# Cookies and a search string; cheroot closes the connection beyond.
HEADER_LIMIT = 16 * 1024
# systemd passes listening sockets from this descriptor on (sd_listen_fds(3)).
FIRST_PASSED_DESCRIPTOR = 3


class DeadlineSocket(ssl.SSLSocket):
    """A TLS socket whose request must be read, and whose answer must be written, by a deadline.

    What the page does in between has time-outs of its own and counts for neither.
    """

    deadline: float | None = None  # monotonic seconds
    answering = False

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """Read as usual, within what is left of the deadline."""
        self.answering = False
        self._hurry()
        with _as_lost_connection():
            return super().recv_into(buffer, nbytes, flags)

    def send(self, data: Any, flags: int = 0) -> int:
        """Write as usual, within the deadline that its first write starts."""
        if not self.answering:
            self.answering = True
            self.deadline = time.monotonic() + ANSWER_DEADLINE_S
        self._hurry()
        with _as_lost_connection():
            return super().send(data, flags)

    def _hurry(self) -> None:
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")  # the text that cheroot answers with 408
            self.settimeout(left)


@contextmanager
def _as_lost_connection() -> Iterator[None]:
    """Turn whatever TLS says of a client that left or babbles into what cheroot keeps quiet on."""
    try:
        yield
    except ssl.SSLError as error:
        raise ConnectionResetError(errno.ECONNRESET, str(error)) from error


class PatientAdapter(BuiltinSSLAdapter):
    """TLS without shaking hands in the accepting thread."""

    def wrap(self, sock: socket.socket) -> tuple[ssl.SSLSocket, dict[str, str]]:
        """Return `sock` as a TLS socket that has not said anything yet."""
        try:
            wrapped = self.context.wrap_socket(
                sock, do_handshake_on_connect=False, server_side=True
            )
        except OSError as error:  # the client is gone again
            raise cheroot.errors.FatalSSLAlert(*error.args) from error
        return wrapped, {"wsgi.url_scheme": "https", "HTTPS": "on"}


class LargeBodies:
    """The server as the one request sees it whose body may be large."""

    max_request_body_size = BUNDLE_LIMIT

    def __init__(self, server: Any) -> None:
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


class PatientRequest(cheroot.server.HTTPRequest):
    """A request that may bring an update: a large body, in the time that a slow line takes.

    Whether somebody may send one is asked before a byte of it is read. What is refused is not read
    to its end (cheroot would, into memory): the connection closes.
    """

    def read_request_headers(self) -> bool:
        """Read the headers; a body as large as they say is taken on the one route that has one."""
        if (self.method, self.path) != UPLOAD:
            return bool(super().read_request_headers())  # type: ignore[no-untyped-call]
        self.server = LargeBodies(self.server)
        if not super().read_request_headers():  # type: ignore[no-untyped-call]
            return False
        self.close_connection = True
        length = int(self.inheaders.get(b"Content-Length", 0))
        deadline = time.monotonic() + REQUEST_DEADLINE_S + length / SLOWEST_UPLOAD
        self.conn.socket.deadline = deadline
        return True


class PatientConnection(cheroot.server.HTTPConnection):
    """A connection that first shakes hands, then serves one request at a time."""

    RequestHandlerClass = PatientRequest
    shaken = False
    counted = False

    def communicate(self) -> bool:
        """Do the next step and tell whether the connection stays open."""
        try:
            return self._step()
        finally:
            self.server.turns.end(self.remote_addr)

    def close(self) -> None:
        """Close, and let the next connection of this address in."""
        if self.counted:
            self.counted = False
            self.server.leave(self.remote_addr)
        super().close()

    def _step(self) -> bool:
        if not self.shaken:
            if not self._shake_hands():
                return False
            self.shaken = True
            # Back to the selector: a browser's spare connection must not hold a thread.
            if not self.socket.pending():
                return True
        self.socket.deadline = time.monotonic() + REQUEST_DEADLINE_S
        return bool(super().communicate())  # type: ignore[no-untyped-call]

    def _shake_hands(self) -> bool:
        self.socket.settimeout(HANDSHAKE_DEADLINE_S)
        try:
            self.socket.do_handshake()
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self._point_to_https()
            return False
        except OSError:
            return False
        return True

    def _point_to_https(self) -> None:
        # Somebody typed http://: a few words in clear are kinder than a reset. The request is
        # lost inside OpenSSL, so the address comes from the socket, not from a Host header.
        host, port = self.socket.getsockname()[:2]
        url = f"https://{f'[{host}]' if ':' in host else host}:{port}/"
        answer = (
            f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nCache-Control: no-store\r\n"
            "Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        with socket.socket(fileno=os.dup(self.socket.fileno())) as plain, suppress(OSError):
            plain.setblocking(False)
            plain.sendall(answer.encode())
            plain.shutdown(socket.SHUT_WR)
            # What stays unread at the close would turn it into a reset and lose the answer.
            plain.recv(HEADER_LIMIT)


class PageServer(cheroot.wsgi.Server):
    """cheroot with patience, bounds, and a socket that was opened by somebody else."""

    ConnectionClass = PatientConnection

    def __init__(
        self,
        application: Any,
        config: Config,
        certificate: ServerCertificate,
        listener: socket.socket,
    ) -> None:
        super().__init__(
            listener.getsockname()[:2],
            application,
            numthreads=THREADS,
            max=THREADS,
            server_name="ratwall",
            request_queue_size=BACKLOG,
            timeout=IDLE_S,
        )
        self.keep_alive_conn_limit = CONNECTIONS
        self.max_request_header_size = HEADER_LIMIT
        self.max_request_body_size = config.body_limit
        self.use(certificate)
        self._listener = listener
        self._present: Counter[str] = Counter()
        self._present_lock = threading.Lock()
        self.turns: Turns[PatientConnection] = Turns(THREADS_PER_ADDRESS, super().process_conn)

    def use(self, certificate: ServerCertificate) -> None:
        """Show this certificate to new connections; on an error the one before stays."""
        adapter = PatientAdapter(str(certificate.certificate), str(certificate.key))
        adapter.context.sslsocket_class = DeadlineSocket
        self.ssl_adapter = adapter

    def bind(self, family: int, type: int, proto: int = 0) -> socket.socket:
        """Take the socket that is open already."""
        self.socket = self._listener
        return self._listener

    def process_conn(self, conn: PatientConnection) -> None:
        """Give a connection that has something to say to a worker; let a new one wait for it."""
        if conn.last_used is not None:
            self.turns.ask(conn.remote_addr, conn)
        elif self._enter(conn.remote_addr):
            conn.counted = True
            self.put_conn(conn)
        else:
            conn.close()

    def stop(self) -> None:
        """End the workers, and close what still waits for one."""
        for conn in self.turns.clear():
            conn.close()
        super().stop()

    def leave(self, address: str) -> None:
        """Count one connection of `address` less."""
        with self._present_lock:
            self._present[address] -= 1
            if self._present[address] <= 0:
                del self._present[address]

    def _enter(self, address: str) -> bool:
        with self._present_lock:
            full = self._present.total() >= CONNECTIONS
            if full or self._present[address] >= CONNECTIONS_PER_ADDRESS:
                return False
            self._present[address] += 1
            return True


def open_socket(host: str, port: int) -> socket.socket:
    """Listen on HOST:PORT; RatwallError says why that is not possible."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        both = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
        # create_server also lets a restarted page have its port back at once (SO_REUSEADDR).
        listener = socket.create_server(
            address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both
        )
    except OSError as error:
        # The resolver's numbers are negative and have texts of their own.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise RatwallError(
            f"--listen {place(host, port)}: {reason}; is another admin page running there, "
            "or is the address not this machine's?"
        ) from error
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def inherited_socket() -> socket.socket | None:
    """Return the listening socket that systemd or the supervisor passed, or None.

    cheroot would take descriptor 3 as IPv4 whenever LISTEN_PID is set at all; here the protocol
    is followed: LISTEN_FDS says how many, LISTEN_PID (when there) for whom, and both are removed.
    """
    passed = os.environ.pop("LISTEN_FDS", "0")
    meant_for = os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if passed == "0" or meant_for not in ("", str(os.getpid())):
        return None
    if passed != "1":
        raise RatwallError(f"one listening socket is expected in LISTEN_FDS; {passed} were passed")
    try:
        listener = socket.socket(fileno=FIRST_PASSED_DESCRIPTOR)
    except OSError as error:
        raise RatwallError(
            f"LISTEN_FDS=1, but descriptor {FIRST_PASSED_DESCRIPTOR} is no socket: {error}"
        ) from error
    if listener.family not in (socket.AF_INET, socket.AF_INET6):
        raise RatwallError("the socket passed in LISTEN_FDS must be TCP over IPv4 or IPv6")
    listener.set_inheritable(False)
    return listener
