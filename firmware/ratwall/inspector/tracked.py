"""The connections that an inspector has in hand, bounded in number and in bytes.

It never decides anything. A connection is read until it is judged; what is kept afterwards is its
class, for the rest of a burst, and the two numbers that a reset needs.

Both bounds hold whatever the peers send: a full table drops the connection untouched longest, too
many bytes drop the one that holds most. What was dropped unjudged is counted, and read from its
middle on when its next segment comes.
"""

from collections import OrderedDict
from collections.abc import KeysView
from dataclasses import dataclass

from ratwall.flow.connection import Connection
from ratwall.flow.table import FlowTable
from ratwall.kernel.marks import FlowClass

# Being read at one time: a connection is here from its first payload to its certificate, half a
# second mostly. One that is read takes some 3 KB besides the bytes below, one that is judged a
# tenth of that.
CAPACITY = 4096
# Kept back of all connections, out of order or of messages that are not whole yet: a hundred
# flights of the largest kind. A single connection can hold 0.5 MB at most.
HELD_LIMIT = 8 * 1024 * 1024
UNJUDGED_LIMIT = 100  # listed; 6 KB of a status report
IDLE_US = 60_000_000  # nothing for a minute: retransmission has given up on a handshake by then
# The rest of a burst is decided right behind the segment that judged it. A packet without a class
# that comes later is of a connection whose class was taken away: it is to be read again.
BURST_US = 200_000


@dataclass(slots=True)
class Tracked:
    """A connection, seen from the packet path; addresses packed, network order."""

    connection: Connection | None  # None as soon as it is judged
    device: bytes
    device_port: int
    server: bytes
    server_port: int
    hardware_address: str | None = None
    last_seen: int = 0  # UTC microseconds
    # The first packet known came from the internet, perhaps out of the blue: until the office has
    # said something, what it shows proves nothing.
    begun_outside: bool = False
    settled: bool = False  # the kernel has saved our class on its conntrack entry
    judged: FlowClass | None = None  # the class it will get once the client has taken note ...
    judged_at: int | None = None  # ... of all that the server had said by then (sequence number)
    final: FlowClass | None = None  # the rest of a burst gets the class that its connection got
    alone: bool = False  # cut, but its endpoint is not blocked
    unheard: bool = False  # it got its class before its client had said anything
    held: int = 0  # bytes, when last weighed
    server_expects: int | None = None  # of a connection that is cut: the numbers for a reset
    client_expects: int | None = None

    def is_over(self, packet_class: FlowClass, now: int) -> bool:
        """Say whether a packet with this class on its conntrack entry begins another connection.

        The same two ports are used again when a connection has ended; then the entry in the
        kernel is a new one, without a class. As long as it has one, a pause means nothing. And
        where a connection was given up, the client's hello begins it anew.
        """
        if packet_class is FlowClass.NONE:
            pause = IDLE_US if self.final is None else BURST_US
            return self.settled or now - self.last_seen > pause
        return packet_class is FlowClass.OBSERVED


class TrackedTable:
    """All of them, by `flow_key`."""

    __slots__ = ("_held_limit", "_table", "evicted", "held", "unjudged")

    def __init__(self, capacity: int = CAPACITY, held_limit: int = HELD_LIMIT) -> None:
        self._table: FlowTable[Tracked] = FlowTable(capacity)
        self._held_limit = held_limit
        self.held = 0  # bytes kept back, all connections together
        self.evicted = 0  # connections that left unjudged to make room
        # The newest of them by (device, server, port): a flood of one kind leaves room for others.
        self.unjudged: OrderedDict[tuple[bytes, bytes, int], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, key: bytes) -> bool:
        return key in self._table

    def keys(self) -> KeysView[bytes]:
        """Return a live view of the keys."""
        return self._table.keys()

    def get(self, key: bytes) -> Tracked | None:
        """Return the connection with a key, which becomes the most recently used."""
        return self._table.get(key)

    def begin(self, key: bytes, tracked: Tracked) -> None:
        """Take a connection in, in place of an older one with its key perhaps."""
        older = self._table.pop(key)
        if older is not None:
            self.held -= older.held
        evicted = self._table.put(key, tracked)
        if evicted is not None:
            self._drop(evicted)

    def weigh(self, tracked: Tracked) -> None:
        """Take note of what a connection in the table holds now."""
        held = 0 if tracked.connection is None else tracked.connection.held
        self.held += held - tracked.held
        tracked.held = held
        while self.held > self._held_limit:
            key, heaviest = max(self._table.items(), key=lambda item: item[1].held)
            self._table.pop(key)
            self._drop(heaviest)

    def _drop(self, tracked: Tracked) -> None:
        self.held -= tracked.held
        if tracked.final is not None:
            return
        self.evicted += 1
        ends = (tracked.device, tracked.server, tracked.server_port)
        self.unjudged[ends] = None
        self.unjudged.move_to_end(ends)
        if len(self.unjudged) > UNJUDGED_LIMIT:
            self.unjudged.popitem(last=False)
