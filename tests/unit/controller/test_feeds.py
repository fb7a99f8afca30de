"""Feeds in the controller: when lists are looked at, what is laid, who is told of."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP

from ratwall.controller.books import Books, open_books
from ratwall.controller.feeds import KILL_US, LOOK_US, TOLD_US, Feeds
from ratwall.errors import RatwallError
from ratwall.feeds.directory import FeedDirectory, FeedState, sources_of
from ratwall.feeds.index import Listed, index_bytes
from ratwall.feeds.indicator import DAY, Indicator, Kind
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.kernel.nflog import Copy
from ratwall.ledger.store import open_ledger
from ratwall.settings.schema import Rules, Settings
from ratwall.verdict.finding import Finding
from unit.controller.box import CLIENT, NOON, FakeSets

SERVER, OLD = "198.51.100.7", "198.51.100.8"
CHANGED = b'{"changed": true}'


class FakeChild:
    def __init__(self, output: bytes) -> None:
        self.output, self.code = output, 0
        self.runs = False
        self.killed = False

    def poll(self) -> int | None:
        return None if self.runs else self.code

    def kill(self) -> None:
        self.killed, self.runs, self.code = True, False, -9

    def communicate(self) -> tuple[bytes, bytes]:
        return (self.output, b"") if self.output else (b"", b"No space left on device\n")


class FakeCopies:
    overflows = 0

    def __init__(self) -> None:
        self.waiting: list[Copy] = []

    def fileno(self) -> int:
        return 0

    def read(self) -> list[Copy]:
        waiting, self.waiting = self.waiting, []
        return waiting


class Desk:
    def __init__(self, tmp_path: Path) -> None:
        self.now = NOON
        self.settings, self.enforce = Settings(), True
        self.directory = FeedDirectory(tmp_path)
        self.directory.prepare()
        self.copies = FakeCopies()
        self.laid: list[str] = []
        self.refuses = False
        self.began: list[tuple[str, list[str]]] = []
        self.children: list[FakeChild] = []
        self.output = CHANGED
        self.hangs = False
        self.table: list[FlowEvent] = []
        self.names: dict[tuple[str, str], str] = {}
        self.anybodys: dict[str, str] = {}
        self.findings: list[Finding] = []
        self.pushed: list[Mapping[str, Any]] = []
        self.feeds = Feeds(
            self.copies,
            self.directory,
            tmp_path,
            tmp_path / "ratwall.toml",
            self.nft,
            lambda: (self.settings, self.enforce),
            lambda: {"203.0.113.1": "a gateway of this box"},
            lambda: self.table,
            lambda device, server: self.names.get((device, server)) or self.anybodys.get(server),
            lambda device, server: self.names.get((device, server)),
            self.findings.append,
            self.pushed.append,
            lambda: self.now,
            self.begin,
        )

    def nft(self, text: str) -> None:
        if self.refuses:
            raise RatwallError("nft: no")
        self.laid.append(text)

    def begin(self, module: str, arguments: list[str]) -> FakeChild:
        self.began.append((module.rpartition(".")[2], arguments))
        child = FakeChild(self.output)
        child.runs = self.hangs
        self.children.append(child)
        return child

    def publish(self, *indicators: Indicator) -> None:
        """An index made now of lists that were looked at now."""
        states = [
            FeedState(each.name, each.kind, each.source, each.hours, checked=self.now)
            for each in sources_of(self.settings.feeds)
        ]
        self.directory.write_states(states)
        listed = Listed("own", self.now, indicators, ())
        self.directory.write_index(index_bytes([listed], self.now))

    def tick(self, times: int = 1) -> list[str]:
        """Let time pass; which processes began."""
        before = len(self.began)
        for _ in range(times):
            self.feeds.tick(self.now)
        return [what for what, _ in self.began[before:]]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with open_ledger(tmp_path / "ledger.sqlite3") as ledger:
        yield open_books(ledger, FakeSets(), frozenset(), "here", NOON)


@pytest.fixture
def desk(tmp_path: Path, books: Books) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.publish(
        Indicator(Kind.ENDPOINT, SERVER, 6606, "AsyncRAT", NOON - DAY),
        Indicator(Kind.ENDPOINT, OLD, 6606, "AsyncRAT", NOON - 400 * DAY),
        Indicator(Kind.NAME, "rat.example", 0, None, NOON - DAY),
    )
    desk.feeds.start(books)
    yield desk
    desk.feeds.stop()


def packet(server: str, port: int = 6606, *, udp: bool = False) -> Copy:
    layer = UDP(sport=50_000, dport=port) if udp else TCP(sport=50_000, dport=port, flags="S")
    return Copy(0, bytes(IP(src=CLIENT, dst=server) / layer))


def event(
    server: str, flow_class: FlowClass = FlowClass.WATCH, *, ended: bool = False
) -> FlowEvent:
    ends = ip_address(CLIENT), 50_000, ip_address(server), 6606
    return FlowEvent(ended, *ends, flow_class, 0, 0)


def test_at_its_start_it_lays_what_is_there_and_says_so(desk: Desk) -> None:
    assert desk.pushed == [{"type": "feeds"}]
    assert desk.tick(3) == ["lay"], "no list is due"
    assert desk.laid[0].endswith("goto refuse\n")
    assert desk.feeds.facts()["settled"]
    assert desk.feeds.facts()["indicators"] == 3


def test_a_list_that_is_due_is_looked_at_and_then_laid(desk: Desk) -> None:
    desk.tick(2)
    desk.now += DAY
    assert desk.tick() == ["feeds"]
    arguments = desk.began[-1][1]
    assert json.loads(arguments[arguments.index("--own") + 1]) == {
        "203.0.113.1": "a gateway of this box"
    }
    assert "--forced" not in arguments
    desk.publish(Indicator(Kind.ENDPOINT, SERVER, 443))
    assert desk.tick() == ["lay"]
    assert desk.pushed[1:] == [{"type": "feeds"}]
    assert desk.feeds.facts()["indicators"] == 1


def test_nothing_new_is_not_laid(desk: Desk) -> None:
    desk.tick(2)
    desk.now += DAY
    desk.output = b'{"changed": false}'
    assert desk.tick(2) == ["feeds"]
    assert len(desk.pushed) == 1


def test_the_disk_is_looked_at_once_a_minute(desk: Desk) -> None:
    desk.tick(3)
    desk.directory.write_states([])
    assert desk.tick(3) == []
    desk.now += LOOK_US
    assert desk.tick() == ["feeds"]


def test_a_person_need_not_wait(desk: Desk) -> None:
    desk.tick(3)
    assert desk.feeds.update() == 1
    assert not desk.feeds.facts()["settled"]
    assert desk.tick() == ["feeds"]
    assert "--forced" in desk.began[-1][1]
    assert desk.feeds.update() == 2, "the one that runs may have passed what was changed"
    assert desk.feeds.facts()["looked"] == 0
    desk.tick()
    assert desk.feeds.facts()["looked"] == 1
    assert not desk.feeds.facts()["settled"]
    desk.tick(3)
    assert desk.feeds.facts()["looked"] == 2
    assert desk.feeds.facts()["settled"]


def test_who_asks_while_a_look_has_ended_unnoticed_waits_for_the_next(desk: Desk) -> None:
    desk.tick(3)
    desk.feeds.update()
    desk.hangs = True
    assert desk.tick() == ["feeds"]
    desk.hangs = False
    # Its last act was to write what it knows; nobody has asked the process yet whether it ended.
    desk.directory.write_states([])
    wanted = desk.feeds.update()
    desk.children[-1].runs = False
    desk.tick(4)
    assert desk.feeds.facts()["settled"]
    assert desk.feeds.facts()["looked"] == wanted


def test_one_that_hangs_is_ended_and_one_that_fails_says_why(desk: Desk) -> None:
    desk.hangs = True
    assert desk.tick(3) == ["lay"]
    desk.now += KILL_US + 1
    desk.output = b""
    desk.children[0].output = b""
    desk.tick()
    assert desk.children[0].killed
    desk.tick()
    assert desk.feeds.problem == "feeds: No space left on device"
    desk.children[-1].kill()


def test_what_could_not_be_laid_is_laid_a_minute_later(desk: Desk) -> None:
    good, desk.output = desk.output, b""
    assert desk.tick(3) == ["lay"]
    assert desk.feeds.problem is not None
    assert desk.feeds.facts()["settled"], "nobody waits for it"
    desk.output = good
    desk.now += LOOK_US - 1
    assert desk.tick() == []
    desk.now += 1
    assert desk.tick(2) == ["lay"]
    assert desk.feeds.problem is None
    desk.now += LOOK_US
    assert desk.tick() == []


def test_what_it_lays_follows_the_rule(desk: Desk) -> None:
    desk.tick()
    desk.settings = Settings(rules=Rules(monitor=("feed.address",)))
    desk.tick()
    desk.settings = Settings(rules=Rules(off=("feed.*",)))
    desk.tick()
    desk.settings, desk.enforce = Settings(), False
    desk.tick()
    ends = [
        text.splitlines()[-1].removeprefix("add rule inet ratwall listed ") for text in desk.laid
    ]
    assert ends == ["goto refuse", "jump tell", "flush chain inet ratwall listed", "jump tell"]
    assert desk.feeds.facts()["mode"] == "monitor"
    desk.tick(2)
    assert len(desk.laid) == 4


def test_rules_that_were_flushed_are_filled_again(desk: Desk) -> None:
    desk.tick(3)
    desk.feeds.rules_again()
    assert desk.tick() == ["lay"]
    assert len(desk.laid) == 2


def test_a_kernel_that_refuses_is_asked_again(desk: Desk) -> None:
    desk.refuses = True
    desk.tick()
    assert desk.feeds.problem == "feeds: nft: no"
    desk.refuses = False
    desk.tick()
    assert len(desk.laid) == 1


def test_who_met_a_listed_server_is_told_once_in_a_while(desk: Desk) -> None:
    desk.copies.waiting = [
        packet(SERVER),
        packet(SERVER),
        packet(SERVER, 443),
        packet("198.51.100.9"),
    ]
    desk.feeds.take_copies()
    (found,) = desk.findings
    assert (found.rule, found.device, found.server) == ("feed.address", CLIENT, SERVER)
    assert found.server_port == 6606
    assert found.evidence[0].decisive
    assert found.facts["feed"] == "own"
    desk.now += TOLD_US
    desk.copies.waiting = [packet(SERVER), Copy(NOON, b""), Copy(NOON, b"\x45\0")]
    desk.feeds.take_copies()
    assert len(desk.findings) == 2


def test_a_server_listed_long_ago_is_told_when_it_is_met(desk: Desk) -> None:
    for one in (event(OLD, ended=True), event(OLD, FlowClass.EXEMPT), event(OLD), event(OLD)):
        desk.feeds.take_event(one)
    (found,) = desk.findings
    assert not found.evidence[0].decisive
    assert found.connections == ((CLIENT, 50_000, OLD, 6606),)


def test_a_name_that_was_looked_up_is_told_and_cuts_nothing(desk: Desk) -> None:
    desk.names[CLIENT, "198.51.100.9"] = "c2.rat.example"
    desk.feeds.take_event(event("198.51.100.9"))
    (found,) = desk.findings
    (said,) = found.evidence
    assert (found.rule, said.points, said.decisive) == ("feed.name", 60, False)
    assert said.text.startswith("The device looked up c2.rat.example. The name asked for is on")


def test_who_sent_a_first_packet_is_told_by_the_card(desk: Desk) -> None:
    sender = bytes.fromhex("000600000200000000660000")
    desk.copies.waiting = [replace(packet(SERVER), hardware=sender)]
    desk.feeds.take_copies()
    (found,) = desk.findings
    assert found.mac == "02:00:00:00:00:66"


def test_what_another_device_looked_up_is_not_said_of_this_one(desk: Desk) -> None:
    """Whoever asks a name server of their own can tie a listed name to any server."""
    desk.anybodys["198.51.100.9"] = "c2.rat.example"
    desk.feeds.take_event(event("198.51.100.9"))
    (found,) = desk.findings
    assert found.evidence[0].text.startswith("Another device looked up c2.rat.example.")


def test_what_runs_when_it_is_listed_is_found_once_it_is_laid(desk: Desk) -> None:
    desk.table = [event(SERVER, FlowClass.CLEAN), event("198.51.100.9", FlowClass.CLEAN)]
    desk.table += [event(SERVER, FlowClass.EXEMPT)]
    desk.tick(2)
    (found,) = desk.findings
    assert found.connections == ((CLIENT, 50_000, SERVER, 6606),)


def test_a_damaged_index_changes_nothing(desk: Desk, books: Books) -> None:
    desk.tick(3)
    desk.now += DAY
    desk.tick()
    desk.directory.write_index(b"damaged")
    desk.tick()
    assert desk.feeds.facts()["indicators"] == 3
    assert "index: not one" in str(desk.feeds.problem)
    assert len(desk.pushed) == 1


def test_new_books_do_not_lay_anew(desk: Desk, books: Books) -> None:
    desk.tick(3)
    desk.feeds.start(books)
    assert desk.tick(3) == []
