"""The whole path as a game: arbitrary packets, a kernel that keeps classes, a client that reads.

The client is the worst there is: it may lose or ignore any segment that was let through, and where
two copies of a byte reach it, it takes the one that it likes. It acknowledges what it has read. The
one rule: it never gets to read the flight of a RAT as far as the end of the certificate, or if the
server would not wait for its hello, nothing that comes after it.
"""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fuzz.seeds import (
    ACK,
    CLIENT_PORT,
    CLIENT_START,
    SERVER_START,
    SYN_ACK,
    datagram,
    leaf,
)
from ratwall.inspector.inspector import Inspector
from ratwall.inspector.tracked import CAPACITY, HELD_LIMIT
from ratwall.kernel.marks import FlowClass, Marks
from ratwall.queue.binding import QueuedPacket, Release
from ratwall.selftest.flight import canned_handshake
from ratwall.signatures.pack import load_packs
from ratwall.verdict.judge import Thresholds
from ratwall.verdict.memory import VerdictMemory
from ratwall.wire.packet import parse_segment
from ratwall.wire.reassembly import ISLAND_LIMIT, OUT_OF_ORDER_LIMIT

MARKS = Marks()
FOREIGN = 0x00000042  # of the packet mark: somebody else's bits
SIDES = {True: MARKS.lan, False: MARKS.wan}
# Classes with which the kernel queues a connection's packets no longer.
FREED = (FlowClass.CLEAN, FlowClass.OBSERVED, FlowClass.EXEMPT)
SYN, RST = 0x02, 0x04
START = 1_700_000_000_000_000

packs = cache(load_packs)


@cache
def certificate_end() -> int:
    """Where in the flight the certificate ends."""
    flight = canned_handshake().server_flight
    return flight.index(leaf()) + len(leaf())


@dataclass
class Client:
    """What of the server's bytes has arrived, every copy that was not lost."""

    copies: dict[int, set[int]] = field(default_factory=dict)
    read: int = 0  # bytes in order

    def take(self, position: int, data: bytes) -> None:
        for offset, byte in enumerate(data):
            if position + offset >= self.read:
                self.copies.setdefault(position + offset, set()).add(byte)
        while self.read in self.copies:
            self.read += 1

    def can_have_read(self, text: bytes) -> bool:
        """Whether some choice of copies reads like this."""
        return all(byte in self.copies.get(at, ()) for at, byte in enumerate(text))


class Game:
    """One connection through one inspector; every packet gets exactly one release."""

    def __init__(self, version: int = 4, *, fast: bool = True) -> None:
        """`fast`: with the fast path, where it is compiled."""
        self.reports: list[dict[str, Any]] = []
        self.now = START
        self.inspector = Inspector(
            packs(),
            Thresholds(),
            MARKS,
            enforce=True,
            memory=VerdictMemory(),
            report=self.reports.append,
            clock=lambda: self.now,
            fast=fast,
        )
        self.version = version
        self.port = CLIENT_PORT
        self.kernel = FlowClass.NONE
        self.client = Client()
        self.said = 0  # bytes that the client has said
        self.greeted = False
        self.last: int | None = None  # how much it will ever read

    def hello(self, fast_open: bool = False) -> None:
        """The client says hello, in its SYN perhaps, which is then answered."""
        if not fast_open:
            self.speak(canned_handshake().client_hello)
        elif self.said == 0 and self.kernel is FlowClass.NONE:
            said = canned_handshake().client_hello
            self.said = len(said)
            self._send(True, datagram(True, CLIENT_START - 1, 0, said, SYN, self.version))
            self.serve(0, b"", flags=SYN_ACK)
        self.greeted = True
        if self._has_read_certificate():
            self.last = self.client.read

    def speak(self, data: bytes) -> None:
        """The client says something and acknowledges what it has read."""
        start, self.said = self.said, self.said + len(data)
        self._send(
            True,
            datagram(
                True,
                CLIENT_START + start,
                SERVER_START + self.client.read,
                data,
                version=self.version,
                client_port=self.port,
            ),
        )

    def serve(
        self,
        position: int,
        data: bytes,
        *,
        flags: int = ACK,
        checksum_error: int = 0,
        lost: bool = False,
        stray: bool = False,
    ) -> None:
        """The server says something at a place of its flight; `lost`: the client never reads it."""
        raw = datagram(
            False,
            SERVER_START + position - (flags == SYN_ACK),
            CLIENT_START + self.said,
            data,
            flags,
            self.version,
            checksum_error,
        )
        let_through = self._send(False, raw, stray=stray)
        if let_through is None or lost or checksum_error or stray:
            return
        segment = parse_segment(let_through)
        if segment is not None and not segment.flags & RST:
            blocked = self.kernel is FlowClass.BLOCK
            self.client.take(position, segment.payload)
            assert not blocked, "a cut connection lets nothing through"
            self.check_client()

    def raw(self, from_client: bool, data: bytes) -> None:
        """Bytes that are hardly a datagram, and of no connection."""
        mark = FOREIGN | SIDES[from_client] | MARKS.to_inspect
        self._check(data, self.inspector.decide(QueuedPacket(data, mark, lambda: None)))

    def _send(self, from_client: bool, data: bytes, *, stray: bool = False) -> bytes | None:
        """Let a packet pass the kernel and, if need be, the inspector; what comes out."""
        if self.kernel is FlowClass.BLOCK:
            return None  # refused, or a second reset
        hello = from_client and self.kernel is FlowClass.OBSERVED and begins_with_hello(data)
        if self.kernel in FREED and not hello:
            return data
        mark = FOREIGN | SIDES[from_client] | MARKS.to_inspect
        on_packet = FlowClass.STRAY if stray else self.kernel
        mark |= MARKS.of(on_packet)
        release = self.inspector.decide(QueuedPacket(data, mark, lambda: None))
        self._check(data, release)
        if release.drop:
            return None
        flow_class = MARKS.class_of(release.mark)
        if flow_class is not FlowClass.NONE:
            self.kernel = flow_class
        return data if release.datagram is None else release.datagram

    def _check(self, data: bytes, release: Release) -> None:
        assert release.datagram is None or len(release.datagram) == len(data)
        assert release.mark & ~MARKS.mask == FOREIGN
        assert not release.mark & MARKS.to_inspect
        table = self.inspector._table
        assert len(table) <= CAPACITY
        assert 0 <= table.held <= HELD_LIMIT
        for _, tracked in table._table.items():
            if tracked.connection is not None:
                for stream in (tracked.connection._client, tracked.connection._server):
                    assert stream.buffered <= OUT_OF_ORDER_LIMIT * 2
                    assert len(stream._islands) <= ISLAND_LIMIT + 2

    def check_client(self) -> None:
        """The one rule."""
        if self.last is not None:
            assert self.client.read == self.last, "the end of a handshake got through"
        elif self.greeted and self.kernel is not FlowClass.BLOCK:
            assert not self._has_read_certificate(), "the certificate got through"

    def _has_read_certificate(self) -> bool:
        if self.client.read < certificate_end():
            return False
        flight = canned_handshake().server_flight[: certificate_end()]
        return self.client.can_have_read(flight)


def begins_with_hello(data: bytes) -> bool:
    """What the kernel looks for on a connection that was given up."""
    segment = parse_segment(data)
    return segment is not None and segment.payload[:2] + segment.payload[5:6] == b"\x16\x03\x01"
