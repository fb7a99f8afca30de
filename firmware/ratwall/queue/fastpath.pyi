"""What the compiled fast path offers; see fastpath.pyx."""

from collections import OrderedDict
from collections.abc import Callable, Container
from typing import Any

SLOW: int
CAPACITY: int
LIKENESS_LIMIT: int

# Report of the first of its kind; device, its port, hardware address, UTC microseconds.
Repeated = tuple[dict[str, Any], bytes, int, bytes | None, int]

class Seen:
    """A connection on the fast path, as far as it has come."""

    key: bytes
    device: bytes
    device_port: int
    server: bytes
    server_port: int
    datagrams: list[tuple[bool, bytes]]
    hello: bytes | None
    server_hello: bytes | None
    leaf: bytes | None
    chain: int
    resumed: bool
    judged: int
    judged_at: int
    final: int
    first_seen: int
    last_seen: int
    settled: bool
    hardware_address: bytes | None
    @property
    def likeness(self) -> bytes | None: ...

class FastPath:
    """The connections on it; `offer` it each packet before the slow path."""

    enforce: bool
    watched: Container[bytes]
    taken: int
    repeated: list[Repeated]
    def __init__(
        self,
        *,
        lan: int,
        to_inspect: int,
        class_mask: int,
        shift: int,
        enforce: bool,
        known: Container[bytes],
        judge: Callable[[Seen], int],
        spill: Callable[[Seen], None],
        clock: Callable[[], int] | None,
        repeats: OrderedDict[bytes, tuple[int, dict[str, Any]]],
        doubtful: Container[bytes],
    ) -> None: ...
    def take_repeated(self) -> list[Repeated]: ...
    def __len__(self) -> int: ...
    def offer(
        self, datagram: bytes, mark: int, hardware_address: Callable[[], bytes | None]
    ) -> int: ...
    def leave(self, key: bytes) -> Seen | None: ...

class QueueReader:
    """Reads a queue's socket, answers what the fast path decides, and returns the rest."""

    left: int
    def __init__(self, descriptor: int, size: int, path: FastPath) -> None: ...
    def feed(self, watchdog: int, notice: bytes, seconds: float) -> None: ...
    def wait(self, seconds: float, other: int) -> tuple[bool, bool]: ...
    def hasten(self, seconds: float) -> None: ...
    def recv(self, size: int) -> bytes: ...
