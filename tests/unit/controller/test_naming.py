"""Naming: copies in, names in the book and in the ledger; what is noise or too much is counted."""

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import dns.message
import dns.rrset
import pytest

from ratwall.controller import naming as module
from ratwall.controller.books import Books, open_books
from ratwall.controller.naming import NEW_NAMES_LIMIT, WRITTEN_AGAIN_US, Naming
from ratwall.kernel.nflog import Copy
from ratwall.ledger import names
from ratwall.ledger.models import Lookup, Name, Resolution
from ratwall.ledger.store import open_ledger
from ratwall.names.book import Asked
from unit.controller.box import CLIENT, NOON, SERVER, FakeSets

RESOLVER = "192.0.2.53"


class FakeCopies:
    """Copies that wait."""

    overflows = 0

    def __init__(self) -> None:
        self.waiting: list[Copy] = []

    def fileno(self) -> int:
        return -1

    def read(self) -> list[Copy]:
        waiting, self.waiting = self.waiting, []
        return waiting


def datagram(payload: bytes, device: str = CLIENT) -> bytes:
    udp = struct.pack(">HHHH", 53, 40_000, 8 + len(payload), 0) + payload
    ends = ip_address(RESOLVER).packed + ip_address(device).packed
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + ends + udp


def answer(name: str, *addresses: str) -> bytes:
    reply = dns.message.make_response(dns.message.make_query(name, "A"))
    if addresses:
        reply.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "A", *addresses))
    return reply.to_wire()


class Desk:
    """A naming with its books."""

    def __init__(self, path: Path) -> None:
        self.copies = FakeCopies()
        self.now = NOON
        self.naming = Naming(self.copies, lambda: self.now)
        self.path = path
        self.begin()

    def begin(self) -> None:
        ledger = open_ledger(self.path)
        self.books: Books = open_books(ledger, FakeSets(), frozenset(), "here", self.now)
        self.naming.start(self.books)

    def say(self, name: str, *addresses: str, device: str = CLIENT) -> None:
        self.copies.waiting.append(Copy(self.now, datagram(answer(name, *addresses), device)))
        self.naming.take_copies()

    def count(self, model: type[Name] | type[Resolution] | type[Lookup]) -> int:
        assert self.books.writer.flush(durable=False)
        return len(self.books.ledger.rows(model.select()))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "ledger.sqlite3")
    yield desk
    desk.books.ledger.close()


def test_a_name_is_known_before_its_copy_was_polled(desk: Desk) -> None:
    """The report of a connection may be read before the copies that came with it."""
    desk.copies.waiting.append(Copy(NOON, datagram(answer("a.example", SERVER))))
    assert desk.books.cases.name_of(CLIENT, SERVER) == "a.example"


def test_what_is_known_outlives_a_restart(desk: Desk) -> None:
    desk.say("a.example", SERVER)
    assert (desk.count(Name), desk.count(Resolution), desk.count(Lookup)) == (1, 1, 1)
    assert desk.books.writer.problem is None
    desk.books.ledger.close()
    desk.naming = Naming(desk.copies, lambda: desk.now)
    desk.begin()
    assert desk.naming.of(SERVER) == ("a.example",)
    assert names.names_of(desk.books.ledger, [SERVER, "192.0.2.1"]) == {SERVER: ["a.example"]}


def test_asked_again_at_once_costs_no_writing(desk: Desk) -> None:
    desk.say("a.example", SERVER)
    assert desk.books.writer.flush(durable=False)
    for _ in range(5):
        desk.say("a.example", SERVER)
    assert desk.books.writer.waiting == 0
    desk.now += WRITTEN_AGAIN_US
    desk.say("a.example", SERVER)
    assert desk.count(Name) == 1
    (row,) = desk.books.ledger.rows(Name.select())
    assert (row["first_seen"], row["last_seen"]) == (NOON, desk.now)


def test_made_up_names_do_not_fill_the_disk(desk: Desk) -> None:
    for number in range(NEW_NAMES_LIMIT + 3):
        desk.say(f"n{number}.example", SERVER)
    desk.say("b.example", SERVER, device="192.168.1.11")
    assert desk.count(Name) == NEW_NAMES_LIMIT + 1, "another device has a limit of its own"
    assert desk.naming.facts()["unwritten"] == 3
    desk.now += module.HOUR_US
    desk.say("later.example", SERVER)
    assert desk.count(Name) == NEW_NAMES_LIMIT + 2


def test_who_watches_hears_of_names_that_there_are_not_too(desk: Desk) -> None:
    heard: list[Asked] = []
    desk.naming.watchers.append(heard.append)
    desk.say("gone.example")
    assert [(each.name, each.device, each.addresses) for each in heard] == [
        ("gone.example", CLIENT, ())
    ]
    assert desk.naming.rarity("gone.example") is None
    desk.say("here.example", SERVER)
    assert desk.naming.rarity("HERE.example") is not None


def test_noise_is_counted_and_no_more(desk: Desk) -> None:
    for noise in (b"", b"\x45", datagram(b"\0" * 5), b"\xff" * 60):
        desk.copies.waiting.append(Copy(NOON, noise))
    desk.naming.take_copies()
    assert desk.naming.facts()["malformed"] == 4
    assert desk.count(Name) == 0
