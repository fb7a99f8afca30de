"""The bounded table of the connections being watched.

Both directions of a connection find the same entry. When it is full, the entry untouched longest
makes room; how often that happened is counted, because such a connection went unjudged.
"""

from collections import OrderedDict
from collections.abc import ItemsView, KeysView
from typing import Generic, TypeVar

from ratwall.wire.packet import Segment

Value = TypeVar("Value")


def flow_key(segment: Segment) -> bytes:
    """The connection's two endpoints as bytes, the same for either direction."""
    one = segment.source + segment.source_port.to_bytes(2, "big")
    other = segment.destination + segment.destination_port.to_bytes(2, "big")
    return one + other if one < other else other + one


class FlowTable(Generic[Value]):
    """At most `capacity` connections by key; the least recently used is evicted."""

    __slots__ = ("_entries", "capacity", "evicted")

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"flow table of {capacity} entries, at least 1 needed")
        self.capacity = capacity
        self.evicted = 0
        self._entries: OrderedDict[bytes, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def get(self, key: bytes) -> Value | None:
        """The entry, which becomes the most recently used; None when there is none."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, value: Value) -> Value | None:
        """Set the entry; return the one that had to make room, if any."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) <= self.capacity:
            return None
        self.evicted += 1
        return self._entries.popitem(last=False)[1]

    def pop(self, key: bytes) -> Value | None:
        """Take the entry out; None when there is none."""
        return self._entries.pop(key, None)

    def keys(self) -> KeysView[bytes]:
        """A live view of the keys."""
        return self._entries.keys()

    def items(self) -> ItemsView[bytes, Value]:
        """Every key with its entry, least recently used first."""
        return self._entries.items()

    def values(self) -> list[Value]:
        """Every entry, least recently used first."""
        return list(self._entries.values())
