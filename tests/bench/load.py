"""The bench's traffic: a bulk transfer and TLS handshakes, one process each, figures as JSON.

    load.py sink ADDRESS PORT                     accept one transfer after another
    load.py serve ADDRESS PORT CHAIN KEY VERSION  shake hands with one client after another
    load.py bulk ADDRESS PORT SECONDS             send for a time, print bytes per second
    load.py shake ADDRESS PORT NUMBER [ALPN,...]  handshake in sequence, print seconds of each
    load.py hands ADDRESS PORT                    handshake until ended, print when each was done

Runs inside the lab's namespaces only; every loop is bounded.
"""

import json
import socket
import ssl
import sys
import time
from contextlib import suppress

CHUNK = bytes(1 << 20)
TIMEOUT = 20.0
CONNECTIONS = 1_000_000  # more than any bench makes
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def sink(address: str, port: int) -> None:
    buffer = bytearray(1 << 20)
    with socket.create_server((address, port)) as listener:
        print("ready", flush=True)
        for _ in range(CONNECTIONS):
            connection, _ = listener.accept()
            with connection:
                total = 0
                while got := connection.recv_into(buffer):
                    total += got
                connection.sendall(total.to_bytes(8))


def serve(address: str, port: int, chain: str, key: str, version: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    context.num_tickets = 0  # a handshake and nothing after it
    with socket.create_server((address, port), backlog=256) as listener:
        print("ready", flush=True)
        for _ in range(CONNECTIONS):
            connection, _ = listener.accept()
            connection.settimeout(TIMEOUT)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(100)


def bulk(address: str, port: int, seconds: float) -> float:
    with socket.create_connection((address, port), TIMEOUT) as connection:
        started = time.monotonic()
        while time.monotonic() < started + seconds:
            connection.sendall(CHUNK)
        connection.shutdown(socket.SHUT_WR)
        received = int.from_bytes(connection.recv(8, socket.MSG_WAITALL))
        return received / (time.monotonic() - started)


def client_context(protocols: list[str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def handshake(address: str, port: int, context: ssl.SSLContext) -> float:
    started = time.monotonic()
    with (
        socket.create_connection((address, port), TIMEOUT) as connection,
        context.wrap_socket(connection, server_hostname="shop.example"),
    ):
        return time.monotonic() - started


def shake(address: str, port: int, number: int, protocols: list[str]) -> list[float]:
    context = client_context(protocols)
    return [handshake(address, port, context) for _ in range(number)]


def hands(address: str, port: int) -> None:
    context = client_context([])
    for _ in range(CONNECTIONS):
        handshake(address, port, context)
        print(time.monotonic(), flush=True)


def main(arguments: list[str]) -> None:
    match arguments:
        case ["sink", address, port]:
            sink(address, int(port))
        case ["serve", address, port, chain, key, version]:
            serve(address, int(port), chain, key, version)
        case ["bulk", address, port, seconds]:
            print(json.dumps(bulk(address, int(port), float(seconds))))
        case ["shake", address, port, number, *protocols]:
            names = protocols[0].split(",") if protocols else []
            print(json.dumps(shake(address, int(port), int(number), names)))
        case ["hands", address, port]:
            hands(address, int(port))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
