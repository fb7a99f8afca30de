"""Hands connections from this machine on to an address inside a namespace; bytes both ways.

It never reads what it carries. Both ends and the number of connections are bounded.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from ratwall_lab.namespaces import Host

CONNECT_SECONDS = 10.0
IDLE_SECONDS = 300.0  # the page holds a connection open for its live figures
CONNECTIONS = 64  # one browser opens a handful
PIECE = 65536


class Relay:
    """One port of this machine, relayed to `address`:`port` as `host` reaches it."""

    def __init__(self, listener: socket.socket, host: Host, address: str, port: int) -> None:
        self._listener, self._host, self._target = listener, host, (address, port)
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        threading.Thread(target=self._accept, name="lab relay", daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # the listener was closed
            if not self._places.acquire(blocking=False):
                near.close()
                continue
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        try:
            with near, suppress(OSError):
                with self._host.enter():
                    far = socket.create_connection(self._target, timeout=CONNECT_SECONDS)
                with far:
                    near.settimeout(IDLE_SECONDS)
                    far.settimeout(IDLE_SECONDS)
                    back = threading.Thread(target=_pump, args=(far, near), daemon=True)
                    back.start()
                    _pump(near, far)
                    back.join()
        finally:
            self._places.release()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(PIECE):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
