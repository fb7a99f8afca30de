"""What pages and the command line read: paging, searching, days and hours, nothing left raw."""

from typing import Any

import pytest

from ratwall.ledger import queries
from ratwall.ledger.models import Action, Certificate, Device, Flow, Incident
from ratwall.ledger.store import Ledger
from ratwall.ledger.writer import HOUR, LedgerWriter

ANNA, BERT = "192.168.1.10", "192.168.1.11"


@pytest.fixture
def story(
    ledger: Ledger,
    writer: LedgerWriter,
    flow: dict[str, Any],
    incident: dict[str, Any],
    certificate: dict[str, Any],
    now: int,
) -> LedgerWriter:
    """Write two devices, an incident with its certificate, block and flow, and a clean flow."""
    anna = writer.device("02:00:00:00:00:01", ANNA, now)
    bert = writer.device(None, BERT, now + 1)
    shown = writer.certificate(certificate, b"0\x82", now)
    opened = writer.insert(Incident, {**incident, "device": anna, "certificate": shown})
    bad = {"device": anna, "certificate": shown, "incident": opened, "server_port": 6606}
    writer.insert(Flow, {**flow, **bad, "sni": None, "verdict": "block", "family": "AsyncRAT"})
    writer.insert(Flow, {**flow, "device": bert, "client": BERT})
    writer.insert(
        Action,
        {
            "created": now,
            "kind": "block",
            "author": "rule",
            "reason": "why",
            "server": "203.0.113.7",
            "server_port": 6606,
            "expires": now + 1000,
            "incident": opened,
        },
    )
    writer.count(now, "inspected", 2)
    writer.count(now, "blocked")
    writer.flush()
    return writer


@pytest.mark.usefixtures("story")
def test_an_incident_comes_with_all_that_belongs_to_it(ledger: Ledger, now: int) -> None:
    found = queries.incident(ledger, 1)
    assert found is not None
    assert found["device"] == {
        "id": 1, "address": ANNA, "mac": "02:00:00:00:00:01", "name": None,
    }  # fmt: skip
    assert found["certificate"]["subject"] == "CN=AsyncRAT Server"
    assert "der" not in found["certificate"]
    assert found["evidence"][0]["points"] == 95
    assert found["blocked_until"] == now + 1000
    assert [flow["id"] for flow in found["flows"]] == [1]
    assert [action["kind"] for action in found["actions"]] == ["block"]
    assert queries.incident(ledger, 2) is None


@pytest.mark.usefixtures("story")
def test_an_undone_block_blocks_until_nothing(ledger: Ledger, now: int) -> None:
    ledger.execute(Action.update(undone=now))
    assert queries.incidents(ledger)[0]["blocked_until"] is None


@pytest.mark.usefixtures("story")
def test_devices_carry_their_incidents(ledger: Ledger) -> None:
    assert [
        (row["address"], row["incidents"], row["score"]) for row in queries.devices(ledger)
    ] == [
        (BERT, 0, 0),
        (ANNA, 1, 95),
    ]
    anna = queries.device(ledger, 1)
    assert anna is not None
    assert len(anna["incidents"]) == len(anna["flows"]) == 1
    assert queries.device(ledger, 3) is None


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize(
    ("search", "ids"),
    [
        ("", [2, 1]),
        ("203.0.113", [2, 1]),
        ("192.168.1.11", [2]),
        ("ASYNCRAT", [1]),
        ("example.org", [2]),
        ("02:00:00", [1]),
        ("6606", [1]),
        ("abab 6606", [1]),
        ("example 6606", []),
        ("%", []),
        ("_", []),
        ("'; DROP TABLE flow; --", []),
        ("9" * 100, []),
    ],
)
def test_flows_are_found_by_what_a_person_would_type(
    ledger: Ledger, search: str, ids: list[int]
) -> None:
    assert [flow["id"] for flow in queries.flows(ledger, search)] == ids


@pytest.mark.usefixtures("story")
def test_a_search_has_a_greatest_number_of_words(ledger: Ledger) -> None:
    for count in (queries.SEARCH_WORDS - 1, queries.SEARCH_WORDS):
        assert [flow["id"] for flow in queries.flows(ledger, "6606 " * count)] == [1]
    with pytest.raises(queries.SearchError, match="at most 16 words, found 17"):
        queries.flows(ledger, "6606 " * (queries.SEARCH_WORDS + 1))


@pytest.mark.usefixtures("story")
def test_flows_by_verdict(ledger: Ledger) -> None:
    assert [flow["id"] for flow in queries.flows(ledger, verdict="block")] == [1]


@pytest.mark.usefixtures("story")
def test_the_dashboard_has_24_hours_and_todays_counts(ledger: Ledger, now: int) -> None:
    shown = queries.dashboard(ledger, now)
    assert (shown["inspected_today"], shown["blocked_today"], shown["devices"]) == (2, 1, 2)
    hours = shown["hours"]
    assert len(hours) == 24
    assert [hour["hour"] for hour in hours] == [
        now // HOUR * HOUR - back * HOUR for back in range(23, -1, -1)
    ]
    assert [hour["inspected"] for hour in hours] == [0] * 23 + [2]
    assert [row["id"] for row in shown["incidents"]] == [1]
    tomorrow = queries.dashboard(ledger, now + 24 * HOUR)
    assert tomorrow["inspected_today"] == 0
    assert tomorrow["hours"][0]["inspected"] == 0


def test_paging_goes_through_everything_once(
    ledger: Ledger, story: LedgerWriter, flow: dict[str, Any]
) -> None:
    for _ in range(8):
        story.insert(Flow, {**flow, "device": 1})
    story.flush()
    seen: list[int] = []
    before = None
    while page := queries.flows(ledger, limit=3, before_id=before):
        seen += [row["id"] for row in page]
        before = page[-1]["id"]
    assert seen == list(range(10, 0, -1))


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize(("after", "active"), [(999, 1), (1000, 0), (1001, 0)])
def test_actions_are_in_force_until_they_expire(
    ledger: Ledger, now: int, after: int, active: int
) -> None:
    assert len(queries.actions(ledger, now + after)) == active
    assert len(queries.actions(ledger, now + after, active_only=False)) == 1


def test_an_empty_ledger_is_all_zeros(ledger: Ledger, now: int) -> None:
    shown = queries.dashboard(ledger, now)
    assert shown["inspected_today"] == shown["devices"] == 0
    assert shown["incidents"] == []
    for read in (queries.incidents, queries.devices, queries.flows, queries.audit):
        assert read(ledger) == []
    assert queries.allows(ledger, now) == queries.actions(ledger, now) == []
    assert len(ledger.rows(Certificate.select())) == len(ledger.rows(Device.select())) == 0
