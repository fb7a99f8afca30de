"""Where the controller's time goes: reports and conntrack events, as a box's, taken in from memory.

    python tests/bench/profile_controller.py            what a connection costs
    python tests/bench/profile_controller.py --where    and where the time goes, by cProfile

The reports come by a real socket from an inspector's own channel, alike (lines behind a pattern) or
each of its own kind; events are bytes as ctnetlink sends them; the ledger is a file. The kernel's
sets and classes are played. What waking up and cold caches cost is not in it: see `make bench`.
"""

import argparse
import cProfile
import pstats
import selectors
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from office import Kernel  # noqa: E402
from ratwall.controller.reports import ReportServer  # noqa: E402
from ratwall.controller.service import Service  # noqa: E402
from ratwall.controller.wiring import wire  # noqa: E402
from ratwall.kernel import conntrack, netlink  # noqa: E402
from ratwall.kernel.conntrack import FlowEvent, Told, decode  # noqa: E402
from ratwall.kernel.marks import FlowClass, Marks  # noqa: E402
from ratwall.ledger.store import FILE_NAME, open_ledger  # noqa: E402
from ratwall.reports.channel import ReportChannel  # noqa: E402
from ratwall.reports.gathering import TOGETHER_LIMIT, Gathering  # noqa: E402
from ratwall.settings.schema import Settings  # noqa: E402
from unit.controller.box import FakeSets, FakeWatch, clean  # noqa: E402

MARKS = Marks()
CLIENT, SERVER, PORT = "192.168.77.11", "203.0.113.12", 443
FIRST_PORT = 20_000
CLASSES = (FlowClass.WATCH, FlowClass.OBSERVED)  # what the kernel tells of one, one event each
TURN = 16  # connections of one turn: a tenth of a second of a busy office
ROUNDS = 5
TOP = 30  # functions shown


def event(port: int, flow_class: FlowClass) -> bytes:
    """What ctnetlink sends of a connection, as `ratwall.kernel.conntrack` reads it."""
    attribute = netlink.attribute
    ends = attribute(1, IPv4Address(CLIENT).packed) + attribute(2, IPv4Address(SERVER).packed)
    ports = attribute(1, b"\x06") + attribute(2, struct.pack("!H", port))
    ports += attribute(3, struct.pack("!H", PORT))
    both = attribute(1, ends) + attribute(2, ports)
    rest = [attribute(1, both), attribute(2, both), attribute(3, bytes(4)), attribute(7, bytes(4))]
    rest.append(attribute(8, struct.pack("!I", MARKS.of(flow_class))))
    return netlink.netfilter_request(1, conntrack.MESSAGE_NEW, 0, socket.AF_INET, 0, *rest)


class Watch(FakeWatch):
    """Conntrack's events as bytes that wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[bytes] = []
        self._told = Told()

    def read(self) -> list[FlowEvent]:
        waiting, self.waiting = self.waiting, []
        return [event for data in waiting for event in decode(data, MARKS, self._told)]


class Stage:
    """A controller, and an inspector that reports to it."""

    def __init__(self, folder: Path, *, alike: bool, connections: int) -> None:
        self._alike, self._connections = alike, connections
        self._ports = iter(range(FIRST_PORT, FIRST_PORT + 10 * ROUNDS * connections))
        self._watch = Watch()
        self.service = Service(
            Settings(),
            enforce=True,
            open_ledger=lambda: open_ledger(folder / FILE_NAME),
            sets=FakeSets(),
            watch=self._watch,
            never_block=frozenset(),
            neighbour=lambda address: None,
            clock=lambda: time.time_ns() // 1000,
        )
        kernel = Kernel()
        wire(self.service, copies=kernel, answers=Kernel(), classes=kernel, table=kernel.dump)
        self.service.start()
        self._selector = selectors.DefaultSelector()
        path = folder / "reports.sock"
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        door.bind(str(path))
        door.listen()
        door.setblocking(False)
        take, clock = self.service.take_report, self.service.clock
        self._reports = ReportServer(door, None, self._selector, take, list, clock)
        self._channel = ReportChannel(path)
        self._channel.pump(0.0)
        self._turn()
        self._pattern = self._report(None)

    def play(self) -> float:
        """Take in all connections; seconds of CPU of the controller's part."""
        spent = 0.0
        for _ in range(self._connections // TURN):
            gathering = Gathering(0)
            for port in (next(self._ports) for _ in range(TURN)):
                self._watch.waiting += [event(port % 65_536, each) for each in CLASSES]
                if self._alike:
                    line = (CLIENT, port % 65_536, "02:00:00:00:00:11", time.time_ns() // 1000)
                    gathering.add_like(self._pattern, line, 0.0)
                else:
                    gathering.add(self._report(port), 0.0)
            self._channel.send(*gathering.take())
            started = time.process_time()
            self._turn()
            self.service.take_events()
            self.service.tick()
            spent += time.process_time() - started
        started = time.process_time()
        self.service.flush()
        return spent + time.process_time() - started

    def _turn(self) -> None:
        for key, events in self._selector.select(0):
            key.data(events)

    def _report(self, port: int | None) -> dict[str, Any]:
        return clean(
            **{"class": "observed", "client": CLIENT, "server": SERVER},
            client_port=(port or 0) % 65_536,
            sni="shop.example",
            tls_version="TLS 1.3",
            ja3="0" * 32,
            ja4="t13d1516h2_8daaf6152771_b186095e22b6" if port is None else f"t13d_{port}",
        )


def stages(folder: Path, connections: int) -> Iterator[tuple[str, Stage]]:
    """Both kinds of office."""
    for name, alike in (("alike", True), ("each of its own kind", False)):
        place = folder / name.replace(" ", "-")
        place.mkdir()
        yield name, Stage(place, alike=alike, connections=connections)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=800)
    parser.add_argument("--where", action="store_true", help="show the functions, too")
    options = parser.parse_args()
    assert TURN <= TOGETHER_LIMIT
    with tempfile.TemporaryDirectory(prefix="ratwall-profile-") as folder:
        for name, stage in stages(Path(folder), options.connections):
            best = min(stage.play() for _ in range(ROUNDS))
            print(f"{name:24}{best / options.connections * 1e6:8.1f} µs/connection")
            if options.where:
                with cProfile.Profile() as profile:
                    stage.play()
                pstats.Stats(profile).sort_stats("tottime").print_stats(TOP)
            stage.service.stop()


if __name__ == "__main__":
    main()
