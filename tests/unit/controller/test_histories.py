"""What is gathered of a device and a server, and what is forgotten."""

from dataclasses import replace

import pytest

from ratwall.controller import histories
from ratwall.controller.histories import Histories
from ratwall.controller.messages import FlowReport
from ratwall.detections.history import DAY, HOUR, SECOND, Beat, History, Rarity
from unit.controller.box import CLIENT, SERVER
from unit.controller.test_observation import flow_report

GROUPS = {
    "asyncrat.name": "name",
    "asyncrat.hello": "hello",
    "general.old": "hello",
    "general.no-name": "hello",
}
STRANGER = Rarity(1, 0)


def told(at: int, server: str = SERVER, port: int = 6606) -> FlowReport:
    return replace(flow_report(server=server, server_port=port), start=at)


def seen(gathered: Histories, now: int, server: str = SERVER) -> History:
    view = gathered.view(
        (CLIENT, server), STRANGER, site_age=DAY, named=False, watched=False, now=now
    )
    assert view is not None
    return view


@pytest.fixture
def gathered() -> Histories:
    return Histories(GROUPS)


NOW = 500_000 * HOUR


def test_handshakes_are_counted_by_the_hour(gathered: Histories) -> None:
    for hours_ago in (0, 0, 1, 23, 24):
        gathered.take_report(told(NOW - hours_ago * HOUR))
    view = seen(gathered, NOW)
    assert (view.hours[-1], view.hours[-2], view.hours[0]) == (2, 1, 1)
    assert view.handshakes == 4, "a day, not more"


def test_the_busiest_hour_with_others_is_the_measure(gathered: Histories) -> None:
    gathered.take_report(told(NOW))
    for _ in range(7):
        gathered.take_report(told(NOW - 3 * HOUR, server="203.0.113.80"))
    assert seen(gathered, NOW).usual_hour == 7
    assert seen(gathered, NOW, "203.0.113.80").usual_hour == 1
    assert seen(gathered, NOW + 22 * HOUR).usual_hour == 0


def test_what_a_handshake_showed_is_kept_by_kind(gathered: Histories) -> None:
    facts = [
        {"id": "asyncrat.name", "points": 95, "text": "A name.", "technique": None},
        {"id": "asyncrat.hello", "points": 15, "text": "A RAT's hello.", "technique": None},
        {"id": "general.old", "points": 15, "text": "An old hello.", "technique": None},
        {"id": "general.no-name", "points": 10, "text": "No name.", "technique": None},
        {"id": "memory.server", "points": 90, "text": "Remembered.", "technique": None},
    ]
    gathered.take_report(replace(told(NOW), evidence=tuple(facts)))
    view = seen(gathered, NOW)
    assert (view.odd_certificate, view.odd_fingerprint) == ("A name.", "A RAT's hello.")
    assert (view.self_signed, view.named) == (True, False)
    gathered.take_report(replace(told(NOW), sni="shop.example"))
    assert seen(gathered, NOW).named


def test_failures_count_for_an_hour_and_keep_their_ports(gathered: Histories) -> None:
    for number in range(5):
        gathered.take_failure((CLIENT, SERVER), 6606 + number, NOW + number * SECOND)
    gathered.take_report(told(NOW + 9 * SECOND))
    view = seen(gathered, NOW + 10 * SECOND)
    assert (view.failures, view.attempts, view.failed_ports) == (5, 6, tuple(range(6606, 6611)))
    assert len(view.starts) == 6
    assert seen(gathered, NOW + HOUR).failures == 4, "the first is an hour old"


def test_a_beat_is_believed_for_a_day(gathered: Histories) -> None:
    beat = Beat(4, 13_500_000, True)
    gathered.take_beat((CLIENT, SERVER), beat, NOW)
    assert seen(gathered, NOW + DAY - 1).beat == beat
    assert seen(gathered, NOW + DAY).beat is None


def test_what_was_not_used_for_a_day_is_forgotten(gathered: Histories) -> None:
    gathered.take_report(told(NOW))
    gathered.take_report(told(NOW + HOUR, server="203.0.113.80"))
    gathered.forget_old(NOW + DAY - 1)
    assert len(gathered) == 2
    gathered.forget_old(NOW + DAY)
    assert len(gathered) == 1


def test_a_scan_of_the_whole_internet_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(histories, "PAIRS_LIMIT", 50)
    gathered = Histories({})
    for number in range(60):
        gathered.take_failure((CLIENT, f"203.0.113.{number}"), 1 + number, NOW + number)
    assert len(gathered) == 50
    for port in range(1, 1000):
        gathered.take_failure((CLIENT, SERVER), port, NOW)
    view = seen(gathered, NOW)
    assert view.failed_ports == tuple(range(1000 - histories.PORTS_KEPT, 1000))
    assert (view.failures, len(view.starts)) == (histories.FAILED_KEPT, histories.STARTS_KEPT)


def test_what_is_not_in_the_table_runs_no_more(gathered: Histories) -> None:
    for port in (50_000, 50_001):
        report = replace(told(NOW), client_port=port, flow_class="clean")
        gathered.take_report(report)
    runs = (CLIENT, 50_001, SERVER, 6606)
    gathered.take_table({runs, (SERVER, 6606, CLIENT, 50_001)})
    assert gathered.running((CLIENT, SERVER)) == (runs,)
