"""Whose turn it is: no address holds more than its share of the worker threads.

Never looks at what a connection says. A client can hold a worker in many ways (half a handshake,
half a request, an answer that it does not read), each until its deadline; here this holds up its
own address only. What is over the share waits in line, in the order in which it came.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Generic, TypeVar

Work = TypeVar("Work")


class Turns(Generic[Work]):
    """At most `share` pieces of work of one address at a time; `start` hands one to a worker.

    The lines are bounded by whoever asks: a connection asks once until its turn has ended.
    """

    def __init__(self, share: int, start: Callable[[Work], None]) -> None:
        self._share = share
        self._start = start
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self._lines: dict[str, deque[Work]] = {}

    def ask(self, address: str, work: Work) -> None:
        """Start `work` now, or when one of the same address has ended."""
        with self._lock:
            if self._running[address] >= self._share:
                self._lines.setdefault(address, deque()).append(work)
                return
            self._running[address] += 1
        self._start(work)

    def end(self, address: str) -> None:
        """Pass the turn of a piece of work that has ended on to the next in line."""
        with self._lock:
            line = self._lines.get(address)
            if line is None:
                self._running[address] -= 1
                if not self._running[address]:
                    del self._running[address]
                return
            work = line.popleft()
            if not line:
                del self._lines[address]
        self._start(work)

    def clear(self) -> list[Work]:
        """Return all that waits, and let none of it start any more."""
        with self._lock:
            waiting = [work for line in self._lines.values() for work in line]
            self._lines.clear()
        return waiting
