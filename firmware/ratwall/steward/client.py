"""Asks the steward: one order, one answer, one connection. The controller's end.

It waits as long as for one of the kernel's tools: systemd starts the steward first. A box without
the image has no steward, and the refusal says so.
"""

import json
import socket
from pathlib import Path

from ratwall.errors import RatwallError
from ratwall.steward.order import Order

SOCKET = Path("/run/ratwall/steward.sock")
TIMEOUT_SECONDS = 20.0  # starting Python on a busy box takes some; as long as nft may take
ANSWER_LIMIT = 4_096  # bytes
WORDS_LIMIT = 400


class StewardError(RatwallError):
    """The steward is not there, or refused; nothing was done."""


class Steward:
    """The steward whose socket is at `path`."""

    def __init__(self, path: Path = SOCKET, timeout: float = TIMEOUT_SECONDS) -> None:
        self._path = path
        self._timeout = timeout

    @property
    def is_there(self) -> bool:
        """Say whether this machine has one."""
        return self._path.is_socket()

    def ask(self, order: Order) -> None:
        """Have an order begun; StewardError with the reason if it is not."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._timeout)
            try:
                connection.connect(str(self._path))
                connection.sendall(order.line())
                answer = self._read(connection)
            except TimeoutError as error:
                raise StewardError(
                    f"{order.verb}: no answer within {self._timeout:.0f} s; whether it was begun is"
                    " not known"
                ) from error
            except OSError as error:
                raise StewardError(
                    f"{order.verb}: this is only on a box started from Ratwall's own image"
                    f" ({self._path}: {error.strerror})"
                ) from error
        try:
            found = json.loads(answer)
            refusal = None if found["ok"] is True else str(found["error"])[:WORDS_LIMIT]
        except (ValueError, KeyError, TypeError) as wrong:
            raise StewardError(f"{order.verb}: the steward broke off; see the box's log") from wrong
        if refusal is not None:
            raise StewardError(refusal)

    @staticmethod
    def _read(connection: socket.socket) -> bytes:
        answer = b""
        while len(answer) <= ANSWER_LIMIT and (part := connection.recv(ANSWER_LIMIT)):
            answer += part
        return answer
