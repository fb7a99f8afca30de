"""A bounded table from which whoever has the least evidence leaves first.

Pure. Anybody on the internet can be tried once, and a scan tries thousands: were the one untouched
longest to leave, a beacon that is quiet for a minute would leave for them.

Design note: who comes has no evidence yet, and would leave at once where all others have some. So
the lowest rank leaves only while it fills its share of the table; up to that it is the next one's
turn. A rank is a small number, so who leaves is found without looking at all.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

SHARE: Final = 2  # half of the table is for newcomers: at 400 new ones a second five seconds long

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(slots=True)
class _Held(Generic[Value]):
    value: Value
    rank: int
    at: int


class Ranked(Generic[Key, Value]):
    """At most `limit` values by key; times are microseconds of one clock."""

    def __init__(self, limit: int, rank: Callable[[Value], int], stale: int) -> None:
        """`rank` says how much a value tells; what was not touched for `stale` leaves first."""
        self._limit = limit
        self._rank = rank
        self._stale = stale
        self._held: dict[Key, _Held[Value]] = {}
        # The same by rank, the one touched longest ago first.
        self._levels: dict[int, OrderedDict[Key, None]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: Key) -> bool:
        return key in self._held

    def __iter__(self) -> Iterator[Key]:
        return iter(self._held)

    def get(self, key: Key) -> Value | None:
        """Return a value, None if there is none; that touches nothing."""
        held = self._held.get(key)
        return None if held is None else held.value

    def items(self) -> Iterator[tuple[Key, Value]]:
        """Yield all there is."""
        return ((key, held.value) for key, held in self._held.items())

    def values(self) -> Iterator[Value]:
        """Yield all values."""
        return (held.value for held in self._held.values())

    def put(self, key: Key, value: Value, at: int) -> None:
        """Take a value in, or take note that it has changed, at a time."""
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = _Held(value, self._rank(value), at)
        else:
            self._leave_level(key, held.rank)
            held.value, held.rank, held.at = value, self._rank(value), max(held.at, at)
        level = self._levels.get(held.rank)
        if level is None:
            level = self._levels[held.rank] = OrderedDict()
        level[key] = None
        if len(self._held) > self._limit:
            self.pop(self._least(key, at))

    def pop(self, key: Key) -> Value | None:
        """Take a value out; None if there was none."""
        held = self._held.pop(key, None)
        if held is None:
            return None
        self._leave_level(key, held.rank)
        return held.value

    def clock_set(self, by: int) -> None:
        """Move all times: the clock was set."""
        for held in self._held.values():
            held.at += by

    def forget_stale(self, now: int) -> None:
        """Let go of what has not been touched for so long."""
        for rank in list(self._levels):
            while (level := self._levels.get(rank)) is not None:
                oldest = next(iter(level))
                if now - self._held[oldest].at < self._stale:
                    break
                self.pop(oldest)

    def _least(self, newest: Key, now: int) -> Key:
        """Return who leaves for the newest: what is stale, else of the lowest rank that fills its
        share, else of the next."""
        heads = [(rank, next(iter(self._levels[rank]))) for rank in sorted(self._levels)]
        for _, key in heads:
            if now - self._held[key].at >= self._stale:
                return key
        others = [(rank, key) for rank, key in heads if key != newest]
        lowest, key = others[0]
        fills = len(self._levels[lowest]) > self._limit // SHARE
        return key if fills or len(others) == 1 or lowest != heads[0][0] else others[1][1]

    def _leave_level(self, key: Key, rank: int) -> None:
        level = self._levels[rank]
        del level[key]
        if not level:
            del self._levels[rank]
