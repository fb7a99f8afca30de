"""The bench's traffic: a bulk transfer and TLS handshakes, one process each, figures as JSON.

    python load.py sink ADDRESS PORT             accept one transfer after another
    python load.py bulk ADDRESS PORT SECONDS     send for a time, print bytes per second
    python load.py shake ADDRESS PORT NUMBER     handshake in sequence, print seconds of each

Runs inside the lab's namespaces only; every loop is bounded by its argument.
"""

import json
import socket
import ssl
import sys
import time

CHUNK = bytes(1 << 20)
TIMEOUT = 20.0
SINK_TRANSFERS = 1000


def sink(address: str, port: int) -> None:
    buffer = bytearray(1 << 20)
    with socket.create_server((address, port)) as listener:
        print("ready", flush=True)
        for _ in range(SINK_TRANSFERS):
            connection, _ = listener.accept()
            with connection:
                total = 0
                while got := connection.recv_into(buffer):
                    total += got
                connection.sendall(total.to_bytes(8))


def bulk(address: str, port: int, seconds: float) -> float:
    with socket.create_connection((address, port), TIMEOUT) as connection:
        started = time.monotonic()
        while time.monotonic() < started + seconds:
            connection.sendall(CHUNK)
        connection.shutdown(socket.SHUT_WR)
        received = int.from_bytes(connection.recv(8, socket.MSG_WAITALL))
        return received / (time.monotonic() - started)


def shake(address: str, port: int, number: int) -> list[float]:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    times = []
    for _ in range(number):
        started = time.monotonic()
        with (
            socket.create_connection((address, port), TIMEOUT) as connection,
            context.wrap_socket(connection, server_hostname="shop.example"),
        ):
            times.append(time.monotonic() - started)
    return times


def main(arguments: list[str]) -> None:
    match arguments:
        case ["sink", address, port]:
            sink(address, int(port))
        case ["bulk", address, port, seconds]:
            print(json.dumps(bulk(address, int(port), float(seconds))))
        case ["shake", address, port, number]:
            print(json.dumps(shake(address, int(port), int(number))))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
