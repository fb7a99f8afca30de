"""One TCP exchange between the two hosts of the self-test, and what it proves.

Blocking sockets in one thread: the kernel does both sides' TCP, each in its own namespace. It never
looks at rules or sets; it only sees what a client and a server see.
"""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ratwall.selftest.flight import Handshake

# Two retransmissions of a SYN (1 s and 3 s) still fit: a box that has just booted loses the first.
CONNECT_SECONDS = 4.0
# Inspection takes milliseconds; a lost segment is sent again after 0.2, 0.4, 0.8 s.
ANSWER_SECONDS = 2.0
# What was on its way to the server when the client was reset is there by now.
SETTLE_SECONDS = 0.1

Inside = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether the handshake was cut as it must be, and the reason in plain words.

    `cause` is the same in one word: what a page says about it depends on that.
    """

    ok: bool
    cause: str
    reason: str


def exchange(
    handshake: Handshake, client_side: Inside, server_side: Inside, address: tuple[str, int]
) -> Outcome:
    """Say hello from the client's host, answer from the server's, and see what arrives."""
    with server_side():
        listener = socket.create_server(address)
    with listener:
        listener.settimeout(ANSWER_SECONDS)
        try:
            with client_side():
                client = socket.create_connection(address, timeout=CONNECT_SECONDS)
        except ConnectionRefusedError:
            return Outcome(False, "refused", "the connection was refused before the handshake")
        except OSError as error:
            return Outcome(
                False, "no_way", f"the box does not forward between the test hosts: {error}"
            )
        with client:
            server, _ = listener.accept()
            with server:
                return _handshake(handshake, client, server)


def _handshake(handshake: Handshake, client: socket.socket, server: socket.socket) -> Outcome:
    client.settimeout(ANSWER_SECONDS)
    server.settimeout(ANSWER_SECONDS)
    client.sendall(handshake.client_hello)
    try:
        hello = _receive(server, len(handshake.client_hello))
    except OSError as error:
        return Outcome(False, "no_way", f"the client's hello did not reach the server: {error}")
    if hello != handshake.client_hello:
        return Outcome(
            False, "altered", f"{len(hello)} bytes reached the server that are not the hello"
        )
    server.sendall(handshake.server_flight)
    try:
        flight = _receive(client, len(handshake.server_flight))
    except TimeoutError:
        return Outcome(
            False, "swallowed", "the server's answer was swallowed: the client was not reset"
        )
    except ConnectionResetError:
        flight = b""
    if len(flight) == len(handshake.server_flight):
        return Outcome(
            False,
            "passed",
            "the whole handshake passed: nothing cuts now (no inspector, or monitor mode)",
        )
    late = _late_bytes(server)
    if late:
        return Outcome(
            False, "late", f"{late} bytes of the client reached the server after its hello"
        )
    return Outcome(True, "cut", "a handshake with a RAT's certificate was cut before any data")


def _receive(side: socket.socket, size: int) -> bytes:
    """Return `size` bytes, fewer when the other side closed before."""
    data = b""
    while len(data) < size:
        part = side.recv(size - len(data))
        if not part:
            break
        data += part
    return data


def _late_bytes(server: socket.socket) -> int:
    server.settimeout(SETTLE_SECONDS)
    try:
        return len(server.recv(1))
    except (TimeoutError, ConnectionResetError):
        return 0
