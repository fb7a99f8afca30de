"""What the receivers share of the network: sockets with time-outs, TLS that is always verified.

Never goes on without a check that was asked for: a certificate that does not fit is an error in
words, and nothing is sent.
"""

import fcntl
import socket
import ssl
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ratwall.export.courier import DeliveryError

CONNECT_SECONDS: Final = 10.0  # a server behind two slow links answers within three
SEND_SECONDS: Final = 20.0  # for a batch; a receiver that takes longer is told again later
ANSWER_SECONDS: Final = 20.0  # for a whole request; a server that takes longer is asked again later
SECRET_LIMIT: Final = 4096  # bytes of a file with a secret


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that checks name and issuer; DeliveryError if `ca_file` cannot be used."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise DeliveryError(f"ca_file {ca_file} cannot be used: {words(error)}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def connect(host: str, port: int) -> socket.socket:
    """Return a TCP connection that notices within SEND_SECONDS that the other end is gone."""
    try:
        connection = socket.create_connection((host, port), CONNECT_SECONDS)
    except OSError as error:
        raise DeliveryError(f"{host} port {port} cannot be reached: {words(error)}") from error
    milliseconds = int(SEND_SECONDS * 1000)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.settimeout(SEND_SECONDS)
    return connection


def secured(connection: socket.socket, host: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return the connection with TLS on it; DeliveryError if the server is not who it should be."""
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except (OSError, ValueError) as error:
        connection.close()
        raise DeliveryError(f"{host}: no TLS with it: {words(error)}") from error


def has_arrived(connection: socket.socket) -> bool:
    """Say whether the other end's kernel has all that was sent; DeliveryError if it hung up."""
    connection.setblocking(False)
    try:
        if not connection.recv(4096):
            raise DeliveryError("the server closed the connection")
    except (BlockingIOError, ssl.SSLWantReadError):
        pass  # nothing to read, as it should be
    except OSError as error:
        raise DeliveryError(f"the connection broke: {words(error)}") from error
    finally:
        connection.settimeout(SEND_SECONDS)
    # SIOCOUTQ (tcp(7)): bytes that the other end has not acknowledged.
    waiting = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    return bool(struct.unpack("=i", waiting)[0] == 0)


def secret(path: str) -> str:
    """Return the secret in a file, without its line end; DeliveryError if there is none.

    Read anew for each connection, so that it can be changed in place. It is never told of.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(SECRET_LIMIT + 1)
    except OSError as error:
        raise DeliveryError(f"{path} cannot be read: {error.strerror}") from error
    try:
        found = text.decode().strip("\r\n")
    except UnicodeDecodeError:
        found = ""
    if not found or len(text) > SECRET_LIMIT:
        raise DeliveryError(f"{path}: expected one line of text, at most {SECRET_LIMIT} bytes")
    return found


@contextmanager
def bounded(connection: Callable[[], socket.socket], seconds: float) -> Iterator[threading.Event]:
    """Cut the connection when its time is over, and say so: a server can dribble where no time-out
    looks. `connection` gives the one that is in use: TLS takes the place of what is below it."""
    over = threading.Event()

    def cut() -> None:
        over.set()
        with suppress(OSError):  # it has ended by itself
            socket.socket.shutdown(connection(), socket.SHUT_RDWR)  # below TLS: it is in use

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield over
    finally:
        timer.cancel()


def words(error: BaseException) -> str:
    """Say what went wrong without numbers that help nobody."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
