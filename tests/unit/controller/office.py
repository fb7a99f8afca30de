"""An office with a ledger on disk whose controller listens to connections, without any socket."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from ratwall.controller.books import Books, open_books
from ratwall.controller.contacts import WRITE_US, Contacts
from ratwall.controller.loops import Loops
from ratwall.controller.modelling import Models
from ratwall.controller.proofs import Reported
from ratwall.detections.history import HOUR
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.ledger import contacts
from ratwall.ledger.store import open_ledger
from ratwall.loops.attempts import Surroundings
from ratwall.verdict.finding import Finding
from unit.controller.box import CLIENT, NOON, SERVER, FakeSets, clean
from unit.controller.test_observation import flow_report

MAC = "02:00:00:00:00:01"
SECOND = 1_000_000
PORTS = (6606, 7707)


class Office:
    """Each `restart` is another life of the controller, with the ledger that the last one left."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.sqlite3"
        self.now = NOON
        self.macs: dict[str, str] = {CLIENT: MAC}
        self.asked = 0
        self.names: dict[str, tuple[str, ...]] = {}
        self.found: list[Finding] = []
        self.start()

    def start(self) -> None:
        self.ledger = open_ledger(self.path)
        self.books: Books = open_books(self.ledger, FakeSets(), frozenset(), "", self.now)
        self.contacts = Contacts(
            self._mac_of, lambda server: self.names.get(server, ()), lambda: self.now
        )
        self.loops = Loops(
            lambda server: Surroundings(devices=1, named=False),
            lambda: frozenset({6606}),
            self.found.append,
            lambda: self.now,
            lambda server: self.names.get(server, ()),
        )
        self.models = Models(
            {},
            lambda server: (1, HOUR),
            lambda server: False,
            lambda device: False,
            self.contacts.usual_hour,
            self.found.append,
            lambda: self.now,
        )
        self.contacts.moved += [self.loops.move, self.models.move]
        for listener in self.listeners:
            listener.start(self.books)

    @property
    def listeners(self) -> tuple[Contacts, Loops, Models]:
        return self.contacts, self.loops, self.models

    def stop(self) -> None:
        for listener in self.listeners:
            listener.stop()
        self.books.writer.flush()
        self.ledger.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        """End without a word: what was not written is gone."""
        self.ledger.close()
        self.start()

    def _mac_of(self, address: str) -> str | None:
        self.asked += 1
        return self.macs.get(address)

    def end(
        self,
        *,
        device: str = CLIENT,
        server: str = SERVER,
        port: int = 6606,
        client_port: int = 50_000,
        sent: int = 60,
        received: int = 40,
        flow_class: FlowClass = FlowClass.NONE,
        started: int | None = None,
    ) -> None:
        """Have a connection end; by default one that was refused."""
        event = FlowEvent(
            True,
            ip_address(device),
            client_port,
            ip_address(server),
            port,
            flow_class,
            sent,
            received,
            self.now if started is None else started,
        )
        for listener in self.listeners:
            listener.take_event(event)

    def report(self, **changes: object) -> None:
        """Have a TLS connection judged clean."""
        told = replace(flow_report(**clean(**changes)), start=self.now)
        for listener in self.listeners:
            listener.take_report(told, Reported(1, None))

    def write(self) -> None:
        """Let the time of a batch pass."""
        self.now += WRITE_US
        self.tick()

    def tick(self) -> None:
        for listener in self.listeners:
            listener.tick(self.now)
        assert self.books.writer.flush()

    def loop(self, attempts: int, **changes: object) -> None:
        """Try in vain every five seconds, one port after the other."""
        for number in range(attempts):
            self.end(**{"port": PORTS[number % 2], **changes})  # type: ignore[arg-type]
            self.now += 5 * SECOND
            self.tick()

    def rules(self) -> list[str]:
        return [finding.rule for finding in self.found]

    def rows(self) -> list[dict[str, object]]:
        """Return all contacts."""
        columns = (
            "device", "address", "server", "port", "name", "first_seen", "last_seen",
            "connections", "failures", "sent", "received", "handshakes", "busiest",
        )  # fmt: skip
        found = self.ledger.tuples(f"SELECT {', '.join(columns)} FROM contact ORDER BY id")
        return [dict(zip(columns, row, strict=True)) for row in found]

    def past(self) -> list[contacts.Past]:
        return list(contacts.recent(self.ledger, self.now))
