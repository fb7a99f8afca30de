"""A running controller: real sockets, real SQLite, and a plain memory in place of the kernel."""

import json
import os
import socket
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Any

from ratwall.controller.client import Client
from ratwall.controller.listener import Listener
from ratwall.controller.process import Process
from ratwall.controller.service import Service
from ratwall.controller.sockets import open_doors
from ratwall.errors import RatwallError
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.kernel.response import Held
from ratwall.kernel.sets import BlockedEndpoint, Missed
from ratwall.ledger.store import FILE_NAME, Ledger, open_ledger
from ratwall.settings.schema import Settings

NOON = 1_750_000_000_000_000  # some day in June 2025, UTC microseconds
WAIT_SECONDS = 10.0  # generous: the machine may be busy

CLIENT, SERVER = "192.168.1.10", "203.0.113.7"


class FakeSets:
    """The kernel's sets as dicts; `broken` makes it refuse everything, as without a table."""

    def __init__(self) -> None:
        self.blocked: dict[tuple[str, int], int] = {}
        self.allowed: dict[tuple[str | None, str, int], int | None] = {}
        self.uninspected = 0
        self.passed_by: list[Missed] = []
        self.by_itself: list[BlockedEndpoint] = []  # what the packet path has blocked
        self.held: list[Held] = []
        self.broken = False
        self.refusals = 0

    def _check(self) -> None:
        if self.broken:
            self.refusals += 1
            raise RatwallError("nft: No such file or directory")

    def block(self, server: str, port: int, seconds: int) -> None:
        self._check()
        self.blocked[server, port] = seconds

    def unblock(self, server: str, port: int) -> None:
        self._check()
        self.blocked.pop((server, port), None)

    def allow(self, device: str | None, server: str, port: int, seconds: int | None) -> None:
        self._check()
        self.allowed[device, server, port] = seconds

    def disallow(self, device: str | None, server: str, port: int) -> None:
        self._check()
        self.allowed.pop((device, server, port), None)

    def restore(self, blocks: Any, allows: Any) -> None:
        self._check()
        self.blocked |= {(server, port): seconds for server, port, seconds in blocks}
        self.allowed |= {tuple(place): seconds for *place, seconds in allows}

    def respond(self, held: Sequence[Held]) -> None:
        self._check()
        self.held = list(held)

    def blocks(self) -> list[BlockedEndpoint]:
        self._check()
        return list(self.by_itself)

    def missed(self) -> list[Missed]:
        return list(self.passed_by)

    def counters(self) -> dict[str, int]:
        self._check()
        return {
            "uninspected_packets": self.uninspected,
            "uninspected_flows_packets": len(self.passed_by),
        }


class FakeWatch:
    """A descriptor and the events that are ready on it."""

    def __init__(self) -> None:
        self.overflows = 0
        self.table: list[FlowEvent] = []
        self.broken = False
        self.dumps = 0
        self._events: list[FlowEvent] = []
        self._reader, self._writer = os.pipe()

    def show(self, event: FlowEvent) -> None:
        self._events.append(event)
        os.write(self._writer, b"\0")

    def fileno(self) -> int:
        return self._reader

    def read(self) -> list[FlowEvent]:
        os.read(self._reader, 4096)
        events, self._events = self._events, []
        return events

    def dump(self) -> list[FlowEvent]:
        self.dumps += 1
        if self.broken:
            raise OSError(16, "conntrack dump refused")
        return self.table

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


@dataclass
class Box:
    """A controller's surroundings, which outlive its restarts."""

    state: Path
    sets: FakeSets
    watch: FakeWatch
    now: int = NOON
    settings: Settings = field(default_factory=Settings)
    enforce: bool = True
    never_block: frozenset[str] = frozenset({"192.0.2.1"})
    spared: Collection[IPv4Network | IPv6Network] = ()
    open_ledger: Callable[[], Ledger] | None = None
    web_group: int | None = None
    neighbour: Callable[[str], str | None] = lambda address: None
    steady: Callable[[], int] | None = None
    free_bytes: int = 1 << 40
    listeners: list[Listener] = field(default_factory=list)

    def service(self) -> Service:
        ledger = self.state / FILE_NAME
        return Service(
            self.settings,
            enforce=self.enforce,
            open_ledger=self.open_ledger or (lambda: open_ledger(ledger)),
            sets=self.sets,
            watch=self.watch,
            never_block=self.never_block,
            spared=self.spared,
            neighbour=lambda address: self.neighbour(address),
            clock=lambda: self.now,
            free_bytes=lambda: self.free_bytes,
            steady=self.steady,
        )

    def reading(self) -> Ledger:
        """Open the ledger as the page does."""
        return open_ledger(self.state / FILE_NAME, read_only=True)


