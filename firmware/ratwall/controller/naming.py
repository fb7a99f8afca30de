"""Naming: between the kernel's copies of DNS answers, the book of names, and the ledger.

It never asks a name server and never holds an answer back. What is read comes from the network and
may be anything: what is malformed is counted and left.

Design note: the copies of an answer and the report of the connection that follows come by two
sockets, so the copies that wait are read before anybody is told a name.
"""

import functools
import logging
from collections.abc import Callable
from ipaddress import ip_address
from typing import Protocol

from ratwall.controller.books import Books
from ratwall.controller.listener import Listener
from ratwall.kernel.nflog import Copy
from ratwall.ledger import names as ledger_names
from ratwall.ledger.store import Ledger, LedgerError
from ratwall.ledger.writer import LedgerWriter
from ratwall.names.answer import read_answer
from ratwall.names.book import ADDRESSES_LIMIT, Asked, NameBook, NameRarity
from ratwall.names.facts import Answer
from ratwall.names.streams import AnswerStreams
from ratwall.wire.errors import ParseError
from ratwall.wire.packet import parse_segment
from ratwall.wire.udp import parse_udp

log = logging.getLogger(__name__)

WRITTEN_AGAIN_US = 600_000_000  # "last seen" of a name is exact to ten minutes
HOUR_US = 3_600_000_000
# Names new to the book that a device may have written in an hour: a browser's day has fewer, and a
# program that asks for made-up names shall not fill the disk.
NEW_NAMES_LIMIT = 1000
FRESH_US = 1000  # what is told of a connection waits for up to fifty times as long
DEVICES_LIMIT = 4096  # whose new names are counted; beyond, the counting begins anew


class Copies(Protocol):
    """What is asked of `ratwall.kernel.nflog.CopyReader`."""

    overflows: int

    def fileno(self) -> int:
        """Return the descriptor to poll."""

    def read(self) -> list[Copy]:
        """Return the copies that have come."""


class Naming(Listener):
    """Feed it with copies; ask it for names."""

    def __init__(self, copies: Copies, clock: Callable[[], int]) -> None:
        """`clock` gives UTC microseconds."""
        self.watchers: list[Callable[[Asked], None]] = []  # told of every answer taken in
        self.book = NameBook()
        self.answers = 0
        self.malformed = 0
        self.unwritten = 0  # new names beyond what a device may have written
        self._copies = copies
        self._clock = clock
        self._streams = AnswerStreams()
        self._ledger: Ledger | None = None
        self._writer: LedgerWriter | None = None
        self._written: dict[tuple[str, str], tuple[int, frozenset[str]]] = {}
        self._new: dict[str, int] = {}
        self._hour = 0
        self._read_at = 0  # when it was looked last whether copies wait

    def start(self, books: Books) -> None:
        """Go on with a ledger, and with what it knows."""
        self._ledger, self._writer = books.ledger, books.writer
        books.cases.name_of = self.asked_by
        self._written.clear()
        try:
            self.book.load(ledger_names.known_names(books.ledger))
        except LedgerError as error:
            log.warning("names: %s", error)

    def fileno(self) -> int:
        """Return the descriptor to poll for `take_copies`."""
        return self._copies.fileno()

    def facts(self) -> dict[str, int]:
        """Return the counts for the status."""
        return {
            "names": len(self.book),
            "answers": self.answers,
            "malformed": self.malformed,
            "unwritten": self.unwritten,
            "overflows": self._copies.overflows,
        }

    def take_copies(self) -> None:
        """Take in the answers that have come."""
        for copy in self._copies.read():
            try:
                self._take_datagram(copy)
            except ParseError:
                self.malformed += 1

    def of(self, server: str) -> tuple[str, ...]:
        """Return the names that a server was asked for by, the newest first."""
        self._read_up()
        return self.book.of(server)

    def asked_by(self, device: str, server: str) -> str | None:
        """Return the name that a device means by a server, None if nobody asked for one."""
        self._read_up()
        return self.book.asked_by(device, server)

    def looked_up(self, device: str, server: str) -> str | None:
        """Return the name that this very device looked a server up by, None if it did not."""
        self.take_copies()
        return self.book.looked_up(device, server)

    def rarity(self, name: str) -> NameRarity | None:
        """Return how common a name is in this office, None if nobody asked for it."""
        now = self._clock()
        found = self.book.rarity(name.lower(), now)
        if found is None and self._ledger is not None:
            try:
                found = ledger_names.rarity(self._ledger, name.lower(), now)
            except LedgerError as error:
                log.warning("names: %s", error)
        return found

    def _read_up(self) -> None:
        """Read what waits, unless that was done a moment ago: many ask at once."""
        now = self._clock()
        if not 0 <= now - self._read_at < FRESH_US:
            self._read_at = now
            self.take_copies()

    def _take_datagram(self, copy: Copy) -> None:
        carried = parse_udp(copy.datagram)
        if carried is not None:
            self._take_message(carried.payload, carried.destination, copy.at)
            return
        segment = parse_segment(copy.datagram)
        if segment is not None:
            for message in self._streams.take(segment):
                self._take_message(message, segment.destination, copy.at)

    def _take_message(self, message: bytes, device: bytes, at: int) -> None:
        answer = read_answer(message)
        if answer is None:
            return
        self.answers += 1
        now = at or self._clock()
        if answer.addresses:
            asked = self.book.take(answer, _text(device), now)
            self._write(answer, asked)
        else:  # it ties nothing to anything: made-up names shall not push others out of the book
            asked = Asked(answer.name, answer.aliases, (), _text(device), now, new=False)
        for watcher in self.watchers:
            watcher(asked)

    def _write(self, answer: Answer, asked: Asked) -> None:
        """Write an answer down unless the same was written a moment ago."""
        if self._writer is None:
            return
        key = (asked.name, asked.device)
        when, addresses = self._written.get(key, (0, frozenset()))
        if asked.at - when < WRITTEN_AGAIN_US and addresses.issuperset(answer.addresses):
            return
        if asked.new and not self._may_write(asked.device, asked.at):
            self.unwritten += 1
            return
        ledger_names.write(self._writer, asked.name, answer.addresses, asked.device, asked.at)
        self._written.pop(key, None)
        self._written[key] = (asked.at, frozenset(answer.addresses))
        if len(self._written) > ADDRESSES_LIMIT:
            del self._written[next(iter(self._written))]

    def _may_write(self, device: str, now: int) -> bool:
        if now // HOUR_US != self._hour or len(self._new) > DEVICES_LIMIT:
            self._hour = now // HOUR_US
            self._new.clear()
        self._new[device] = self._new.get(device, 0) + 1
        return self._new[device] <= NEW_NAMES_LIMIT


@functools.lru_cache(ADDRESSES_LIMIT)
def _text(address: bytes) -> str:
    return str(ip_address(address))
