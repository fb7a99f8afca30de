"""Tells whoever watches that the packet loop turns: systemd, or the guard of `ratwall run`.

The protocol is sd_notify(3). It never waits: a feed that finds no room is left out, since others
are still waiting to be read. Without NOTIFY_SOCKET it does nothing.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

# A turn of the loop takes 0.2 s at most, so this feeds at every turn, and with the compiled loop a
# little more often: four may be late within the second.
FEED_SECONDS = 0.19
NOTICE = b"WATCHDOG=1"


class Heartbeat:
    """Call `beat` from the packet loop, once a turn."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._socket: socket.socket | None = None
        self._fed = float("-inf")
        name = environment.get("NOTIFY_SOCKET")
        if name:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            self._address = f"\0{name[1:]}" if name.startswith("@") else name
            with suppress(OSError):  # nobody listens yet: each notice is addressed anyway
                self._socket.connect(self._address)

    def fileno(self) -> int | None:
        """Return a descriptor to send notices to, None if nobody wants any."""
        return None if self._socket is None else self._socket.fileno()

    def ready(self) -> None:
        """Say that the work can begin."""
        self._send(b"READY=1")

    def beat(self, now: float) -> None:
        """Feed the watchdog if it is time; `now` is monotonic seconds."""
        if now - self._fed >= FEED_SECONDS:
            self._fed = now
            self._send(NOTICE)

    def stopping(self) -> None:
        """Say that the silence to come is meant."""
        self._send(b"STOPPING=1")

    def close(self) -> None:
        """Leave."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, notice: bytes) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(notice, self._address)
        except OSError:
            # Full, or the watcher is being restarted: the next beat is due in a moment, and what
            # does not reach it for a second ends in a restart of this process, not in silence.
            return
