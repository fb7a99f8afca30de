"""A page that many tabs ask for every two seconds, drawn once for all of them.

Only for what is the same for everybody who sees it in one language: nothing that belongs to a
session or a form may be in it. Whoever changed something draws it anew, and all see that.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """What was made last for each key, for so many seconds."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, T]] = {}

    def get(self, key: str, make: Callable[[], T]) -> T:
        """Return what is kept, else what `make` makes; who comes meanwhile waits for that."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and self._clock() - kept[0] < self._seconds:
                return kept[1]
            return self._make(key, make)

    def renew(self, key: str, make: Callable[[], T]) -> T:
        """Make it anew, also for the others."""
        with self._lock:
            self._kept.clear()  # in another language it is as old
            return self._make(key, make)

    def _make(self, key: str, make: Callable[[], T]) -> T:
        made = make()
        self._kept[key] = (self._clock(), made)
        return made
