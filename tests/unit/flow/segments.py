"""Two peers that put a conversation into TCP segments, as the box sees them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ratwall.wire.packet import Segment, TcpFlag
from unit.wire.handshakes import Flights

CLIENT = (bytes((192, 0, 2, 10)), 50_000)
SERVER = (bytes((203, 0, 113, 7)), 6606)
MASK = 0xFFFF_FFFF

Sent = tuple[bool, Segment]  # from the client, and what it sent


@dataclass
class Wire:
    """Keeps the sequence numbers of both sides; they wrap soon, to be on the safe side."""

    numbers: dict[bool, int] = field(
        default_factory=lambda: {True: 0xFFFF_FFF0, False: 0xFFFF_FE00}
    )

    def segment(self, from_client: bool, payload: bytes, flags: int = TcpFlag.ACK) -> Sent:
        source, destination = (CLIENT, SERVER) if from_client else (SERVER, CLIENT)
        segment = Segment(
            version=4,
            source=source[0],
            destination=destination[0],
            source_port=source[1],
            destination_port=destination[1],
            sequence=self.numbers[from_client],
            acknowledgement=self.numbers[not from_client] if flags & TcpFlag.ACK else 0,
            flags=flags,
            payload=payload,
            ip_header_length=20,
            tcp_header_length=20,
            datagram_length=40 + len(payload),
        )
        taken = len(payload) + bool(flags & TcpFlag.SYN)
        self.numbers[from_client] = (self.numbers[from_client] + taken) & MASK
        return from_client, segment

    def flight(self, from_client: bool, said: bytes, size: int = 536) -> list[Sent]:
        return [
            self.segment(from_client, said[start : start + size])
            for start in range(0, len(said), size)
        ]

    def conversation(self, flights: Flights, size: int = 536) -> Iterator[list[Sent]]:
        for from_client, said in flights:
            yield self.flight(from_client, said, size)
