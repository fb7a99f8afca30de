"""What shows over time becomes one story with what is known; it is cut only where that is asked."""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ratwall.controller.blocks import Action
from ratwall.controller.messages import FlowReport, parse_report
from ratwall.controller.proofs import Connection
from ratwall.kernel.response import BlockedFor
from ratwall.ledger import models, queries
from ratwall.settings.schema import Rules
from ratwall.signatures.evidence import Evidence
from ratwall.verdict.finding import Finding
from unit.controller.box import CLIENT, NOON, SERVER, FakeSets, FakeWatch, report
from unit.controller.box import Box as Papers

RHYTHM = Evidence("rhythm.stock", 80, "It reports in like a clock.", "T1573.002", decisive=True)
HINT = Evidence("rhythm.no-name", 15, "It names no server.", None)
CONNECTION = (CLIENT, 50_000, SERVER, 6606)


def finding(*evidence: Evidence, rule: str = "rhythm.stock") -> Finding:
    return Finding(
        rule=rule,
        device=CLIENT,
        server=SERVER,
        server_port=6606,
        evidence=evidence or (RHYTHM, HINT),
        at=NOON,
        connections=(CONNECTION,),
        facts={"beats": [1, 2, 3], "period_us": 1},
    )


class Cutter:
    """In place of the observation: whether what is to be cut still runs."""

    def __init__(self, runs: bool) -> None:
        self._runs = runs

    def watch(self, devices: Collection[str]) -> None:
        self.watched = list(devices)

    def cut(self, connection: Connection) -> bool:
        return self._runs


class Box:
    """A service without its sockets."""

    def __init__(self, folder: Path) -> None:
        self.sets = FakeSets()
        self.neighbour: Callable[[str], str | None] = lambda address: None
        papers = Papers(folder, self.sets, FakeWatch())
        papers.neighbour = lambda address: self.neighbour(address)
        self.service = papers.service()
        self.service.start()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    made.service.stop()


def rules(box: Box, **modes: tuple[str, ...]) -> None:
    settings = replace(box.service.settings, rules=Rules(**modes))
    box.service.settings = settings


def blocked_for(box: Box) -> list[BlockedFor]:
    return [one for one in box.sets.held if isinstance(one, BlockedFor)]


def story(box: Box, number: int = 1) -> dict[str, Any]:
    assert box.service.flush()
    found = queries.incident(box.service.ledger, number)
    assert found is not None
    return found


def test_by_default_a_rhythm_is_told_and_nothing_is_cut(box: Box) -> None:
    incident = box.service.findings.take(finding())
    assert incident is not None
    told = story(box)
    assert (told["state"], told["score"]) == ("would_block", 95)
    assert [fact["id"] for fact in told["evidence"]] == ["rhythm.stock", "rhythm.no-name"]
    assert box.sets.blocked == {}
    (detection,) = box.service.ledger.rows(models.Detection.select())
    assert (detection["rule"], json.loads(detection["facts"])["beats"]) == (
        "rhythm.stock",
        [1, 2, 3],
    )


@pytest.mark.parametrize(
    ("runs", "state"), [(True, "blocking"), (False, "blocked")], ids=["runs", "has ended"]
)
def test_where_it_is_enforced_the_endpoint_is_blocked(box: Box, runs: bool, state: str) -> None:
    """What runs must be proven cut; of a connection that has ended no proof can come."""
    rules(box, enforce=("rhythm.*",))
    box.service.observation = Cutter(runs)  # type: ignore[assignment]
    box.service.findings.take(finding())
    assert story(box)["state"] == state
    assert box.sets.blocked == {}, "what one device does says nothing of the others"
    assert [(one.device, one.server, one.port) for one in blocked_for(box)] == [
        (CLIENT, SERVER, 6606)
    ]


def test_a_finding_that_would_block_takes_nothing_back_from_what_was_blocked(box: Box) -> None:
    rules(box, enforce=("rhythm.*",))
    box.service.findings.take(finding())
    rules(box)
    box.service.findings.take(finding(rule="model.significant-anomaly"))
    assert story(box)["state"] == "blocked"


