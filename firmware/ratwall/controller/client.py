"""Asks the running controller: one request, one answer, over its command socket.

Used by the command line and by the page. Never retries: a change that was perhaps made must not be
made twice.
"""

import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from ratwall.errors import NotPermittedError, NotRunningError, RatwallError, UsageError

TIMEOUT_SECONDS = 30.0  # the kernel's tools may take 20 s on a loaded box
# The controller's kinds of refusal, by the exit code that the answer carries.
REFUSALS = {kind.exit_code: kind for kind in (UsageError, NotPermittedError)}
ANSWER_LIMIT = 8 * 1024 * 1024  # bytes; the longest answer, a full status, has a few KB


class Client:
    """The controller whose command socket is at `path`, `<state>/run/control.sock`."""

    def __init__(self, path: Path, timeout: float = TIMEOUT_SECONDS) -> None:
        """`timeout` is how many seconds each step of an exchange may take."""
        self.path = path
        self._timeout = timeout

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Return the result of a command.

        NotRunningError if nobody answers, NotPermittedError if the socket is closed to us,
        UsageError, NotPermittedError or RatwallError with the controller's own words if it refuses.
        """
        request = json.dumps({"command": command, **arguments}).encode() + b"\n"
        answer = json.loads(self._exchange(request))
        if not answer["ok"]:
            raise REFUSALS.get(answer.get("code"), RatwallError)(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def _exchange(self, request: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._timeout)
            try:
                connection.connect(str(self.path))
                with suppress(BrokenPipeError):  # refused before it was read: the answer says why
                    connection.sendall(request)
                return self._read_line(connection)
            except (FileNotFoundError, ConnectionRefusedError) as error:
                raise NotRunningError(
                    f"{self.path}: Ratwall is not running; start it with: ratwall run"
                ) from error
            except PermissionError as error:
                raise NotPermittedError(f"{self.path}: not permitted; run this as root") from error
            except TimeoutError as error:
                raise NotRunningError(
                    f"{self.path}: no answer within {self._timeout:g} s"
                ) from error
            except OSError as error:
                raise NotRunningError(f"{self.path}: {error.strerror}") from error

    def _read_line(self, connection: socket.socket) -> bytes:
        answer = b""
        while not answer.endswith(b"\n"):
            data = connection.recv(65_536)
            if not data:
                raise NotRunningError(f"{self.path}: Ratwall closed the connection unanswered")
            answer += data
            if len(answer) > ANSWER_LIMIT:
                raise RatwallError(f"{self.path}: an answer longer than {ANSWER_LIMIT} bytes")
        return answer
