"""What the compiled fast path offers; see fastpath.pyx."""

from collections.abc import Callable

SLOW: int
CAPACITY: int

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
    taken: int
    def __init__(
        self,
        *,
        lan: int,
        to_inspect: int,
        class_mask: int,
        shift: int,
        enforce: bool,
        known: Callable[[bytes], bool],
        judge: Callable[[Seen], int],
        spill: Callable[[Seen], None],
        clock: Callable[[], int],
    ) -> None: ...
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
