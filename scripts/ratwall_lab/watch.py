"""A witness on the wire of one namespace: every TCP segment there, without its content.

It sits on an AF_PACKET socket, below netfilter, so it sees what reached the namespace and not what
some rule made of it. It never sends. Design note: it keeps sizes, flags and times, and is the judge
of "the SYN did not reach the server" and "not one byte of payload reached the server". Whoever asks
reads first what waits in the socket, so that an answer is never older than the question.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ratwall_lab.namespaces import Host

ETH_P_ALL = 0x0003
ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
PACKET_OUTGOING = 4  # linux/if_packet.h
SNAP_BYTES = 65535
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
SEGMENT_LIMIT = 200_000  # memory of a test that forgot to stop
# Of the kernel, beyond what it allows anybody: a transfer beside it shall not push a SYN out.
BUFFER_BYTES, SO_RCVBUFFORCE = 32_000_000, 33
TURN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class SeenSegment:
    """One segment: monotonic time, direction, endpoints, TCP flags and sequence, payload bytes."""

    at: float
    outgoing: bool
    source: str
    source_port: int
    destination: str
    destination_port: int
    flags: int
    sequence: int
    payload: int


class SegmentWatch:
    """Watches one host, a context manager; without `port` every TCP segment is kept."""

    def __init__(self, host: Host, port: int | None = None) -> None:
        self.segments: list[SeenSegment] = []
        self._host, self._port = host, port
        self._stop, self._reading = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="lab watch")

    def __enter__(self) -> Self:
        with self._host.enter():
            self._socket = socket.socket(
                socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)
            )
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        self._socket.setblocking(False)
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
        self._read()
        self._socket.close()

    def arrived(self, port: int, *, since: float = 0.0) -> list[SeenSegment]:
        """Return the segments that came in for a port, not before `since` (monotonic)."""
        self._read()
        return [
            one
            for one in list(self.segments)
            if not one.outgoing and one.destination_port == port and one.at >= since
        ]

    def syns(self, port: int, *, since: float = 0.0) -> int:
        """Count the SYNs that came in for a port."""
        return sum(bool(one.flags & SYN) for one in self.arrived(port, since=since))

    def payload(self, port: int, *, since: float = 0.0) -> int:
        """Count the bytes of payload that came in for a port, retransmissions included."""
        return sum(one.payload for one in self.arrived(port, since=since))

    def _watch(self) -> None:
        while not self._stop.is_set() and len(self.segments) < SEGMENT_LIMIT:
            if select.select([self._socket], [], [], TURN_SECONDS)[0]:
                self._read()

    def _read(self) -> None:
        """Take in all that has come so far."""
        with self._reading:
            while self._socket.fileno() >= 0 and len(self.segments) < SEGMENT_LIMIT:
                try:
                    data, address = self._socket.recvfrom(SNAP_BYTES)
                except BlockingIOError:
                    return
                seen = read_segment(data, address[1], address[2] == PACKET_OUTGOING)
                if seen and self._port in (None, seen.source_port, seen.destination_port):
                    self.segments.append(seen)


def read_segment(data: bytes, protocol: int, outgoing: bool) -> SeenSegment | None:
    """Read the headers of one datagram (`protocol` is its EtherType); None if it is not TCP."""
    if protocol == ETH_P_IP and data[9] == socket.IPPROTO_TCP:
        header = (data[0] & 15) * 4
        total = int.from_bytes(data[2:4])
        family, source, destination = socket.AF_INET, data[12:16], data[16:20]
    elif protocol == ETH_P_IPV6 and data[6] == socket.IPPROTO_TCP:
        header, total = 40, 40 + int.from_bytes(data[4:6])
        family, source, destination = socket.AF_INET6, data[8:24], data[24:40]
    else:
        return None
    tcp = data[header:]
    return SeenSegment(
        time.monotonic(),
        outgoing,
        socket.inet_ntop(family, source),
        int.from_bytes(tcp[0:2]),
        socket.inet_ntop(family, destination),
        int.from_bytes(tcp[2:4]),
        tcp[13],
        int.from_bytes(tcp[4:8]),
        total - header - (tcp[12] >> 4) * 4,
    )
