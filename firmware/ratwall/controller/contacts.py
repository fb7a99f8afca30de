"""Contacts: who had to do with whom since when and how often, written down in batches.

It hears reports and the ends of connections, and counts; it decides nothing. What models and loops
want to know after a restart is read from what it wrote.

Design note: it stands on the path of every connection, so what is done there is one look-up and
some additions. Who a device is, what its server is called, and the ledger come every ten seconds.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, TypeVar

from ratwall.address import is_local
from ratwall.controller.books import Books
from ratwall.controller.identity import LATELY_US, SHARED_FROM
from ratwall.controller.listener import Listener
from ratwall.controller.messages import FlowReport
from ratwall.controller.proofs import Reported
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.ledger import contacts
from ratwall.ledger.contacts import Ended, Place, Seen
from ratwall.ledger.store import LedgerError

FAILED_BYTES: Final = 500  # both ways together: seven SYNs and their answers, no payload
WRITE_US: Final = 10_000_000  # a batch: what a kill of the controller may lose
PENDING_LIMIT: Final = 4096  # contacts of one batch, 2 MB: a scan of four hundred a second
ENDED_LIMIT: Final = 4096  # connections of one batch that are written one by one
ENDED_OF_ONE: Final = 64  # of one contact: a flood is not to crowd out the others
DEVICES_KEPT: Final = 4096  # addresses: more than an office has
NEW_DEVICES: Final = (
    16  # of one batch: each costs a question to the kernel; addresses can be forged
)
ASK_AGAIN_US: Final = 300_000_000  # addresses change hands
BUSIEST_US: Final = 60_000_000  # as old may an answer be
COUNTER_LIMIT: Final = 2**53  # of what one connection may add: SQLite's sums stay whole numbers

K = TypeVar("K")
V = TypeVar("V")
Key = tuple[str, str, int]  # device's address, server, port


@dataclass(slots=True)
class _Tenant:
    """A device that has a MAC of its own, and its IPv4 addresses with when they were used."""

    address: str
    used: dict[str, int] = field(default_factory=dict)


class Contacts(Listener):
    """`moved` is called with the old and the new address of a device that has got another."""

    def __init__(
        self,
        mac_of: Callable[[str], str | None],
        names: Callable[[str], tuple[str, ...]],
        clock: Callable[[], int],
    ) -> None:
        """`mac_of` asks the kernel; `names` gives what a server was looked up by."""
        self.moved: list[Callable[[str, str], None]] = []
        self.written: list[Callable[[int, str], None]] = []  # told of device's id and server
        self.left_out = 0  # reports and ends of connections that did not fit a batch
        self._mac_of = mac_of
        self._names = names
        self._clock = clock
        self._books: Books
        self._due = 0
        self._seen: dict[Key, Seen] = {}
        self._ended: list[tuple[Key, int, int, int, int, bool]] = []
        # Of an address, and when the kernel was asked: 0 where a report told it.
        self._macs: OrderedDict[str, tuple[str | None, int]] = OrderedDict()
        self._ids: OrderedDict[str, int] = OrderedDict()
        self._tenants: OrderedDict[int, _Tenant] = OrderedDict()
        self._busiest: OrderedDict[int, tuple[int, list[tuple[str, int]]]] = OrderedDict()

    def start(self, books: Books) -> None:
        """Take the books, and who had which address."""
        self._books = books
        self._ids.clear()
        self._tenants.clear()
        self._busiest.clear()
        try:
            for address, device in contacts.addresses(books.ledger).items():
                _keep(self._tenants, device, _Tenant(address))
        except LedgerError:
            return  # the writer says what is wrong with the ledger

    def take_report(self, report: FlowReport, written: Reported) -> None:
        """Take in a TLS connection, which may run for days."""
        if report.flow_class == "exempt" or report.proxied:
            return  # allowed by a person, or the address is not the server's
        if report.mac is not None and self._macs.get(report.client) != (report.mac, 0):
            _keep(self._macs, report.client, (report.mac, 0))
        seen = self._of((report.client, report.server, report.server_port), report.start)
        if seen is None:
            self.left_out += 1
        else:
            seen.handshakes += 1

    def take_event(self, event: FlowEvent) -> None:
        """Take in a connection that has ended."""
        if not event.ended or event.flow_class is FlowClass.EXEMPT or not event.started:
            return
        source = event.source
        if is_local(event.destination.packed) or not (
            source.version == 6 or is_local(source.packed) or str(source) in self._ids
        ):
            return
        key = str(source), str(event.destination), event.destination_port
        seen = self._of(key, event.started)
        if seen is None:
            self.left_out += 1
            return
        sent = min(event.bytes_sent, COUNTER_LIMIT)
        received = min(event.bytes_received, COUNTER_LIMIT)
        failed = event.flow_class is FlowClass.NONE and sent + received <= FAILED_BYTES
        seen.connections += 1
        seen.failures += failed
        seen.sent += sent
        seen.received += received
        if seen.connections <= ENDED_OF_ONE and len(self._ended) < ENDED_LIMIT:
            self._ended.append((key, event.source_port, event.started, sent, received, failed))

    def clock_set(self, by: int) -> None:
        """Move what waits to be written; the rest is held against the clock both ways."""
        for seen in self._seen.values():
            seen.first += by
            seen.last += by
        self._ended = [
            (key, port, start + by, sent, received, failed)
            for key, port, start, sent, received, failed in self._ended
        ]

    def tick(self, now: int) -> None:
        """Write a batch when it is due."""
        if now >= self._due or self._due - now > WRITE_US:  # the clock may have been set back
            self._due = now + WRITE_US
            self._write(now)

    def stop(self) -> None:
        """Write what is left."""
        self._write(self._clock())

    def facts(self) -> dict[str, int]:
        """Return the counts for the status."""
        return {"waiting": len(self._seen), "left_out": self.left_out}

    def usual_hour(self, address: str, server: str) -> int:
        """Return the TLS connections of a device's busiest hour with any other server, of a week.

        0 if nothing is known.
        """
        device = self._ids.get(address)
        if device is None:
            return 0
        now = self._clock()
        asked, found = self._busiest.get(device, (now - BUSIEST_US, []))
        if abs(now - asked) >= BUSIEST_US:
            try:
                found = contacts.busiest(self._books.ledger, device, now)
            except LedgerError:
                return 0
            _keep(self._busiest, device, (now, found))
        return next((most for other, most in found if other != server), 0)

    def _of(self, key: Key, at: int) -> Seen | None:
        seen = self._seen.get(key)
        if seen is None:
            if len(self._seen) >= PENDING_LIMIT:
                return None
            seen = self._seen[key] = Seen(at, at)
        elif at > seen.last:
            seen.last = at
        elif at < seen.first:
            seen.first = at
        return seen

    def _write(self, now: int) -> None:
        writer = self._books.writer
        if not self._seen or writer.problem is not None:
            return  # with a disk that refuses, one batch is kept, not a growing line of them
        places: dict[Key, Place] = {}
        told = []
        new = 0
        for key, seen in self._seen.items():
            address, server, port = key
            if address not in self._ids:
                new += 1
                if new > NEW_DEVICES:
                    self.left_out += seen.connections + seen.handshakes
                    continue
            device = self._device(address, now)
            places[key] = place = (device, server, port)
            name = next(iter(self._names(server)), None)
            told.append((place, address, name, seen))
        ended: list[Ended] = [
            (places[key], port, start, sent, received, failed)
            for key, port, start, sent, received, failed in self._ended
            if key in places
        ]
        contacts.write(writer, told, ended, now)
        batch = dict.fromkeys(key[0] for key in places)
        self._seen, self._ended = {}, []
        for address in batch:
            self._follow(address, batch, now)
        for device, server in dict.fromkeys(place[:2] for place in places.values()):
            for watcher in self.written:
                watcher(device, server)

    def _device(self, address: str, now: int) -> int:
        """Return a device's id; the kernel is asked for its MAC where no report told it."""
        mac, asked = self._macs.get(address, (None, now - ASK_AGAIN_US))
        if asked and abs(now - asked) >= ASK_AGAIN_US:
            mac = self._mac_of(address)
            _keep(self._macs, address, (mac, now))
        device = self._books.writer.device(mac, address, now)
        _keep(self._ids, address, device)
        return device

    def _follow(self, address: str, batch: dict[str, None], now: int) -> None:
        """Tell of a device that has another IPv4 address than before: a lease ends, it stays.

        Of IPv6 devices use several addresses at once. A MAC with several is a router. An address
        that another had within a day is not taken over: anybody can send with it, and what one
        device has done is not to be told of another.
        """
        if ip_address(address).version == 6 or self._macs.get(address, (None, 0))[0] is None:
            return
        device = self._ids[address]
        tenant = self._tenants.get(device)
        if tenant is None:
            _keep(self._tenants, device, _Tenant(address, {address: now}))
            return
        tenant.used = {one: at for one, at in tenant.used.items() if abs(now - at) < LATELY_US} | {
            address: now
        }
        before = tenant.address
        if before == address or before in batch or len(tenant.used) >= SHARED_FROM:
            return
        if any(
            abs(now - other.used.get(address, 0)) < LATELY_US
            for other in self._tenants.values()
            if other is not tenant
        ):
            return
        tenant.address = address
        for tell in self.moved:
            tell(before, address)


def _keep(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > DEVICES_KEPT:
        kept.popitem(last=False)
