"""Cleartext before TLS: the dialogues of proxies and of mail, both sides, over a connected socket.

Each side leaves the socket where TLS begins. The proxies connect nobody: what would be the server
behind them is played by the same process. They never do more of a protocol than it takes to get to
TLS. Design note: each reads to the end of what the other says (a line, an empty line, a length), as
real programs do, so that segments come in the order and the number that they come in.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

Side = Callable[[socket.socket], None]

TARGET = ("shop.example", 443)
TARGET_IPV4 = bytes((203, 0, 113, 99))
MESSAGE_LIMIT = 4096  # bytes of one message: these dialogues have none that is longer


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What both sides do before TLS; `name` is what Ratwall calls it."""

    name: str
    client: Side
    server: Side
    proxied: bool  # the far end is a proxy's


def _read_to(connection: socket.socket, end: bytes) -> bytes:
    """Read up to and with `end`; ConnectionError if it does not come."""
    data = bytearray()
    while not data.endswith(end):
        part = connection.recv(1)
        if not part or len(data) >= MESSAGE_LIMIT:
            raise ConnectionError(f"no {end!r} in {bytes(data[:80])!r}")
        data += part
    return bytes(data)


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError(f"{len(data)} of {size} bytes")
        data += part
    return data


def _ask(connection: socket.socket, line: bytes, answer: bytes) -> None:
    """Say a line and read the answer's lines up to one that begins with `answer`."""
    connection.sendall(line + b"\r\n")
    while not _read_to(connection, b"\r\n").startswith(answer):
        pass


def _connect_client(connection: socket.socket) -> None:
    host, port = TARGET
    request = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
    connection.sendall(request.encode())
    assert b" 200 " in _read_to(connection, b"\r\n\r\n")


def _connect_server(connection: socket.socket) -> None:
    assert _read_to(connection, b"\r\n\r\n").startswith(b"CONNECT ")
    connection.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 lab\r\n\r\n")


def _socks4_client(connection: socket.socket) -> None:
    port = TARGET[1].to_bytes(2, "big")
    connection.sendall(b"\x04\x01" + port + TARGET_IPV4 + b"anna\0")
    assert _read(connection, 8)[:2] == b"\x00\x5a"


def _socks4_server(connection: socket.socket) -> None:
    assert _read(connection, 8)[:2] == b"\x04\x01"
    _read_to(connection, b"\0")  # the user's name
    connection.sendall(b"\x00\x5a" + bytes(6))


def _socks5_client(connection: socket.socket) -> None:
    connection.sendall(b"\x05\x02\x00\x02")  # no password, or one
    assert _read(connection, 2) == b"\x05\x02"
    connection.sendall(b"\x01\x04anna\x04anna")  # RFC 1929
    assert _read(connection, 2) == b"\x01\x00"
    host, port = TARGET
    name = bytes((len(host),)) + host.encode()
    connection.sendall(b"\x05\x01\x00\x03" + name + port.to_bytes(2, "big"))
    assert _read(connection, 10)[:2] == b"\x05\x00"


def _socks5_server(connection: socket.socket) -> None:
    _read(connection, _read(connection, 2)[1])
    connection.sendall(b"\x05\x02")
    _read(connection, _read(connection, 2)[1])  # the version, and the name behind its length
    _read(connection, _read(connection, 1)[0])  # the password behind its
    connection.sendall(b"\x01\x00")
    _read(connection, _read(connection, 5)[4] + 2)
    connection.sendall(b"\x05\x00\x00\x01" + bytes(6))


def _smtp_client(connection: socket.socket) -> None:
    assert _read_to(connection, b"\r\n").startswith(b"220 ")
    _ask(connection, b"EHLO anna.example", b"250 ")
    _ask(connection, b"STARTTLS", b"220 ")


def _smtp_server(connection: socket.socket) -> None:
    connection.sendall(b"220 mail.example ESMTP\r\n")
    assert _read_to(connection, b"\r\n").startswith(b"EHLO ")
    for line in (b"250-mail.example", b"250-SIZE 35882577", b"250-8BITMIME", b"250 STARTTLS"):
        connection.sendall(line + b"\r\n")
    assert _read_to(connection, b"\r\n") == b"STARTTLS\r\n"
    connection.sendall(b"220 Ready to start TLS\r\n")


def _imap_client(connection: socket.socket) -> None:
    assert _read_to(connection, b"\r\n").startswith(b"* OK ")
    _ask(connection, b"a1 CAPABILITY", b"a1 OK ")
    _ask(connection, b"a2 STARTTLS", b"a2 OK ")


def _imap_server(connection: socket.socket) -> None:
    connection.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] mail.example ready\r\n")
    assert _read_to(connection, b"\r\n") == b"a1 CAPABILITY\r\n"
    connection.sendall(b"* CAPABILITY IMAP4rev1 STARTTLS\r\na1 OK done\r\n")
    assert _read_to(connection, b"\r\n") == b"a2 STARTTLS\r\n"
    connection.sendall(b"a2 OK begin TLS\r\n")


def _ftp_client(connection: socket.socket) -> None:
    while not _read_to(connection, b"\r\n").startswith(b"220 "):
        pass
    _ask(connection, b"AUTH TLS", b"234 ")


def _ftp_server(connection: socket.socket) -> None:
    connection.sendall(b"220-files.example\r\n")
    connection.sendall(b"220 ready\r\n")
    assert _read_to(connection, b"\r\n") == b"AUTH TLS\r\n"
    connection.sendall(b"234 AUTH TLS successful\r\n")


# A database greets with bytes, and anything may be among them.
MYSQL_GREETING = b"\x4a\0\0\0\x0a8.0.36\0" + bytes(range(0x0B, 0x4B))
MYSQL_SSL_REQUEST = b"\x20\0\0\x01\x05\xae\x03\0" + bytes(28)


def _mysql_client(connection: socket.socket) -> None:
    assert _read(connection, len(MYSQL_GREETING)) == MYSQL_GREETING
    connection.sendall(MYSQL_SSL_REQUEST)


def _mysql_server(connection: socket.socket) -> None:
    connection.sendall(MYSQL_GREETING)
    assert _read(connection, len(MYSQL_SSL_REQUEST)) == MYSQL_SSL_REQUEST


BANNER = b"220 VMware Authentication Daemon Version 1.10: SSL Required\r\n"


def _banner_client(connection: socket.socket) -> None:
    assert _read_to(connection, b"\r\n") == BANNER


def _banner_server(connection: socket.socket) -> None:
    """Greet; the client's first word is its hello."""
    connection.sendall(BANNER)


DIALOGUES = (
    Dialogue("HTTP CONNECT", _connect_client, _connect_server, proxied=True),
    Dialogue("SOCKS4", _socks4_client, _socks4_server, proxied=True),
    Dialogue("SOCKS5", _socks5_client, _socks5_server, proxied=True),
    Dialogue("SMTP STARTTLS", _smtp_client, _smtp_server, proxied=False),
    Dialogue("IMAP STARTTLS", _imap_client, _imap_server, proxied=False),
    Dialogue("FTP AUTH TLS", _ftp_client, _ftp_server, proxied=False),
    Dialogue("cleartext", _mysql_client, _mysql_server, proxied=False),
    Dialogue("SMTP STARTTLS", _banner_client, _banner_server, proxied=False),  # as it looks
)
