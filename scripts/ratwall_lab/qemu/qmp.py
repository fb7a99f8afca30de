"""QEMU's control socket (QMP): one command, one answer, events kept aside.

It knows no command's meaning. Design note: a dozen lines of a synchronous client, because the
published one is asynchronous and a test waits for every answer anyway.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ratwall_lab.qemu.errors import MachineError

ANSWER_SECONDS = 30.0  # a command is answered at once, unless the machine that runs QEMU is not
LINE_LIMIT = 1 << 20  # bytes of one answer; the longest that is asked for here has some thousand


class Qmp:
    """A connection to a QEMU that listens on a unix socket; a context manager."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_SECONDS)
        self._socket.connect(str(path))
        self._pending = b""
        self._read()  # the greeting
        self.execute("qmp_capabilities")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave QEMU alone."""
        self._socket.close()

    def execute(self, command: str, **arguments: object) -> Any:
        """Run one command and return its answer; MachineError with QEMU's complaint."""
        message = {"execute": command, "arguments": arguments}
        self._socket.sendall(json.dumps(message).encode() + b"\n")
        while True:
            answer = self._read()
            if "error" in answer:
                raise MachineError(f"QEMU: {command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

    def _read(self) -> dict[str, Any]:
        while b"\n" not in self._pending:
            part = self._socket.recv(65536)
            if not part or len(self._pending) > LINE_LIMIT:
                raise MachineError("QEMU closed its control socket")
            self._pending += part
        line, _, self._pending = self._pending.partition(b"\n")
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise MachineError(f"QEMU said {line[:80]!r}")
        return answer
