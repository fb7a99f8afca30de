"""A TCP server in user space: it puts the pieces of a flight on the wire exactly as it was told.

It answers one connection after the other: SYN, the client's hello, then the pieces, then it
retransmits what was not acknowledged until the client has all of it, somebody resets, or time is
up. It never keeps the client's bytes: it counts them. Design note: it listens on an AF_PACKET
socket, which sees segments before netfilter does, while an nft table of its own in the lab's
namespace hides the port from the kernel's TCP, which would answer with a RST.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from scapy.layers.inet import IP, TCP, IPOption_NOP, fragment
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    PadN,
    fragment6,
)
from scapy.packet import Packet

from ratwall_lab.endpoint import PATIENCE_SECONDS, RECORD_HEADER_LENGTH
from ratwall_lab.flight import MSS, Piece, Way
from ratwall_lab.namespaces import Host, run_tool
from ratwall_lab.watch import ETH_P_IP, ETH_P_IPV6, PACKET_OUTGOING, SNAP_BYTES

RETRANSMIT_SECONDS = 0.2  # Linux' least
GIVE_UP_SECONDS = 15.0  # from the SYN, and from the last piece; on a busy machine too
WINDOW = 65535
INITIAL_SEQUENCE = 0xFFFFFF00  # the flight runs over the end of the sequence numbers
SEQUENCE_SPACE = 1 << 32
STAMP, OLD_STAMP = 2_000_000, 1_000_000  # time stamps of this server; the second is long past
EARLY = 1_000_000  # bytes that the client never said
FLAGS = {Way.NO_ACK: "P", Way.URGENT: "PAU"}
FRAGMENT_BYTES = 64
IPV6_OVERHEAD = 48  # fragment6() counts the headers

HIDE = """
table inet {table} {{
    chain input {{
        type filter hook input priority -300;
        {family} daddr {address} tcp dport {port} drop
    }}
}}
"""


@dataclass(slots=True)
class FlightVisit:
    """One connection as the server saw it; times are monotonic seconds."""

    opened: float
    hello_bytes: int = 0
    bytes_after_hello: int = 0
    acknowledged: int = 0  # bytes of the flight that the client has
    reset: float | None = None  # when a RST came
    finished: float | None = None  # when a FIN came
    over: threading.Event = field(default_factory=threading.Event)


class FlightServer:
    """Plays `pieces` to every client that says hello; a context manager, up on entry."""

    def __init__(
        self,
        host: Host,
        address: str,
        port: int,
        pieces: Sequence[Piece],
        *,
        content: bytes | None = None,
        before_hello: Sequence[Piece] = (),
        gap_seconds: float = 0.0002,
    ) -> None:
        """`content`: what is sent again where it is missing (default: the first copy of every
        byte in the pieces); `before_hello`: pieces sent as soon as the connection stands."""
        self.host, self.address, self.port = host, address, port
        self.visits: list[FlightVisit] = []
        self._pieces, self._gap, self._early = list(pieces), gap_seconds, list(before_hello)
        self._content = assembled(pieces) if content is None else content
        self._length = len(self._content)
        self._version = 6 if ":" in address else 4
        self._table = f"lab_flight_{port}_{self._version}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="lab flight server")

    def __enter__(self) -> Self:
        family = "ip6" if self._version == 6 else "ip"
        rules = HIDE.format(table=self._table, family=family, address=self.address, port=self.port)
        run_tool(self.host.argv(["nft", "-f", "-"]), text=rules)
        kind = socket.AF_INET6 if self._version == 6 else socket.AF_INET
        protocol = ETH_P_IPV6 if self._version == 6 else ETH_P_IP
        with self.host.enter():
            self._ears = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(protocol))
            # IPPROTO_RAW: we write the IP header ourselves, in both families.
            self._mouth = socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._ears.close()
        self._mouth.close()
        run_tool(self.host.argv(["nft", "delete", "table", "inet", self._table]))

    def wait_visit(self, timeout: float = PATIENCE_SECONDS) -> FlightVisit:
        """Wait until the last connection is over and return what was seen of it."""
        deadline = time.monotonic() + timeout
        while not self.visits:
            if time.monotonic() > deadline:
                raise TimeoutError("no client came")
            time.sleep(0.005)
        visit = self.visits[-1]
        if not visit.over.wait(max(0.0, deadline - time.monotonic())):
            raise TimeoutError(f"the visit is not over after {timeout} s")
        return visit

    # -- one connection after the other --------------------------------------------------------

    def _serve(self) -> None:
        while not self._stop.is_set():
            segment = self._hear(0.1)
            if segment is not None and segment[TCP].flags == "S":
                _Conversation(self, segment).run()

    def _hear(self, timeout: float) -> Packet | None:
        """Return the next segment for our port, or None when nothing came in time."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            self._ears.settimeout(left)
            try:
                data, source = self._ears.recvfrom(SNAP_BYTES)
            except TimeoutError:
                return None
            if source[2] == PACKET_OUTGOING:
                continue
            packet = (IPv6 if self._version == 6 else IP)(data)
            if TCP in packet and packet.dst == self.address and packet[TCP].dport == self.port:
                return packet
        return None


