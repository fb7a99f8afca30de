"""Reports of what passes, kept for a moment and told together; what is cut never waits here.

A connection that is like one before it (same program, same name, same answer) is told in one short
line behind the report of the first, its pattern: who it was, from where, and when. A message stands
for itself, so that one that is lost takes no other with it.

Pure: the clock is handed in, and whoever calls `take` sends.
"""

import json
from collections import OrderedDict
from typing import Any

# How late what passes may be told. The controller itself looks twenty times a second.
GATHER_SECONDS = 0.05
TOGETHER_LIMIT = 64  # connections of one message: some 5 KB
PATTERNS_KEPT = 512  # encoded once, 1 MB: as many kinds as an inspector keeps in mind

Report = dict[str, Any]
Line = tuple[str, int, str | None, int]  # client, its port, hardware address, start in UTC µs


class Gathering:
    """Messages in the making; `due` once something waits and its time has come."""

    def __init__(self, worker: int) -> None:
        """`worker` is the inspector's number, which every report carries."""
        self._worker = worker
        self._messages: list[list[bytes]] = []
        self._open: dict[int, list[bytes]] = {}  # by pattern: messages that have room
        self._patterns: OrderedDict[int, tuple[Report, bytes]] = OrderedDict()
        self._waiting = 0
        self._due_at = 0.0

    @property
    def waiting(self) -> bool:
        """Whether anything is to be told."""
        return bool(self._messages)

    def due(self, now: float) -> bool:
        """Say whether it is time to tell what waits; `now` is monotonic seconds."""
        return bool(self._messages) and (now >= self._due_at or self._waiting >= TOGETHER_LIMIT)

    def left(self, now: float) -> float:
        """Return in how many seconds that will be; only of use while something waits."""
        return max(0.0, self._due_at - now)

    def add(self, report: Report, now: float) -> None:
        """Keep the report of one connection."""
        self._begin([encode({**report, "worker": self._worker})], now)

    def add_like(self, pattern: Report, line: Line, now: float) -> None:
        """Keep that there was a connection like the one that `pattern` is the report of."""
        text = json.dumps(line, separators=(",", ":")).encode()
        message = self._open.get(id(pattern))
        if message is None:
            message = self._open[id(pattern)] = [self._head(pattern)]
            self._begin(message, now)
        else:
            self._waiting += 1
        message.append(text)
        if len(message) > TOGETHER_LIMIT:
            del self._open[id(pattern)]

    def take(self) -> list[bytes]:
        """Return the messages, oldest first, and begin anew."""
        messages, self._messages = self._messages, []
        self._open.clear()
        self._waiting = 0
        return [b"\n".join(message) for message in messages]

    def _begin(self, message: list[bytes], now: float) -> None:
        if not self._messages:
            self._due_at = now + GATHER_SECONDS
        self._messages.append(message)
        self._waiting += 1

    def _head(self, pattern: Report) -> bytes:
        """Return a pattern as the first line of a message; always the same bytes for the same."""
        known = self._patterns.get(id(pattern))
        if known is not None:  # and kept, so that no other object can have its number
            return known[1]
        head = encode({**pattern, "type": "flows", "worker": self._worker})
        self._patterns[id(pattern)] = pattern, head
        if len(self._patterns) > PATTERNS_KEPT:
            number, _ = self._patterns.popitem(last=False)
            self._open.pop(number, None)
        return head


def encode(message: Report) -> bytes:
    """Return a message in one line."""
    return json.dumps(message, separators=(",", ":")).encode()
