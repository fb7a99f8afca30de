"""The inspector's end of the reports socket.

A report never delays a verdict: sending does not block, what does not fit waits in a bounded line,
and what does not fit there is lost and counted. A controller that is away is looked for again once
a second.

One JSON object per packet of a SOCK_SEQPACKET socket: a flow's record, or the worker's counters; a
record may be a pattern, with a line behind it for each connection like it. In the other direction
come verdict memory, allowed certificates and the mode.
"""

import json
import logging
import socket
from collections import deque
from pathlib import Path
from typing import Any

from ratwall.reports.gathering import encode

LINE_LENGTH = 4096  # reports kept while the controller is away: some 8 MB at 2 KB each
RETRY_SECONDS = 1.0
MESSAGE_LIMIT = (
    262_144  # bytes of one message in either direction; a long chain of evidence is 4 KB
)
MESSAGES_PER_PUMP = 64  # read in one go, so that the packets get their turn

log = logging.getLogger(__name__)


class ReportChannel:
    """Reports out, instructions in; call `pump` from the packet loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._waiting: deque[bytes] = deque()
        self._retry_at = 0.0
        self.lost = 0

    def fileno(self) -> int | None:
        """Return the descriptor to poll for reading, None while not connected."""
        return None if self._socket is None else self._socket.fileno()

    @property
    def behind(self) -> bool:
        """Whether reports wait for room, or for a controller."""
        return bool(self._waiting) or self._socket is None

    def report(self, message: dict[str, Any]) -> None:
        """Send a message now or as soon as there is room; lose and count it if there is none."""
        self.send(encode(message))

    def send(self, *messages: bytes) -> None:
        """The same for messages that are encoded already."""
        for data in messages:
            if len(self._waiting) >= LINE_LENGTH or len(data) > MESSAGE_LIMIT:
                self.lost += max(1, data.count(b"\n"))  # a line for each connection of a pattern
            else:
                self._waiting.append(data)
        self._flush()

    def pump(self, now: float) -> list[dict[str, Any]]:
        """Connect if need be, send what waits, return what has come; `now` is monotonic seconds."""
        if self._socket is None:
            if now < self._retry_at:
                return []
            self._retry_at = now + RETRY_SECONDS
            self._connect()
        self._flush()
        return self._receive()

    def close(self) -> None:
        """Leave the controller."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> None:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        channel.setblocking(False)
        try:
            channel.connect(str(self._path))
        except OSError:
            # Not there yet, or restarting: `lost` and the controller's own state tell of it.
            channel.close()
            return
        self._socket = channel

    def _flush(self) -> None:
        while self._socket is not None and self._waiting:
            try:
                self._socket.send(self._waiting[0])
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            self._waiting.popleft()

    def _receive(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        for _ in range(MESSAGES_PER_PUMP):
            if self._socket is None:
                break
            try:
                data = self._socket.recv(MESSAGE_LIMIT)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.close()
                break
            message = _parse(data)
            if message is not None:
                messages.append(message)
        return messages


def _parse(data: bytes) -> dict[str, Any] | None:
    """Return the object in one message; None, and a warning, for what is cut short or no object.

    Inspection goes on without it: whatever the controller meant, it must not end protection.
    """
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as error:
        log.warning("dropped a message of %d bytes from the controller: %s", len(data), error)
        return None
    if not isinstance(message, dict):
        log.warning("dropped a message of %d bytes from the controller: no object", len(data))
        return None
    return message