class _Conversation:
    """The server's side of one connection."""

    def __init__(self, server: FlightServer, syn: Packet) -> None:
        self._server = server
        self._client, self._client_port = syn.src, syn[TCP].sport
        self._hello = bytearray(bytes(syn[TCP].payload))  # of a Fast Open
        self._next = (syn[TCP].seq + 1 + len(self._hello)) % SEQUENCE_SPACE  # the client's next
        stamps = dict(syn[TCP].options).get("Timestamp")
        self._stamped = stamps is not None
        self._client_stamp = stamps[0] if stamps is not None else 0
        self._visit = FlightVisit(time.monotonic())
        server.visits.append(self._visit)

    def run(self) -> None:
        server, visit = self._server, self._visit
        deadline = visit.opened + GIVE_UP_SECONDS
        played = repairing = False
        self._send(INITIAL_SEQUENCE, b"", "SA", options=[("MSS", MSS)])
        for piece in server._early:
            self._send_piece(piece)
        while time.monotonic() < deadline and not server._stop.is_set():
            if not played and self._hello_complete():
                visit.hello_bytes, played = len(self._hello), True
                self._play()
                deadline = time.monotonic() + GIVE_UP_SECONDS
            segment = server._hear(RETRANSMIT_SECONDS)
            if segment is None:
                repairing = played and visit.acknowledged < server._length
                if repairing:
                    self._retransmit()
                continue
            if segment[TCP].sport != self._client_port or segment.src != self._client:
                continue
            before = visit.acknowledged
            if not self._take(segment[TCP]):
                break
            if repairing and before < visit.acknowledged < server._length:
                self._retransmit()  # the next gap, without waiting again
        visit.over.set()

    def _play(self) -> None:
        for piece in self._server._pieces:
            self._send_piece(piece)
            time.sleep(self._server._gap)

    def _take(self, segment: TCP) -> bool:
        """Take one segment of the client; False when it ends the connection."""
        if segment.flags.R:
            self._visit.reset = time.monotonic()
            return False
        if segment.flags.A:
            got = (segment.ack - INITIAL_SEQUENCE - 1) % SEQUENCE_SPACE
            if got <= self._server._length:
                stamp = dict(segment.options).get("Timestamp")
                self._client_stamp = stamp[0] if stamp is not None else 0
                self._visit.acknowledged = max(self._visit.acknowledged, got)
        payload = bytes(segment.payload)
        if payload and segment.seq == self._next:
            if self._hello_complete():
                self._visit.bytes_after_hello += len(payload)
            else:
                self._hello += payload
            self._next = (self._next + len(payload)) % SEQUENCE_SPACE
            self._send(self._flight_sequence(self._visit.acknowledged), b"", "A")
        if segment.flags.F:
            self._visit.finished = time.monotonic()
            return False
        return True

    def _hello_complete(self) -> bool:
        hello = self._hello
        length = RECORD_HEADER_LENGTH + int.from_bytes(hello[3:RECORD_HEADER_LENGTH])
        return len(hello) >= max(length, RECORD_HEADER_LENGTH)

    def _retransmit(self) -> None:
        start = self._visit.acknowledged
        self._send_piece(Piece(start, self._server._content[start : start + MSS]))

    def _send_piece(self, piece: Piece) -> None:
        self._send(self._flight_sequence(piece.start), piece.data, "PA", piece.way)

    def _flight_sequence(self, position: int) -> int:
        return (INITIAL_SEQUENCE + 1 + position) % SEQUENCE_SPACE

    def _send(
        self,
        sequence: int,
        data: bytes,
        flags: str,
        way: Way = Way.PLAIN,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        server = self._server
        if self._stamped:
            stamp = OLD_STAMP if way is Way.OLD_TIMESTAMP else STAMP
            options = [*options, ("Timestamp", (stamp, self._client_stamp))]
        acknowledged = self._next + (EARLY if way is Way.EARLY_ACK else 0)
        segment = TCP(
            sport=server.port,
            dport=self._client_port,
            seq=sequence,
            ack=acknowledged % SEQUENCE_SPACE,
            flags=FLAGS.get(way, flags),
            urgptr=len(data) if way is Way.URGENT else 0,
            window=WINDOW,
            options=list(options),
        )
        ends = {"src": server.address, "dst": self._client}
        for datagram in _datagrams(server._version, ends, segment / data, way):
            server._mouth.sendto(datagram, (self._client, 0))


def _datagrams(version: int, ends: dict[str, str], segment: Packet, way: Way) -> list[bytes]:
    """Put a segment into IP, whole or in fragments, plain or behind options."""
    if version == 4:
        options = [IPOption_NOP()] * 4 if way is Way.EXTENDED else []
        head: Packet = IP(**ends, options=options)
    else:
        head = IPv6(**ends)
        if way is Way.EXTENDED:
            head = head / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0\0\0\0")])
    whole = head / segment
    if way is Way.BAD_CHECKSUM:
        whole = (IP if version == 4 else IPv6)(bytes(whole))  # with every checksum filled in
        whole[TCP].chksum ^= 0x5555
        return [bytes(whole)]
    if way is not Way.FRAGMENTS:
        return [bytes(whole)]
    if version == 4:
        whole[IP].id = random.randrange(1, 1 << 16)  # of raw sockets the kernel fills in a 0
        return [bytes(part) for part in fragment(whole, FRAGMENT_BYTES)]
    parted = IPv6(**ends) / IPv6ExtHdrFragment(id=random.randrange(1 << 32)) / segment
    return [bytes(part) for part in fragment6(parted, FRAGMENT_BYTES + IPV6_OVERHEAD)]


def assembled(pieces: Sequence[Piece]) -> bytes:
    """Return the flight as a receiver that keeps the first copy of every byte has it."""
    content = bytearray(max(piece.start + len(piece.data) for piece in pieces))
    for piece in reversed(pieces):
        content[piece.start : piece.start + len(piece.data)] = piece.data
    return bytes(content)
