"""Grouping, without socket or ledger: which attempts are one story, and what becomes of it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from ratwall.controller import incidents
from ratwall.controller.incidents import TOGETHER_US, Incident, IncidentBook, join, outcome_of
from ratwall.controller.messages import FlowReport, parse_report
from ratwall.verdict.headline import Outcome
from unit.controller.box import NOON, SERVER, report

MONITOR = {"class": "observed", "enforced": False}
ALLOWED = {"class": "exempt"}
ALERT = {"class": "observed", "verdict": "alert", "score": 65, "family": None}


def flow(**changes: Any) -> FlowReport:
    parsed = parse_report(json.dumps(report(**changes)).encode())
    assert isinstance(parsed, FlowReport)
    return parsed


def incident(**changes: Any) -> Incident:
    values: dict[str, Any] = {
        "id": 1,
        "opened": NOON,
        "updated": NOON,
        "device_id": 1,
        "device": "PC-ANNA",
        "server": SERVER,
        "server_port": 6606,
        "family": "AsyncRAT",
        "score": 90,
        "state": Outcome.BLOCKED,
        "ports": {6606},
    }
    return Incident(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, Outcome.BLOCKING),
        (MONITOR, Outcome.WOULD_BLOCK),
        (ALLOWED, Outcome.ALLOWED),
        (ALERT, Outcome.ALERT),
        ({"class": "watch", "verdict": "watch"}, None),
        ({"class": "clean", "verdict": "clean"}, None),
    ],
)
def test_what_a_report_means_for_a_person(changes: dict[str, Any], outcome: Outcome | None) -> None:
    assert outcome_of(flow(**changes)) is outcome


def test_another_port_of_the_same_server_is_the_same_story() -> None:
    book = IncidentBook([incident()])
    found = book.match(1, flow(server_port=7707), Outcome.BLOCKING, NOON)
    assert found is not None
    join(found, flow(server_port=7707), Outcome.BLOCKING, NOON + 1)
    assert (found.count, found.ports, found.server_port) == (2, {6606, 7707}, 6606)


@pytest.mark.parametrize(
    ("device_id", "changes"),
    [(2, {}), (1, {"server": "203.0.113.8"}), (1, {"family": "Quasar"})],
)
def test_another_device_server_or_family_is_another_story(
    device_id: int, changes: dict[str, Any]
) -> None:
    book = IncidentBook([incident()])
    assert book.match(device_id, flow(**changes), Outcome.BLOCKING, NOON) is None


@pytest.mark.parametrize(("known", "told"), [("AsyncRAT", None), (None, "AsyncRAT")])
def test_what_names_no_family_belongs_to_the_one_that_does(
    known: str | None, told: str | None
) -> None:
    book = IncidentBook([replace(incident(), family=known)])
    found = book.match(1, flow(family=told), Outcome.BLOCKING, NOON)
    assert found is not None
    join(found, flow(family=told), Outcome.BLOCKING, NOON)
    assert found.family == "AsyncRAT"


@pytest.mark.parametrize(("later", "same"), [(-1, True), (0, False), (1, False)])
def test_a_day_later_it_is_another_story(later: int, same: bool) -> None:
    book = IncidentBook([incident()])
    found = book.match(1, flow(), Outcome.BLOCKING, NOON + TOGETHER_US + later)
    assert (found is not None) is same


@pytest.mark.parametrize("state", [Outcome.RELEASED, Outcome.ALLOWED])
def test_after_a_person_decided_a_new_attempt_is_a_new_story(state: Outcome) -> None:
    book = IncidentBook([incident(state=state)])
    assert book.match(1, flow(), Outcome.BLOCKING, NOON) is None


def test_what_was_allowed_goes_on_in_the_same_story() -> None:
    book = IncidentBook([incident(state=Outcome.ALLOWED)])
    assert book.match(1, flow(**ALLOWED), Outcome.ALLOWED, NOON) is not None


def test_a_new_attempt_makes_it_blocking_until_the_kernel_proves_that_one_too() -> None:
    story = incident(state=Outcome.BLOCKED)
    join(story, flow(), Outcome.BLOCKING, NOON)
    assert story.state is Outcome.BLOCKING


def test_an_attempt_that_passed_is_not_hidden_behind_an_earlier_block() -> None:
    story = incident(state=Outcome.BLOCKED)
    join(story, flow(**MONITOR), Outcome.WOULD_BLOCK, NOON)
    assert story.state is Outcome.WOULD_BLOCK


def test_the_strongest_attempt_explains_it() -> None:
    story = incident(score=90, evidence=({"id": "weak"},))
    join(story, flow(score=89), Outcome.BLOCKING, NOON)
    assert (story.score, story.evidence) == (90, ({"id": "weak"},))
    join(story, flow(score=91), Outcome.BLOCKING, NOON)
    assert story.score == 91
    assert story.evidence[0]["id"] == "asyncrat.name"


def test_the_headline_says_blocked_only_when_it_is() -> None:
    assert incident(state=Outcome.BLOCKING).headline.endswith("being blocked")
    assert incident(state=Outcome.BLOCKED).headline.endswith(": blocked")
    assert incident().headline.startswith("PC-ANNA tried to reach a remote-control server")


def test_the_book_is_bounded_and_lets_go_of_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incidents, "AT_HAND_LIMIT", 3)
    book = IncidentBook(incident(id=number, server=f"203.0.113.{number}") for number in (1, 2, 3))
    assert [each.id for each in book] == [1, 2, 3]
    book.add(incident(id=4, server="203.0.113.4"))
    assert [each.id for each in book] == [2, 3, 4]
    assert book.match(1, flow(server="203.0.113.1"), Outcome.BLOCKING, NOON) is None


def test_old_incidents_are_let_go_and_the_newer_of_the_same_key_stays() -> None:
    old = incident(id=1, updated=NOON - TOGETHER_US)
    book = IncidentBook([old, incident(id=2)])
    book.forget_old(NOON)
    assert [each.id for each in book] == [2]
    found = book.match(1, flow(), Outcome.BLOCKING, NOON)
    assert found is not None
    assert found.id == 2
