"""Reports taken in: rows, incidents, blocks, and what is kept of a certificate."""

import base64
import json
from typing import Any

import pytest

from ratwall.controller import selftest
from ratwall.controller.messages import FlowReport, parse_report
from ratwall.controller.rows import DER_KEPT, kept_der
from ratwall.ledger import queries
from ratwall.ledger.models import Certificate
from unit.controller.box import (
    CLIENT,
    NOON,
    SERVER,
    Box,
    FakeInspector,
    Running,
    clean,
    eventually,
    report,
)
from unit.controller.reading import flows_written, only_incident, state_of

DAY_SECONDS = 86_400
SECOND = 1_000_000
SHA256 = "cd" * 32


def test_repeats_on_other_ports_are_one_incident_and_each_port_is_blocked(
    box: Box, inspector: FakeInspector
) -> None:
    for number, port in enumerate((6606, 7707, 8808, 6606)):
        inspector.send(report(server_port=port, client_port=50_000 + number))
    eventually(lambda: only_incident(box)["count"] == 4)
    story = only_incident(box)
    assert story["server_port"] == 6606
    assert len(story["flows"]) == 4
    assert {action["server_port"] for action in story["actions"]} == {6606, 7707, 8808}
    assert set(box.sets.blocked) == {(SERVER, 6606), (SERVER, 7707), (SERVER, 8808)}


def test_monitor_mode_blocks_nothing_and_says_what_it_would_have_done(
    box: Box, inspector: FakeInspector
) -> None:
    inspector.send(report(enforced=False, **{"class": "observed"}))
    story = only_incident(box)
    assert story["state"] == "would_block"
    assert "not blocked" in story["headline"]
    assert (story["actions"], box.sets.blocked) == ([], {})


def test_an_alert_blocks_nothing(box: Box, inspector: FakeInspector) -> None:
    inspector.send(report(verdict="alert", score=65, family=None, **{"class": "observed"}))
    assert state_of(box) == "alert"
    assert box.sets.blocked == {}


def test_a_server_on_the_never_block_list_is_cut_but_never_blocked(
    box: Box, inspector: FakeInspector
) -> None:
    inspector.send(report(server="192.0.2.1"))
    story = only_incident(box)
    assert "never-block list" in story["note"]
    assert (story["actions"], box.sets.blocked) == ([], {})


def test_the_hours_count_what_happened(box: Box, inspector: FakeInspector) -> None:
    inspector.send(report())
    inspector.send(report(enforced=False, **{"class": "observed"}, client="192.168.1.11"))
    inspector.send(report(verdict="alert", **{"class": "observed"}, client="192.168.1.12"))
    inspector.send(clean())
    with box.reading() as ledger:
        eventually(lambda: len(queries.flows(ledger)) == 4)
        now_shown = queries.dashboard(ledger, NOON)["hours"][-1]
    counts = {key: value for key, value in now_shown.items() if key != "hour"}
    assert counts == {
        "inspected": 4, "blocked": 1, "would_block": 1, "alerts": 1, "uninspected": 0,
    }  # fmt: skip


def test_a_kernel_that_refuses_is_told_and_tried_again(
    box: Box, running: Running, inspector: FakeInspector
) -> None:
    box.sets.broken = True
    inspector.send(report())
    assert only_incident(box)["actions"] == []  # nothing is claimed that does not hold
    assert "nft" in running.call("status")["kernel_problem"]
    box.sets.broken = False
    box.now += 10 * SECOND
    eventually(lambda: only_incident(box)["actions"])
    assert box.sets.blocked == {(SERVER, 6606): DAY_SECONDS}
    box.now += 10 * SECOND
    eventually(lambda: running.call("status")["kernel_problem"] is None)


def test_a_malformed_report_changes_nothing_and_the_next_is_taken(
    box: Box, inspector: FakeInspector
) -> None:
    for raw in (b"{", b"\xff" * 1000, b"[]", b'{"type": "flow"}'):
        inspector.send(raw)
    inspector.send(report())
    only_incident(box)
    with box.reading() as ledger:
        assert len(queries.flows(ledger)) == 1


@pytest.mark.parametrize(
    ("verdict", "length", "kept"),
    [
        ("watch", 1, False),
        ("alert", 1, True),
        ("block", DER_KEPT - 1, True),
        ("block", DER_KEPT, True),
        ("block", DER_KEPT + 1, False),
    ],
)
def test_only_certificates_that_matter_and_of_a_common_size_are_kept_whole(
    verdict: str, length: int, kept: bool
) -> None:
    der = base64.b64encode(b"0" * length).decode()
    told = parse_report(json.dumps(report(verdict=verdict, der=der)).encode())
    assert isinstance(told, FlowReport)
    assert kept_der(told) == (b"0" * length if kept else None)


def test_a_padded_certificate_leaves_its_facts(box: Box, inspector: FakeInspector) -> None:
    inspector.send(report(der=base64.b64encode(b"0" * 63_000).decode()))
    certificate = only_incident(box)["certificate"]
    assert certificate["sha256"] == SHA256
    with box.reading() as ledger:
        assert ledger.value(Certificate.select(Certificate.der)) is None


def test_a_self_test_is_no_attack_and_leaves_nothing_in_the_books(
    box: Box, running: Running, inspector: FakeInspector
) -> None:
    addresses = {"client": selftest.CLIENT, "server": selftest.SERVER}
    inspector.send(report(**addresses, server_port=selftest.SERVER_PORT))
    running.call("selftest_result", result={"ok": True, "reason": "cut", "duration_ms": 90})
    endpoint = {"server": selftest.SERVER, "server_port": selftest.SERVER_PORT}
    assert running.call("release", **endpoint, reason="self-test") == {"released": 0}
    assert inspector.receive_until("forget") == {
        "type": "forget",
        "server": "192.0.2.6",
        "port": 443,
    }
    inspector.send(clean())  # an ordinary connection after it is written down
    eventually(lambda: flows_written(box) == 1)
    with box.reading() as ledger:
        shown = queries.dashboard(ledger, NOON)
        assert (shown["blocked_today"], shown["inspected_today"]) == (0, 1)
        assert [device["address"] for device in queries.devices(ledger)] == [CLIENT]
        assert queries.incidents(ledger) == []
        assert queries.actions(ledger, NOON, active_only=False) == []
        assert [entry["event"] for entry in queries.audit(ledger)] == ["selftest"]
    assert box.sets.blocked == {}
    assert running.call("status")["selftest"]["ok"] is True


@pytest.mark.parametrize(
    "changes",
    [{"client": CLIENT}, {"server": "192.0.2.7"}, {"server_port": 444}],
)
def test_only_the_self_tests_own_connection_is_left_out(
    box: Box, inspector: FakeInspector, changes: dict[str, Any]
) -> None:
    own = {
        "client": selftest.CLIENT,
        "server": selftest.SERVER,
        "server_port": selftest.SERVER_PORT,
    }
    inspector.send(report(**{**own, **changes}))
    assert only_incident(box)["state"] == "blocking"
