"""The models at work in a controller: from what it hears to findings, and what is watched."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from ratwall.controller.books import Books, open_books
from ratwall.controller.messages import FlowReport
from ratwall.controller.modelling import (
    FAILED_BYTES,
    RARITY_US,
    TOLD_AGAIN_US,
    WAITING_LIMIT,
    Models,
)
from ratwall.controller.proofs import Reported
from ratwall.detections.history import DAY, HOUR, SECOND
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.ledger.models import Flow
from ratwall.ledger.store import open_ledger
from ratwall.signatures.evidence import Evidence
from ratwall.verdict.finding import Finding
from unit.controller.box import CLIENT, NOON, SERVER, FakeSets, report
from unit.controller.test_observation import flow_report

WRITTEN = Reported(1, None)
GROUPS = {"asyncrat.name": "name", "asyncrat.hello-ja3": "hello"}
HELLO = {"id": "asyncrat.hello-ja3", "points": 15, "text": "A hello.", "technique": None}
LET_THROUGH: dict[str, Any] = {"class": "observed"}
NAME = report()["evidence"][0]


class Site:
    """An office with models that listen, and what they found."""

    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self.known: dict[str, tuple[int, int]] = {}
        self.asked = 0
        self.usual_hour = 0
        self.watched: set[str] = set()
        self.found: list[Finding] = []
        self.ledger = open_ledger(folder / "ledger.sqlite3")
        self.books: Books = open_books(self.ledger, FakeSets(), frozenset(), "", NOON)
        self.models = self.new()

    def new(self) -> Models:
        models = Models(
            GROUPS,
            self.rarity,
            lambda server: False,
            lambda device: device in self.watched,
            lambda device, server: self.usual_hour,
            self.found.append,
            lambda: self.now,
        )
        models.start(self.books)
        return models

    def rarity(self, server: str) -> tuple[int, int] | None:
        self.asked += 1
        return self.known.get(server, (1, HOUR))

    def reported(self, **changes: object) -> None:
        told = flow_report(**{"evidence": [NAME, HELLO], **changes})
        self.models.take_report(replace(told, start=self.now), WRITTEN)
        self.models.tick(self.now)

    def failed(self, port: int = 6606, **changes: object) -> None:
        event = FlowEvent(
            True, ip_address(CLIENT), 50_000, ip_address(SERVER), port, FlowClass.NONE, 60, 40
        )
        self.models.take_event(replace(event, **changes))  # type: ignore[arg-type]
        self.models.tick(self.now)
        self.now += 5 * SECOND

    def rules(self) -> list[str]:
        return [finding.rule for finding in self.found]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.ledger.close()


def test_a_beacon_by_address_is_told_once_and_again_after_hours(site: Site) -> None:
    for _ in range(3):
        site.reported(**LET_THROUGH)
    assert site.rules() == ["model.self-signed-rare", "model.suspicious-ssl"]
    finding = site.found[1]
    assert (finding.device, finding.server, finding.server_port) == (CLIENT, SERVER, 6606)
    assert finding.evidence[0].id == "model.suspicious-ssl"
    assert finding.facts["handshakes"] == 3
    site.now += TOLD_AGAIN_US - 1
    site.reported(**LET_THROUGH)
    assert len(site.found) == 2
    site.now += 1
    site.reported(**LET_THROUGH)
    assert len(site.found) == 4


def test_a_loop_with_nobody_at_the_other_end_is_told(site: Site) -> None:
    for number in range(12):
        site.failed((6606, 7707, 8808)[number % 3])
    assert site.rules() == ["model.failed-connections"]
    assert site.found[0].facts["ports"] == [6606, 7707, 8808]


@pytest.mark.parametrize(
    "changes",
    [
        {"ended": False},
        {"flow_class": FlowClass.CLEAN},
        {"bytes_received": FAILED_BYTES},
        {"source": ip_address("198.51.100.9")},
        {"destination": ip_address("192.168.1.1")},
    ],
    ids=["goes on", "was judged", "said something", "from outside", "within the office"],
)
def test_what_is_no_failure_of_a_device_is_left_out(site: Site, changes: dict[str, object]) -> None:
    for _ in range(20):
        site.failed(**changes)
    assert site.found == []


def test_a_device_with_a_public_address_is_known_by_its_connections(site: Site) -> None:
    device = "2001:db8:77::10"
    for _ in range(2):
        for _ in range(12):
            site.failed(source=ip_address(device), destination=ip_address("2001:db8::7"))
        if not site.found:
            site.reported(client=device, server="2001:db8::9", **LET_THROUGH)
    assert "model.failed-connections" in site.rules()
    assert {finding.server for finding in site.found} == {"2001:db8::7"}


def test_a_rhythm_and_a_self_made_certificate_are_a_significant_anomaly(site: Site) -> None:
    site.reported()
    site.reported()
    site.found.clear()
    beats = [NOON + number * 13_531_000 for number in range(4)]
    facts = {"beats": beats, "period_us": 13_531_000, "shape": True}
    evidence = (Evidence("rhythm.stock", 30, "It beats.", None),)
    site.models.take_finding(
        Finding("rhythm.stock", CLIENT, SERVER, 6606, evidence, site.now, (), facts)
    )
    site.models.tick(site.now)
    assert site.rules()[-1] == "model.significant-anomaly"
    assert site.found[-1].evidence[0].decisive


def test_known_servers_cost_one_question_a_minute(site: Site) -> None:
    site.known[SERVER] = (40, 90 * DAY)
    for _ in range(50):
        site.reported()
    assert (site.asked, site.found) == (1, [])
    site.now += RARITY_US
    site.reported()
    assert site.asked == 2


def test_what_a_person_allowed_and_what_a_proxy_hides_is_left_out(site: Site) -> None:
    for _ in range(9):
        site.reported(**{"class": "exempt"})
        site.reported(proxied=True)
    assert site.found == []


def test_of_a_device_that_is_watched_half_the_proof_is_enough(site: Site) -> None:
    site.reported()
    assert site.found == []
    site.watched.add(CLIENT)
    site.reported()
    assert "model.suspicious-ssl" in site.rules()


def test_the_last_day_is_known_after_a_restart(site: Site) -> None:
    site.books.writer.device(None, CLIENT, NOON)
    told: FlowReport = flow_report(evidence=[NAME, HELLO])
    certificate = site.books.writer.certificate(told.certificate or {}, None, NOON)
    for number, age in enumerate((2 * DAY, 2 * HOUR, HOUR)):
        site.books.writer.insert(
            Flow,
            {
                **{name: getattr(told, name) for name in COPIED},
                "start": NOON - age,
                "client_port": 50_000 + number,
                "device": 1,
                "certificate": certificate,
                "evidence": '[{"id": "asyncrat.hello-ja3", "points": 15, "text": "A hello."},'
                '{"id": "asyncrat.name", "points": 95, "text": "A name."}]',
                "proven": True,
                "incident": None,
            },
        )
    site.books.writer.flush()
    site.models = site.new()
    site.reported()
    assert "model.suspicious-ssl" in site.rules(), "the third of the last day"


COPIED = (
    "client",
    "server",
    "server_port",
    "sni",
    "tls_version",
    "ja3",
    "ja4",
    "ja3s",
    "resumed",
) + ("score", "verdict", "flow_class", "family", "enforced")


def test_a_flood_of_first_packets_neither_fills_the_memory_nor_pushes_others_out(
    site: Site,
) -> None:
    site.models.take_report(flow_report(evidence=[NAME, HELLO], **LET_THROUGH), WRITTEN)
    unanswered = FlowEvent(
        True, ip_address(CLIENT), 50_000, ip_address(SERVER), 6606, FlowClass.NONE, 60, 0
    )
    first = int(ip_address("198.18.0.0"))
    for number in range(WAITING_LIMIT + 10):
        site.models.take_event(replace(unanswered, destination=ip_address(first + number)))
    assert site.models.waiting == WAITING_LIMIT
    site.models.take_report(flow_report(server_port=7707, evidence=[NAME, HELLO]), WRITTEN)
    assert site.models.waiting == WAITING_LIMIT
    site.models.tick(site.now)
    assert site.rules()[0] == "model.self-signed-rare"