class Running:
    """A controller that runs in a thread, and a way to talk to it."""

    def __init__(self, box: Box) -> None:
        self._asked = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(box,), daemon=True)
        self.box = box
        self.client = Client(box.state / "run" / "control.sock")
        self._thread.start()
        assert self._ready.wait(WAIT_SECONDS), "the controller did not start"

    def _run(self, box: Box) -> None:
        options = Namespace(
            inspector_group=None, web_group=box.web_group, lan="lan0", wan="wan0", mode="bridge"
        )
        # SQLite connections belong to the thread that opened them.
        doors = open_doors(box.state / "run", None, box.web_group)
        self.service = box.service()
        for listener in box.listeners:
            self.service.add(listener)
        self.service.start()
        self._process = Process(self.service, box.watch.fileno(), doors, options, self._reread)
        self._ready.set()
        self._process.run()

    def _reread(self) -> None:
        """Take what the test has put into the box's settings."""
        box = self.box
        self.service.reconfigure(box.settings, enforce=box.enforce, never_block=box.never_block)

    def hang_up(self) -> None:
        """Do what SIGHUP does to the controller."""
        self._process.hang_up()

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command as root."""
        return self.client.call(command, **{"author": "root", **arguments})

    def ask_to_end(self) -> None:
        """Do what SIGTERM does, once."""
        if not self._asked:
            self._asked = True
            self._process.stop()

    def stop(self) -> None:
        self.ask_to_end()
        self.wait()

    def wait(self) -> None:
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()


class FakeInspector:
    """The inspector's end of the reports socket."""

    def __init__(self, state: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(WAIT_SECONDS)
        self._socket.connect(str(state / "run" / "reports.sock"))

    def send(self, message: dict[str, Any] | bytes) -> None:
        raw = message if isinstance(message, bytes) else json.dumps(message).encode()
        self._socket.send(raw)

    def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(1 << 20))
        return message

    def receive_until(self, kind: str) -> dict[str, Any]:
        """Return the next message of a type; what comes before it is of no interest here."""
        while True:
            message = self.receive()
            if message["type"] == kind:
                return message

    def close(self) -> None:
        self._socket.close()


def report(**changes: Any) -> dict[str, Any]:
    """Return the report of a blocked AsyncRAT connection, with some keys changed."""
    return {
        "type": "flow",
        "worker": 0,
        "class": "block",
        "enforced": True,
        "proxied": False,
        "mac": "02:00:00:00:00:01",
        "client": CLIENT,
        "client_port": 50_000,
        "server": SERVER,
        "server_port": 6606,
        "start": "2025-06-15T15:06:40.000001Z",
        "sni": None,
        "tls_version": "TLS 1.0",
        "ja3": None,
        "ja4": None,
        "ja3s": None,
        "resumed": False,
        "certificate": {
            "subject": "CN=AsyncRAT Server",
            "issuer": "CN=AsyncRAT Server",
            "sha1": "ab" * 20,
            "sha256": "cd" * 32,
            "serial": "0123",
            "not_before": "2025-01-01T00:00:00Z",
            "not_after": "9999-12-31T23:59:59Z",
            "self_issued": True,
            "key_type": "rsa",
            "key_bits": 4096,
            "signature_algorithm": "sha512WithRSAEncryption",
        },
        "der": "MAA=",
        "score": 95,
        "verdict": "block",
        "family": "AsyncRAT",
        "evidence": [
            {"id": "asyncrat.name", "points": 95, "text": "The name.", "technique": "T1573.002"}
        ],
        **changes,
    }


def clean(**changes: Any) -> dict[str, Any]:
    """Return the report of an everyday connection."""
    facts = {"class": "clean", "verdict": "clean", "score": 0, "family": None, "evidence": []}
    return report(**{**facts, "certificate": None, "der": None, "server_port": 443, **changes})


def proof(**changes: Any) -> FlowEvent:
    """Return the kernel's word that the connection of `report()` is blocked."""
    event = FlowEvent(
        ended=False,
        source=ip_address(CLIENT),
        source_port=50_000,
        destination=ip_address(SERVER),
        destination_port=6606,
        flow_class=FlowClass.BLOCK,
        bytes_sent=0,
        bytes_received=0,
    )
    return replace(event, **changes)


def eventually(condition: Callable[[], Any]) -> Any:
    """Return the condition's first true value; fail when it takes too long."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
    return value
