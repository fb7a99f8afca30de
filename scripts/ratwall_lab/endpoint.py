"""One end of a TLS connection that knows what went over the wire: records, bytes, and how it ended.

TLS itself is OpenSSL's, through memory buffers, so that every byte passes through our hands and
can be counted. It never decides what to say. Design note: counting at this place, and not in the
application, is what lets a test claim "no byte of application data reached the server": the log
also holds records that OpenSSL has not decrypted.
"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

RECORD_HEADER_LENGTH = 5  # type, version, length: RFC 8446 section 5.1
APPLICATION_DATA = 23
READ_SIZE = 65536
# For what is sure to come: a busy machine may take its time, and only a failure takes all of it.
PATIENCE_SECONDS = 30.0


class End(StrEnum):
    """How a connection came to its end, seen from one side."""

    CLOSED = "closed"  # the other side said goodbye
    RESET = "reset"  # ECONNRESET or EPIPE: a RST arrived
    REFUSED = "refused"  # a RST answered the SYN
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    TLS = "tls"  # OpenSSL would not go on
    STOPPED = "stopped"  # the lab itself ended it


def end_of(error: OSError) -> End:
    """Say what an error of a socket or of OpenSSL means for the connection."""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return End.CLOSED
    if isinstance(error, ssl.SSLError):
        return End.TLS
    if isinstance(error, TimeoutError):
        return End.TIMEOUT
    if error.errno == errno.ECONNREFUSED:
        return End.REFUSED
    if error.errno in (errno.ECONNRESET, errno.EPIPE):
        return End.RESET
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return End.UNREACHABLE
    if error.errno in (errno.EBADF, errno.EINVAL, errno.ENOTCONN):
        return End.STOPPED
    raise error


@dataclass(frozen=True, slots=True)
class Record:
    """One TLS record: when its header was complete (monotonic seconds), its type and length."""

    at: float
    content_type: int
    version: int
    length: int


@dataclass(slots=True)
class RecordLog:
    """The records of one direction, read from the raw stream."""

    records: list[Record] = field(default_factory=list)
    raw_bytes: int = 0
    _pending: bytearray = field(default_factory=bytearray)
    _skip: int = 0

    def feed(self, data: bytes) -> None:
        """Take the next raw bytes of the direction."""
        self.raw_bytes += len(data)
        position = 0
        while position < len(data):
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
            else:
                step = min(RECORD_HEADER_LENGTH - len(self._pending), len(data) - position)
                self._pending += data[position : position + step]
                if len(self._pending) == RECORD_HEADER_LENGTH:
                    self._header_complete()
            position += step

    def lengths(self, content_type: int = APPLICATION_DATA) -> list[int]:
        """Return the lengths of the records of one type, in order."""
        return [one.length for one in self.records if one.content_type == content_type]

    def _header_complete(self) -> None:
        header = bytes(self._pending)
        self._pending.clear()
        self._skip = int.from_bytes(header[3:5])
        version = int.from_bytes(header[1:3])
        self.records.append(Record(time.monotonic(), header[0], version, self._skip))


class PlainEndpoint:
    """The same without TLS: bytes over a connected socket, counted."""

    version: str | None = None
    resumed = False

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received, self.sent = RecordLog(), RecordLog()
        self.application_bytes = 0

    def handshake(self) -> None:
        """Do nothing: plain TCP has none."""

    def send(self, *parts: bytes) -> None:
        """Send the parts one after the other."""
        for part in parts:
            self.sent.raw_bytes += len(part)
            self.connection.sendall(part)

    def receive(self, size: int = READ_SIZE) -> bytes:
        """Return the next bytes, at most `size`; empty at the end of the stream."""
        data = self.connection.recv(size)
        self.received.raw_bytes += len(data)
        self.application_bytes += len(data)
        return data

    def receive_exactly(self, size: int) -> bytes:
        """Return exactly `size` bytes; SSLEOFError when the stream ends before."""
        return _receive_exactly(self.receive, size)

    def close(self) -> None:
        """Close the socket."""
        self.connection.close()


class TlsEndpoint:
    """TLS over a connected socket, either side; errors are those of sockets and of `ssl`."""

    def __init__(
        self,
        connection: socket.socket,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_name: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.connection = connection
        self.received, self.sent = RecordLog(), RecordLog()
        self.application_bytes = 0  # decrypted bytes that came in
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_side,
            server_hostname=server_name,
            session=session,
        )

    @property
    def version(self) -> str | None:
        """The negotiated version as OpenSSL writes it ("TLSv1.2"), None before the handshake."""
        return self._tls.version()

    @property
    def session(self) -> ssl.SSLSession | None:
        """The session to resume later (complete once data came in, under TLS 1.3)."""
        return self._tls.session

    @property
    def resumed(self) -> bool:
        """Whether this connection resumed an earlier session."""
        return bool(self._tls.session_reused)

    def peer_certificate(self) -> bytes | None:
        """Return the other side's leaf as DER."""
        return self._tls.getpeercert(binary_form=True)

    def handshake(self) -> None:
        """Complete the handshake."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            except ssl.SSLError:
                self._flush()  # the alert that says why
                raise
            else:
                self._flush()
                return

    def send(self, *parts: bytes) -> None:
        """Send each part as a record of its own, all of them in one write to the socket."""
        for part in parts:
            self._tls.write(part)
        self._flush()

    def receive(self, size: int = READ_SIZE) -> bytes:
        """Return the next decrypted bytes, at most `size`; empty at the end of the stream."""
        while True:
            try:
                data = self._tls.read(size)
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            except ssl.SSLZeroReturnError:
                return b""
            else:
                self.application_bytes += len(data)
                return data

    def receive_exactly(self, size: int) -> bytes:
        """Return exactly `size` decrypted bytes; SSLEOFError when the stream ends before."""
        return _receive_exactly(self.receive, size)

    def close(self) -> None:
        """Say goodbye (close_notify) without waiting for the answer, and close the socket."""
        with suppress(ssl.SSLError, ValueError):
            # The other side's goodbye is not awaited; without a handshake there is none to say.
            self._tls.unwrap()
        with suppress(OSError):  # the connection may be gone already
            self._flush()
        self.connection.close()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self.sent.feed(data)
            self.connection.sendall(data)

    def _fill(self) -> None:
        data = self.connection.recv(READ_SIZE)
        if data:
            self.received.feed(data)
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


Endpoint = TlsEndpoint | PlainEndpoint


def _receive_exactly(receive: Callable[[int], bytes], size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = receive(size - len(data))
        if not part:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the stream ended inside a message")
        data += part
    return bytes(data)
