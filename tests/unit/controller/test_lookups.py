"""Which servers are asked for their certificate, how often, and what is made of the answer."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ratwall.controller.books import open_books
from ratwall.controller.incidents import Incident
from ratwall.controller.lookups import AGAIN_US, HOUR_US, HOURLY_LIMIT, KILL_US, Lookups
from ratwall.controller.messages import FlowReport, parse_report
from ratwall.controller.proofs import Reported
from ratwall.ledger import queries
from ratwall.ledger.store import open_ledger
from ratwall.settings.schema import Detection, Rules, Settings
from ratwall.verdict.finding import Finding
from ratwall.verdict.headline import Outcome
from unit.controller.box import CLIENT, NOON, SERVER, FakeSets, report

SECOND = 1_000_000
RAT = report()["certificate"]
DECISIVE = {
    "id": "asyncrat.name",
    "points": 100,
    "text": "AsyncRAT's own name.",
    "technique": "T1587.003",
    "decisive": True,
    "family": "AsyncRAT",
}
FOUND = {"certificate": RAT, "der": base64.b64encode(b"0\0").decode(), "evidence": [DECISIVE]}
HARMLESS = {**FOUND, "evidence": []}


class FakeChild:
    def __init__(self, output: bytes) -> None:
        self.output = output
        self.code: int | None = 0
        self.killed = False

    def poll(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.killed, self.code = True, -9

    def communicate(self) -> tuple[bytes, bytes]:
        return self.output, b"" if self.output else b"timed out\n"


class Desk:
    def __init__(self, path: Path) -> None:
        self.now = NOON
        self.settings = Settings(detection=Detection(certificate_lookup=True))
        self.rare: tuple[int, int] | None = (1, 0)
        self.answer: dict[str, Any] | bytes = FOUND
        self.hangs = False
        self.asked: list[tuple[str, int, str | None]] = []
        self.children: list[FakeChild] = []
        self.findings: list[Finding] = []
        self.pushed: list[dict[str, Any]] = []
        self.books = open_books(
            open_ledger(path), FakeSets(), frozenset({"203.0.113.1"}), "here", NOON
        )
        self.lookups = Lookups(
            lambda: (self.settings, True),
            lambda server: self.rare,
            self.take,
            self.pushed.append,
            lambda: self.now,
            self.begin,
        )
        self.lookups.start(self.books)

    def take(self, finding: Finding) -> Incident | None:
        self.findings.append(finding)
        return None if not finding.evidence else self.books.cases.at_hand.get(1) or _incident()

    def begin(self, server: str, port: int, name: str | None) -> FakeChild:
        self.asked.append((server, port, name))
        text = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        self.children.append(FakeChild(text))
        if self.hangs:
            self.children[-1].code = None
        return self.children[-1]

    def meet(self, **changes: Any) -> None:
        seen = parse_report(json.dumps(report()).encode())
        assert isinstance(seen, FlowReport)
        hidden = replace(
            seen, flow_class="observed", verdict="clean", score=10, certificate=None, der=None,
            tls_version="TLS 1.3",
        )  # fmt: skip
        self.lookups.take_report(replace(hidden, **changes), Reported(1, None))
        for _ in range(3):
            self.lookups.tick(self.now)

    def audit(self) -> list[str]:
        assert self.books.writer.flush(durable=False)
        return [row["detail"] for row in queries.audit(self.books.ledger)]


def _incident() -> Incident:
    return Incident(1, NOON, NOON, 1, "PC", SERVER, 6606, "AsyncRAT", 100, Outcome.BLOCKING)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "ledger.sqlite3")
    yield desk
    desk.books.ledger.close()


def test_a_server_that_hides_is_rare_and_nameless_is_asked_once_a_day(desk: Desk) -> None:
    for _ in range(3):
        desk.meet()
    assert desk.asked == [(SERVER, 6606, None)]
    desk.now += AGAIN_US
    desk.meet()
    assert len(desk.asked) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"sni": "shop.example"},
        {"proxied": True},
        {"flow_class": "exempt"},
        {"tls_version": None},
        {"certificate": RAT},
        {"server": "192.168.1.20"},
        {"server": "10.1.2.3"},
        {"server": "100.64.0.9"},
        {"server": "fd00::7"},
        {"server": "::ffff:192.168.1.20"},
        {"server": "203.0.113.1"},
    ],
    ids=lambda changes: "{}={}".format(*next(iter(changes.items()))) if changes else "",
)
def test_others_are_left_in_peace(desk: Desk, changes: dict[str, Any]) -> None:
    desk.meet(**changes)
    assert desk.asked == []


def test_a_known_server_is_left_in_peace(desk: Desk) -> None:
    for desk.rare in ((2, 0), (1, 8 * 24 * HOUR_US), None):
        desk.meet()
    assert desk.asked == []


def test_off_is_off(desk: Desk) -> None:
    assert not Settings().detection.certificate_lookup, "off unless a person wants it"
    desk.settings = Settings()
    desk.meet()
    assert desk.asked == []


def test_a_name_is_repeated_only_if_it_is_one(desk: Desk) -> None:
    desk.meet(sni="c2.example", score=40)
    desk.meet(sni="--help", score=40, server_port=6607)
    desk.meet(sni="\\x00/etc", score=40, server_port=6608)
    assert [name for _, _, name in desk.asked] == ["c2.example", None, None]


def test_few_an_hour_whatever_is_met(desk: Desk) -> None:
    for number in range(HOURLY_LIMIT + 5):
        desk.meet(server=f"198.51.100.{number}")
    assert len(desk.asked) == HOURLY_LIMIT
    desk.now += HOUR_US
    desk.lookups.tick(desk.now)
    assert len(desk.asked) == HOURLY_LIMIT + 1


def test_one_that_hangs_is_killed_and_told(desk: Desk) -> None:
    desk.hangs, desk.answer = True, b""
    desk.meet()
    desk.meet(server_port=6607)
    assert len(desk.asked) == 1, "one at a time"
    desk.now += KILL_US + SECOND
    desk.lookups.tick(desk.now)
    assert desk.children[0].killed
    desk.lookups.tick(desk.now)
    assert "no certificate: timed out" in desk.audit()[0]
    assert len(desk.asked) == 2


def test_a_rat_is_told_and_remembered(desk: Desk) -> None:
    desk.meet()
    (finding,) = desk.findings
    assert (finding.rule, finding.server, finding.server_port) == (
        "lookup.certificate", SERVER, 6606,
    )  # fmt: skip
    assert finding.connections == ((CLIENT, 50_000, SERVER, 6606),)
    assert [item.id for item in finding.evidence] == ["asyncrat.name", "lookup.certificate"]
    (message,) = desk.pushed
    assert message["entries"][0]["certificate_sha256"] == RAT["sha256"]
    assert desk.books.memory.remembers(SERVER, 6606, desk.now)
    assert "showed CN=AsyncRAT Server" in desk.audit()[0]


def test_where_the_rule_only_tells_nothing_is_remembered(desk: Desk) -> None:
    desk.settings = replace(desk.settings, rules=Rules(monitor=("lookup.*",)))
    desk.meet()
    assert len(desk.findings) == 1
    assert desk.pushed == []


def test_a_harmless_certificate_takes_nothing_back(desk: Desk) -> None:
    """The server may show the box another face than the device."""
    desk.meet()
    desk.answer = HARMLESS
    desk.now += AGAIN_US
    desk.meet()
    assert len(desk.findings) == 1
    assert desk.books.memory.remembers(SERVER, 6606, desk.now)


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"nonsense", b'{"certificate": 1}', b'{"certificate": null, "der": 7}']
)
def test_what_cannot_be_read_is_no_certificate(desk: Desk, answer: bytes) -> None:
    desk.answer = answer
    desk.meet()
    assert desk.findings == []
    assert "no certificate" in desk.audit()[0]
