"""Where the controller knocks to have a self-test run, under `ratwall run`.

Never waits for it: the test tells the controller its result itself, as `ratwall selftest` does when
a person runs it. One at a time; whoever knocks meanwhile is told so.
"""

import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ratwall.controller.sockets import SELFTEST_BEGUN, close_door, listen, peer_of

BUSY = b"busy\n"
END_SECONDS = 5.0  # from SIGTERM to SIGKILL: it takes its cables away


class SelfTester:
    """A listening socket for root and one group, and the test that runs."""

    def __init__(self, path: Path, group: int | None, argv: Sequence[str]) -> None:
        """`argv` runs one self-test and tells the controller."""
        self._group = group
        self._argv = argv
        self._process: subprocess.Popen[bytes] | None = None
        self._server = listen(path, socket.SOCK_STREAM, group)

    def fileno(self) -> int:
        """Return the descriptor that is readable when somebody knocks."""
        return self._server.fileno()

    def accept(self) -> None:
        """Begin a self-test for who knocks, if he may ask and none runs."""
        try:
            connection, _ = self._server.accept()
        except OSError:  # he has left again
            return
        with connection, suppress(OSError):
            if not peer_of(connection).may_enter(self._group):
                return
            if self._process is not None and self._process.poll() is None:
                connection.send(BUSY)
                return
            # What it prints is for a person at a terminal; there is none.
            self._process = subprocess.Popen(
                self._argv, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
            connection.send(SELFTEST_BEGUN)

    def close(self) -> None:
        """Leave, and end the test that runs."""
        close_door(self._server)
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
