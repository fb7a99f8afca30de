"""Sums of what went uninspected, and the story of interruptions: exact over restarts, bounded."""

import json
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from ratwall.controller.story import LIMIT, Story
from ratwall.controller.uninspected import LISTED_LIMIT, RECENT_LIMIT, SECOND, Uninspected
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.kernel.sets import Missed
from ratwall.ledger import queries
from ratwall.ledger.store import Ledger, open_ledger
from ratwall.ledger.writer import LedgerWriter

NOW = 1_750_000_000_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.sqlite3") as ledger:
        yield ledger


def kept(ledger: Ledger, writer: LedgerWriter, note: str) -> str | None:
    assert writer.flush()
    return queries.notes(ledger).get(note)


def test_sums_are_exact_over_restarts_of_the_controller_and_of_the_table(ledger: Ledger) -> None:
    writer = LedgerWriter(ledger)
    first = Uninspected(writer, None, "table 1")
    first.count({"uninspected_packets": 5, "uninspected_flows_packets": 2}, NOW)
    again = Uninspected(writer, kept(ledger, writer, "uninspected"), "table 1")
    again.count({"uninspected_packets": 7, "uninspected_flows_packets": 2}, NOW + 1)
    assert (again.facts()["packets"], again.facts()["flows"], again.last) == (7, 2, NOW + 1)
    anew = Uninspected(writer, kept(ledger, writer, "uninspected"), "table 2")
    anew.count({"uninspected_packets": 9, "escaped_flows_packets": 1}, NOW + 2)
    assert anew.facts()["packets"] == 16, "a new table counts from nothing, however high it stands"
    assert anew.facts()["escaped_flows"] == 1
    ledger.close()


def test_a_note_of_the_version_before_is_understood(ledger: Ledger) -> None:
    writer = LedgerWriter(ledger)
    note = json.dumps({"packets": 10, "last": NOW, "kernel": 4})
    counts = Uninspected(writer, note, "")
    counts.count({"uninspected_packets": 6}, NOW)
    assert counts.facts()["packets"] == 12
    ledger.close()


def event(port: int, *, ended: bool = False) -> FlowEvent:
    ends = (ip_address("192.168.1.10"), 40_000, ip_address("203.0.113.7"), port)
    return FlowEvent(ended, *ends, FlowClass.UNINSPECTED, 0, 0)


def test_connections_are_listed_newest_first_each_end_once_up_to_a_limit(ledger: Ledger) -> None:
    counts = Uninspected(LedgerWriter(ledger), None, "")
    for port in range(1, RECENT_LIMIT + 2):
        counts.take_event(event(port), NOW)
    counts.take_event(event(2), NOW)
    counts.take_event(event(2, ended=True), NOW)
    recent = counts.facts()["recent"]
    assert len(recent) == RECENT_LIMIT
    assert (recent[0]["server_port"], recent[0]["flows"]) == (2, 2)
    assert recent[-1]["server_port"] == 3, "the oldest made room"
    assert len(counts.listing(LISTED_LIMIT)) == RECENT_LIMIT + 1, "and is listed on request"
    ledger.close()


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_list_is_bounded(ledger: Ledger, more: int) -> None:
    counts = Uninspected(LedgerWriter(ledger), None, "")
    for number in range(LISTED_LIMIT + more):
        counts.take_event(event(number), NOW)
    listed = counts.listing(2 * LISTED_LIMIT)
    assert len(listed) == min(LISTED_LIMIT, LISTED_LIMIT + more)
    assert listed[0]["server_port"] == LISTED_LIMIT + more - 1
    ledger.close()


def test_what_no_event_told_of_is_listed_from_the_kernels_sets(ledger: Ledger) -> None:
    counts = Uninspected(LedgerWriter(ledger), None, "")
    counts.take_event(event(1), NOW)
    told = Missed("192.168.1.10", "203.0.113.7", 1, age=1)
    lost = Missed("192.168.1.11", "203.0.113.8", 2, age=0)
    counts.take_missed([lost, told], NOW + SECOND)
    assert [(one["client"], one["flows"]) for one in counts.listing(9)] == [
        ("192.168.1.11", 1),
        ("192.168.1.10", 1),
    ]
    again = Missed("192.168.1.10", "203.0.113.7", 1, age=0)
    counts.take_missed([again], NOW + 60 * SECOND)
    newest = counts.listing(1)[0]
    assert (newest["client"], newest["flows"], newest["last"]) == (
        "192.168.1.10",
        2,
        NOW + 60 * SECOND,
    )
    ledger.close()


def test_the_sets_are_asked_only_when_the_count_has_grown(ledger: Ledger) -> None:
    counts = Uninspected(LedgerWriter(ledger), None, "")
    counters = {"uninspected_packets": 5, "uninspected_flows_packets": 2}
    assert counts.count(counters, NOW)
    assert not counts.count(counters, NOW)
    ledger.close()


def test_interruptions_have_a_begin_and_an_end(ledger: Ledger) -> None:
    writer = LedgerWriter(ledger)
    story = Story(writer, {}, NOW)
    story.watch("starting", "waiting", NOW)
    story.watch("protecting", None, NOW)
    assert story.entries() == []
    story.watch("bypassed", "no inspector", NOW + 1)
    story.watch("bypassed", "no inspector", NOW + 2)
    assert story.entries() == [{"what": "no inspector", "since": NOW + 1, "until": None}]
    story.watch("monitor", None, NOW + 3)
    assert story.entries()[0]["until"] == NOW + 3
    ledger.close()


def test_how_the_controller_before_ended_is_told(ledger: Ledger) -> None:
    writer = LedgerWriter(ledger)
    Story(writer, {}, NOW).watch("bypassed", "no inspector", NOW)
    writer.flush()
    story = Story(writer, queries.notes(ledger), NOW + 5)
    assert [one["until"] for one in story.entries()] == [NOW + 5, NOW + 5]
    assert "ended without a word" in story.entries()[0]["what"]
    story.stop(NOW + 6)
    writer.flush()
    after = Story(writer, queries.notes(ledger), NOW + 9)
    assert after.entries()[0] == {
        "what": "Ratwall was not running",
        "since": NOW + 6,
        "until": NOW + 9,
    }
    for _ in range(LIMIT):
        after.watch("bypassed", "x", NOW)
        after.watch("protecting", None, NOW)
    assert len(after.entries()) == LIMIT
    ledger.close()