def test_a_handshake_that_explains_more_keeps_what_was_found_over_time(box: Box) -> None:
    box.service.findings.take(finding(HINT, Evidence("model.loop", 60, "It loops.", None)))
    assert box.service.flush()
    judged = parse_report(json.dumps(report(score=100)).encode())
    assert isinstance(judged, FlowReport)
    box.service.take_report(judged)
    told = story(box)
    assert (told["count"], told["family"], told["score"]) == (2, "AsyncRAT", 100)
    assert [fact["id"] for fact in told["evidence"]] == [
        "asyncrat.name", "model.loop", "rhythm.no-name",
    ]  # fmt: skip


def test_in_monitor_mode_nothing_is_cut_whatever_the_rule(box: Box) -> None:
    rules(box, enforce=("*",))
    box.service.enforce = False
    box.service.findings.take(finding())
    assert story(box)["state"] == "would_block"
    assert (box.sets.blocked, blocked_for(box)) == ({}, [])


def test_a_rule_that_is_off_says_nothing(box: Box) -> None:
    rules(box, off=("rhythm.stock",))
    assert box.service.findings.take(finding()) is None


def test_weak_evidence_is_an_alert_however_much_of_it(box: Box) -> None:
    rules(box, enforce=("*",))
    weak = [Evidence(f"rhythm.{name}", 60, name, None) for name in ("one", "two")]
    box.service.findings.take(finding(*weak))
    assert story(box)["state"] == "alert"
    assert (box.sets.blocked, blocked_for(box)) == ({}, [])


@pytest.mark.parametrize(("points", "told"), [(59, False), (60, True), (61, True)])
def test_below_an_alert_there_is_no_incident(box: Box, points: int, told: bool) -> None:
    weak = Evidence("rhythm.steady", points, "a timer", None)
    assert (box.service.findings.take(finding(weak)) is not None) == told


def test_it_joins_the_incident_of_the_same_device_and_server(box: Box) -> None:
    judged = parse_report(json.dumps(report()).encode())
    assert isinstance(judged, FlowReport)
    box.service.take_report(judged)
    before = story(box)
    box.service.findings.take(finding())
    after = story(box)
    assert box.service.ledger.value(models.Incident.select(models.Incident.id).limit(2)) == 1
    assert after["score"] == before["score"]
    assert after["evidence"] == before["evidence"], "what is told adds up to the score"
    assert [one["rule"] for one in after["detections"]] == ["rhythm.stock"], "the rest stands here"
    assert after["family"] == before["family"]


def test_the_higher_score_explains_the_incident(box: Box) -> None:
    weak = Evidence("rhythm.steady", 60, "A timer.", None)
    box.service.findings.take(finding(weak, rule="rhythm.steady"))
    box.service.findings.take(finding())
    told = story(box)
    assert told["score"] == sum(fact["points"] for fact in told["evidence"]) == 95
    assert [one["facts"]["text"] for one in told["detections"]] == [RHYTHM.text, "A timer."]


def test_what_is_allowed_is_said_to_be(box: Box) -> None:
    rules(box, enforce=("*",))
    actions = box.service.actions
    allow = Action(0, NOON, "allow", "anna", "it is ours", server=SERVER, server_port=6606)
    actions.allow(allow, NOON)
    box.service.findings.take(finding())
    assert story(box)["state"] == "allowed"
    assert (box.sets.blocked, blocked_for(box)) == ({}, [])


def test_what_was_sent_with_anothers_address_is_said_to_be_so(box: Box) -> None:
    """A first packet needs no answer: the incident is of the card that sent it."""
    owner, sender = "02:00:00:00:00:01", "02:00:00:00:00:66"
    neighbours = {CLIENT: owner}
    box.service.neighbours.forget()
    box.neighbour = neighbours.get
    listed = replace(finding(RHYTHM, rule="feed.address"), connections=(), mac=sender)
    box.service.findings.take(listed)
    told = story(box)
    assert told["device"]["mac"] == sender
    assert told["note"].startswith(f"sent by the device with the hardware address {sender};")
    box.service.findings.take(replace(listed, mac=owner))
    assert story(box, 2)["note"] is None
