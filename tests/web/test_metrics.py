"""What Prometheus gets, read by its own parser."""

import time

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from ratwall_web.api.metrics import exposition
from web.conftest import Site
from web.peer import MADE, STATUS, ControllerPeer
from web.programs import Program, new_token
from web.story import Office

UP = "ratwall_up"
DEADLINE_S = 30
# What a label may hold: each of it has as many values as the box has parts, never as the wire has.
LABELS = {"version", "mode", "state", "worker", "kind", "feed", "outcome", "receiver"}
WHOLE = {
    **STATUS,
    "inspectors": [
        {
            "worker": worker,
            "alive": True,
            "queued": 10 + worker,
            "flows": 5,
            "blocked": 1,
            "reports_lost": 0,
            "failures": 0,
            "evicted": 0,
            "uptime_s": 60,
        }
        for worker in (0, 1)
    ],
    "uninspected": {"packets": 12, "flows": 3, "last": MADE},
    "conntrack": {"tracked": 900, "limit": 1000, "stage": "full"},
    "observed": {"flows": 7, "capacity": 4096, "evicted": 1, "lost": 2, "uncopied": 3},
    "selftest": {"ok": True, "time": MADE},
    "export": {
        "syslog": {
            "to": "198.51.100.7:6514",
            "error": "connection refused",
            "sent": 9,
            "last_sent": MADE,
            "backlog": 4,
            "error_since": MADE,
        }
    },
    "pauses": [{"action": 1, "device": None, "until": MADE}],
}
FIGURES = {
    **{f"{name}_today": 1 for name in ("blocked", "would_block", "inspected", "alerts")},
    "uninspected_today": 0,
    "devices": 4,
}


def read(text: str) -> dict[str, Metric]:
    """Read with Prometheus's own parser; it raises on what it would not take."""
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "each metric once"
    return {family.name: family for family in families}


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    (found,) = [
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return found


def test_the_state_of_the_box_in_numbers() -> None:
    families = read(exposition(WHOLE, FIGURES))
    assert value(families, "ratwall_up") == 1
    assert value(families, "ratwall_info", version="0.1.0", mode="bridge") == 1
    assert value(families, "ratwall_state", state="protecting") == 1
    assert value(families, "ratwall_state", state="bypassed") == 0
    assert value(families, "ratwall_inspector_queued_packets_total", worker="1") == 11
    assert value(families, "ratwall_inspector_cut_connections_total", worker="0") == 1
    assert value(families, "ratwall_uninspected_packets_total") == 12
    assert value(families, "ratwall_observed_unread_total") == 5
    assert value(families, "ratwall_conntrack_entries") == 900
    assert value(families, "ratwall_feed_taken_timestamp_seconds", feed="own") == MADE / 1e6
    assert value(families, "ratwall_feed_failed", feed="late") == 1
    assert value(families, "ratwall_ledger_bytes") == 65536
    assert value(families, "ratwall_export_sent_total", receiver="syslog") == 9
    assert value(families, "ratwall_export_backlog", receiver="syslog") == 4
    assert value(families, "ratwall_export_failing", receiver="syslog") == 1
    assert value(families, "ratwall_selftest_passed") == 1
    assert value(families, "ratwall_connections_today", outcome="blocked") == 1
    counters = {name for name, family in families.items() if family.type == "counter"}
    assert "ratwall_uninspected_packets" in counters and "ratwall_blocks" not in counters
    assert all(family.documentation for family in families.values())


def test_labels_do_not_grow_with_the_traffic() -> None:
    families = read(exposition(WHOLE, FIGURES))
    labels = {
        label
        for family in families.values()
        for sample in family.samples
        for label in sample.labels
    }
    assert labels <= LABELS


def test_whoever_does_not_answer_is_a_number_and_no_error() -> None:
    families = read(exposition(None, None))
    assert value(families, "ratwall_up") == 0
    assert value(families, "ratwall_ledger_up") == 0
    assert len(families) == 2
    assert value(read(exposition(WHOLE, None)), "ratwall_ledger_up") == 0


def test_a_name_of_a_list_cannot_break_out_of_its_label() -> None:
    name = 'a"b\\c\nratwall_up 7'
    lists = [{"name": name, "indicators": 1, "taken": None, "error": None}]
    families = read(exposition({**WHOLE, "feeds": {"lists": lists}}, FIGURES))
    assert value(families, "ratwall_feed_indicators", feed=name) == 1
    assert value(families, "ratwall_up") == 1


def test_a_running_page_is_scraped(site: Site, office: Office, controller: ControllerPeer) -> None:
    office.attack()
    program = Program(site.url, new_token(site.state_dir, "prometheus", "read"))
    deadline = time.monotonic() + DEADLINE_S  # a controller that is busy for once is told as down
    while value(families := read((reply := program.get("/metrics")).body.decode()), UP) == 0:
        assert time.monotonic() < deadline
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert value(families, "ratwall_state", state="protecting") == 1
    assert value(families, "ratwall_connections_today", outcome="blocked") == 1
    assert value(families, "ratwall_devices") == 1
    assert Program(site.url).get("/metrics").status == 401
