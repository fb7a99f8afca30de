"""Where an inspector's time goes: recorded handshakes driven through `Inspector.decide`.

    python tests/bench/profile_inspector.py            what each kind of handshake costs
    python tests/bench/profile_inspector.py --where    and where the time goes, by cProfile

The handshakes are OpenSSL's with itself in memory, cut into segments as a kernel would; each
connection has ports of its own. What the kernel does (queue, verdict, rules) is not in it: that is
what `make bench` measures. (Not called profile.py: Python's own module of that name would hide.)
"""

import argparse
import cProfile
import pstats
import ssl
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from bench.kinds import MANY_PROTOCOLS, Kind, kinds  # noqa: E402
from ratwall.inspector.inspector import Inspector  # noqa: E402
from ratwall.kernel.marks import FlowClass, Marks  # noqa: E402
from ratwall.queue.binding import QueuedPacket  # noqa: E402
from ratwall.signatures.pack import load_packs  # noqa: E402
from ratwall.verdict.judge import Thresholds  # noqa: E402
from ratwall.verdict.memory import VerdictMemory  # noqa: E402
from ratwall_lab.certificates import Notary  # noqa: E402
from ratwall_lab.contexts import client_context, server_context  # noqa: E402

MARKS = Marks()
MSS = 1448  # Ethernet, IPv4, time stamps
TIMESTAMP = bytes.fromhex("0101080a0000000100000001")
CLIENT, SERVER = IPv4Address("192.168.77.11").packed, IPv4Address("203.0.113.12").packed
CLIENT_START, SERVER_START = 1000, 5000
FREED = frozenset(FlowClass) - {FlowClass.NONE, FlowClass.WATCH}
ROUNDS = 5
TOP = 25  # functions shown


def flights(kind: Kind) -> list[tuple[bool, bytes]]:
    """What each side says in turn, (from the client?, bytes), until the client has asked."""
    client_side = client_context(kind.version, kind.version)
    if kind.long_hello:
        client_side.set_alpn_protocols(list(MANY_PROTOCOLS))
    server_side = server_context(kind.identity, kind.version, kind.version)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname="shop.example")
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    said: list[tuple[bool, bytes]] = []
    for _ in range(6):  # each side is done after three turns at most
        for from_client, side, line in ((True, client, to_server), (False, server, to_client)):
            with suppress(ssl.SSLWantReadError):  # its next turn comes
                side.do_handshake()
            if data := line.read():
                said.append((from_client, data))
                line.write(data)
    client.write(b"GET / HTTP/1.1\r\n\r\n")
    said.append((True, to_server.read()))
    return said


def segments(kind: Kind, port: int) -> list[tuple[bool, bytes]]:
    """A connection's datagrams with payload, (from the client?, IPv4 datagram)."""
    position = {True: CLIENT_START, False: SERVER_START}
    found = []
    for from_client, data in flights(kind):
        for at in range(0, len(data), MSS):
            payload = data[at : at + MSS]
            numbers = position[from_client], position[not from_client]
            found.append((from_client, _datagram(from_client, port, numbers, payload)))
            position[from_client] += len(payload)
    return found


def _datagram(from_client: bool, port: int, numbers: tuple[int, int], payload: bytes) -> bytes:
    ends = CLIENT + SERVER if from_client else SERVER + CLIENT
    ports = (port, 443) if from_client else (443, port)
    length = 20 + len(TIMESTAMP) + len(payload)
    offset = (20 + len(TIMESTAMP)) // 4 << 12
    head = struct.pack("!HHIIHHHH", *ports, *numbers, offset | 0x18, 501, 0, 0)
    pseudo = ends + struct.pack("!HH", 6, length)
    sum_ = _checksum(pseudo + head + TIMESTAMP + payload)
    tcp = head[:16] + sum_.to_bytes(2) + head[18:] + TIMESTAMP + payload
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 1, 0x4000, 63, 6, 0) + ends
    return ip[:10] + _checksum(ip).to_bytes(2) + ip[12:] + tcp


def _checksum(data: bytes) -> int:
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Stage:
    """An inspector and a stream of connections of one kind."""

    def __init__(self, kind: Kind, connections: int) -> None:
        self._stream = [segments(kind, 20_000 + number) for number in range(connections)]
        self.connections = connections
        self.packets = 0
        self.reports = 0

    def play(self) -> float:
        """Queue every packet until its connection is freed; seconds of CPU."""
        inspector = Inspector(
            load_packs(),
            Thresholds(),
            MARKS,
            enforce=True,
            memory=VerdictMemory(),
            report=self._take,
            clock=lambda: time.time_ns() // 1000,
        )
        stream = list(self._queued())
        self.packets = self.reports = 0
        decide, class_of = inspector.decide, MARKS.class_of
        started = time.process_time()
        for connection in stream:
            for packet in connection:
                self.packets += 1
                if class_of(decide(packet).mark) in FREED:
                    break
        return time.process_time() - started

    def _queued(self) -> Iterator[list[QueuedPacket]]:
        for connection in self._stream:
            packets = []
            for number, (from_client, datagram) in enumerate(connection):
                side = MARKS.lan if from_client else MARKS.wan
                known = 0 if number == 0 else MARKS.of(FlowClass.WATCH)
                mark = side | MARKS.to_inspect | known
                packets.append(QueuedPacket(datagram, mark, lambda: bytes(8)))
            yield packets

    def _take(self, report: object) -> None:
        self.reports += 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--where", action="store_true", help="show the functions, too")
    options = parser.parse_args()
    print(f"{'':34}{'queued':>8}{'µs/packet':>12}{'µs/connection':>15}")
    for kind in kinds(Notary()):
        stage = Stage(kind, options.connections)
        best = min(stage.play() for _ in range(ROUNDS))
        assert stage.reports == stage.connections, "each connection is judged once"
        print(
            f"{kind.name:34}{stage.packets / stage.connections:>8.1f}"
            f"{best / stage.packets * 1e6:>12.1f}{best / stage.connections * 1e6:>15.1f}"
        )
        if options.where:
            with cProfile.Profile() as profile:
                stage.play()
            pstats.Stats(profile).sort_stats("cumulative").print_stats(TOP)


if __name__ == "__main__":
    main()
