"""A whole controller at work: reports and proofs in, blocks, ledger rows and messages out."""

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ratwall.controller import selftest, service
from ratwall.controller.messages import FlowReport, parse_report
from ratwall.controller.rows import DER_KEPT, kept_der
from ratwall.controller.service import RETENTION_BYTES
from ratwall.errors import UsageError
from ratwall.kernel.marks import FlowClass
from ratwall.ledger import queries
from ratwall.ledger.models import Certificate
from ratwall.ledger.store import FILE_NAME, Ledger, LedgerError, open_ledger
from unit.controller.box import (
    CLIENT,
    NOON,
    SERVER,
    Box,
    FakeInspector,
    Running,
    clean,
    eventually,
    proof,
    report,
)

DAY_SECONDS = 86_400
SECOND = 1_000_000
SHA256 = "cd" * 32


def only_incident(box: Box) -> dict[str, Any]:
    """Wait for the one incident there is and return it in full."""
    with box.reading() as ledger:
        (found,) = eventually(lambda: queries.incidents(ledger))
        story = queries.incident(ledger, found["id"])
    assert story is not None
    return story


def state_of(box: Box) -> str:
    return str(only_incident(box)["state"])


def test_a_cut_connection_is_blocking_first_and_blocked_when_the_kernel_shows_it(
    box: Box, inspector: FakeInspector
) -> None:
    inspector.send(report())
    story = only_incident(box)
    assert story["state"] == "blocking"
    assert story["headline"].endswith("being blocked")
    assert box.sets.blocked == {(SERVER, 6606): DAY_SECONDS}
    (action,) = story["actions"]
    assert (action["author"], action["reason"]) == ("rule", "The name.")
    assert action["expires"] == story["blocked_until"] == NOON + DAY_SECONDS * SECOND

    box.watch.show(proof())

    eventually(lambda: state_of(box) == "blocked")
    story = only_incident(box)
    assert story["headline"].endswith(": blocked")
    (flow,) = story["flows"]
    assert flow["proven"]
    assert flow["evidence"] == [
        {"id": "asyncrat.name", "points": 95, "text": "The name.", "technique": "T1573.002"}
    ]


def test_the_proof_may_come_before_the_report(
    box: Box, running: Running, inspector: FakeInspector
) -> None:
    box.watch.show(proof())
    running.call("status")  # the proof was read in the turn before
    inspector.send(report())
    eventually(lambda: state_of(box) == "blocked")


def test_a_proof_of_another_connection_proves_nothing(box: Box, inspector: FakeInspector) -> None:
    inspector.send(report())
    only_incident(box)
    box.watch.show(proof(source_port=50_001))
    box.watch.show(proof(flow_class=FlowClass.CLEAN))
    inspector.send(clean())
    with box.reading() as ledger:
        eventually(lambda: len(queries.flows(ledger)) == 2)
    assert state_of(box) == "blocking"


def test_the_proof_of_an_earlier_attempt_does_not_speak_for_the_last_one(
    box: Box, running: Running, inspector: FakeInspector
) -> None:
    inspector.send(report())
    inspector.send(report(client_port=50_001))
    eventually(lambda: only_incident(box)["count"] == 2)
    box.watch.show(proof())  # of the first attempt
    with box.reading() as ledger:
        eventually(lambda: queries.flows(ledger)[-1]["proven"])
    assert state_of(box) == "blocking"
    box.watch.show(proof(source_port=50_001))
    eventually(lambda: state_of(box) == "blocked")


def test_a_connection_first_seen_from_the_server_is_proven_too(
    box: Box, inspector: FakeInspector
) -> None:
    inspector.send(report())
    event = proof()
    box.watch.show(
        replace(
            event,
            source=event.destination,
            source_port=event.destination_port,
            destination=event.source,
            destination_port=event.source_port,
        )
    )
    eventually(lambda: state_of(box) == "blocked")


def test_lost_events_are_looked_up_in_the_table(box: Box, inspector: FakeInspector) -> None:
    inspector.send(report())
    only_incident(box)
    box.watch.table = [proof()]
    box.watch.overflows = 1
    box.watch.show(proof(source_port=1))
    eventually(lambda: state_of(box) == "blocked")


def test_the_end_of_a_connection_is_written_down(box: Box, inspector: FakeInspector) -> None:
    inspector.send(clean())
    with box.reading() as ledger:
        eventually(lambda: queries.flows(ledger))
        box.now += 7 * SECOND
        box.watch.show(proof(destination_port=443, flow_class=FlowClass.CLEAN, ended=True))
        eventually(lambda: queries.flows(ledger)[0]["end"] == NOON + 7 * SECOND)


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


def test_what_the_kernel_let_pass_uninspected_is_counted_over_restarts(
    box: Box,
) -> None:
    def missed() -> dict[str, Any]:
        box.now += 10 * SECOND  # the kernel is asked every few seconds
        found: dict[str, Any] = running.call("status")["uninspected"]
        return found

    box.sets.uninspected = 5
    running = Running(box)
    eventually(lambda: missed()["packets"] == 5)
    box.sets.uninspected = 7
    eventually(lambda: missed()["packets"] == 7)
    when = missed()["last"]
    assert NOON < when < box.now
    running.stop()

    box.sets.uninspected = 8  # one more while the controller was away
    running = Running(box)
    eventually(lambda: missed()["packets"] == 8)
    box.sets.uninspected = 2  # a new table counts from nothing
    eventually(lambda: missed()["packets"] == 10)
    running.stop()
    with box.reading() as ledger:
        assert (
            sum(hour["uninspected"] for hour in queries.dashboard(ledger, box.now)["hours"]) == 10
        )


def test_blocks_and_allows_survive_a_restart_with_the_time_they_had_left(box: Box) -> None:
    first = Running(box)
    first.call("block", server=SERVER, server_port=6606, seconds=3600, reason="mine")
    first.call("block", server=SERVER, server_port=7707, seconds=60, reason="short")
    first.call("allow", server=SERVER, server_port=443, reason="mine")
    first.call("allow", server=SERVER, server_port=80, device=CLIENT, seconds=600, reason="mine")
    first.stop()
    box.sets.blocked, box.sets.allowed = {}, {}  # a reboot
    box.now += 100 * SECOND + 1

    second = Running(box)
    assert box.sets.blocked == {(SERVER, 6606): 3500}  # rounded up to whole seconds
    assert box.sets.allowed == {(None, SERVER, 443): None, (CLIENT, SERVER, 80): 500}
    second.stop()


def test_what_the_kernel_refuses_at_the_start_is_tried_again(box: Box) -> None:
    first = Running(box)
    first.call("block", server=SERVER, server_port=6606, seconds=3600, reason="mine")
    first.call("allow", server=SERVER, server_port=443, reason="mine")
    first.stop()
    box.sets.blocked, box.sets.allowed = {}, {}
    box.sets.broken = True

    second = Running(box)
    box.now += 10 * SECOND
    eventually(lambda: "nft" in (second.call("status")["kernel_problem"] or ""))
    assert (box.sets.blocked, box.sets.allowed) == ({}, {})
    box.sets.broken = False
    box.now += 10 * SECOND
    eventually(lambda: box.sets.allowed == {(None, SERVER, 443): None})
    assert box.sets.blocked == {(SERVER, 6606): 3580}
    eventually(lambda: second.call("status")["kernel_problem"] is None)
    second.stop()


def test_a_block_tried_again_does_not_shorten_one_that_came_meanwhile(box: Box) -> None:
    first = Running(box)
    first.call("block", server=SERVER, server_port=6606, seconds=3600, reason="mine")
    first.stop()
    box.sets.broken = True
    second = Running(box)
    eventually(lambda: "counters" in (second.call("status")["kernel_problem"] or ""))  # one turn
    box.sets.broken = False
    inspector = FakeInspector(box.state)
    inspector.send(report())  # a rule's block of a day
    eventually(lambda: box.sets.blocked == {(SERVER, 6606): DAY_SECONDS})
    box.now += 10 * SECOND
    eventually(lambda: box.sets.blocked == {(SERVER, 6606): DAY_SECONDS - 10})
    inspector.close()
    second.stop()


def test_of_two_blocks_of_a_server_the_longer_one_holds_after_a_restart(box: Box) -> None:
    first = Running(box)
    inspector = FakeInspector(box.state)
    inspector.send(report())  # a day
    eventually(lambda: box.sets.blocked)
    first.call("block", server=SERVER, server_port=6606, seconds=2 * DAY_SECONDS, reason="mine")
    inspector.close()
    first.stop()
    box.sets.blocked = {}
    second = Running(box)
    assert box.sets.blocked == {(SERVER, 6606): 2 * DAY_SECONDS}
    second.stop()


def test_a_table_that_could_not_be_read_at_the_start_is_read_later(box: Box) -> None:
    first = Running(box)
    inspector = FakeInspector(box.state)
    inspector.send(report())
    eventually(lambda: box.sets.blocked)
    inspector.close()
    box.watch.table = [proof()]
    box.watch.broken = True
    box.watch.overflows = 1
    box.watch.show(proof(source_port=1))
    eventually(lambda: "conntrack" in (first.call("status")["kernel_problem"] or ""))
    assert state_of(box) == "blocking"
    box.watch.broken = False
    box.now += 10 * SECOND
    eventually(lambda: state_of(box) == "blocked")
    first.stop()


def test_an_incident_goes_on_after_a_restart(box: Box) -> None:
    for port in (6606, 7707):
        running = Running(box)
        inspector = FakeInspector(box.state)
        inspector.send(report(server_port=port))
        eventually(lambda port=port: (SERVER, port) in box.sets.blocked)
        inspector.close()
        running.stop()
    assert only_incident(box)["count"] == 2


def test_an_inspector_is_told_mode_allows_and_memory_first(box: Box) -> None:
    running = Running(box)
    inspector = FakeInspector(box.state)
    inspector.send(report())
    learned = inspector.receive_until("memory")["entries"]
    running.call("allow", certificate_sha256="ef" * 32, device=CLIENT, reason="mine")
    inspector.close()
    running.stop()

    box.enforce = False
    running = Running(box)
    fresh = FakeInspector(box.state)
    assert fresh.receive() == {"type": "mode", "enforce": False}
    assert fresh.receive() == {
        "type": "allow",
        "part": 0,
        "parts": 1,
        "certificates": [{"sha256": "ef" * 32, "device": CLIENT}],
    }
    assert fresh.receive() == {"type": "memory", "entries": learned}
    assert learned[0]["certificate_sha256"] == SHA256
    fresh.close()
    running.stop()


def test_what_one_inspector_learns_all_are_told(
    running: Running, inspector: FakeInspector, box: Box
) -> None:
    other = FakeInspector(box.state)
    other.receive_until("allow")
    inspector.send(report())
    assert other.receive()["entries"][0]["port"] == 6606
    # The same endpoint now shows another certificate that is clean: the memory is withdrawn.
    box.now += 1
    facts = {**report()["certificate"], "sha256": "00" * 32}
    inspector.send(clean(server_port=6606, certificate=facts))
    assert other.receive()["entries"][0]["withdrawn"] is True
    other.close()


def test_a_resumed_connection_teaches_nothing(
    box: Box, inspector: FakeInspector, running: Running
) -> None:
    inspector.send(report(certificate=None, der=None, resumed=True))
    only_incident(box)
    inspector.receive_until("allow")
    running.call("allow", certificate_sha256="ef" * 32, reason="to get a message")
    assert inspector.receive()["type"] == "allow"  # and no memory before it


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


def test_a_silent_inspector_is_noticed(
    box: Box, running: Running, inspector: FakeInspector
) -> None:
    counters = {"queued": 9, "flows": 8, "blocked": 7, "reports_lost": 6, "uptime_s": 5}
    inspector.send({"type": "status", "worker": 0, "pid": 77, **counters})
    eventually(lambda: running.call("status")["state"] == "protecting")
    (told,) = running.call("status")["inspectors"]
    assert (told["pid"], told["queued"], told["alive"]) == (77, 9, True)

    box.now += 60 * SECOND
    status = running.call("status")
    assert (status["state"], status["inspectors"][0]["alive"]) == ("bypassed", False)
    inspector.close()
    eventually(lambda: running.call("status")["inspectors"] == [])


def test_a_malformed_report_changes_nothing_and_the_next_is_taken(
    box: Box, inspector: FakeInspector
) -> None:
    for raw in (b"{", b"\xff" * 1000, b"[]", b'{"type": "flow"}'):
        inspector.send(raw)
    inspector.send(report())
    only_incident(box)
    with box.reading() as ledger:
        assert len(queries.flows(ledger)) == 1


def test_without_a_usable_disk_it_protects_and_says_that_nothing_is_kept(box: Box) -> None:
    full = True

    def opening() -> Ledger:
        if full:
            raise LedgerError("cannot open the ledger: database or disk is full")
        return open_ledger(box.state / FILE_NAME)

    box.open_ledger = opening
    running = Running(box)
    inspector = FakeInspector(box.state)
    inspector.send(report())
    eventually(lambda: box.sets.blocked)
    notice = running.call("status")["ledger"]["notice"]
    assert notice == "nothing is kept: cannot open the ledger: database or disk is full"

    full = False
    box.now += 61 * SECOND
    eventually(lambda: running.call("status")["ledger"]["notice"] is None)
    inspector.send(report(client_port=50_009))
    only_incident(box)  # it is written from now on
    inspector.close()
    running.stop()


def test_a_broken_ledger_is_set_aside_and_the_status_says_so(box: Box) -> None:
    (box.state / FILE_NAME).write_bytes(b"#" * 8192)
    running = Running(box)
    assert "was set aside as" in running.call("status")["ledger"]["notice"]
    running.stop()


def test_a_ledger_that_is_taken_away_under_it_is_started_anew(
    box: Box, running: Running, inspector: FakeInspector
) -> None:
    inspector.send(report())
    eventually(lambda: box.sets.blocked)
    for leftover in box.state.glob(f"{FILE_NAME}*"):
        leftover.unlink()
    box.now += 10 * SECOND
    eventually((box.state / FILE_NAME).exists)
    running.call("block", server=SERVER, server_port=7707, reason="mine")
    with box.reading() as ledger:
        assert len(queries.actions(ledger, box.now)) == 1


def test_what_waits_is_written_when_it_is_told_to_stop(box: Box) -> None:
    running = Running(box)
    inspector = FakeInspector(box.state)
    for number in range(100):
        inspector.send(clean(client_port=number))
    running.call("status")
    eventually(lambda: running.service.writer.waiting or _flows(box) == 100)
    inspector.close()
    running.stop()
    assert _flows(box) == 100
    assert not list((box.state / "run").iterdir())  # the sockets are gone


def _flows(box: Box) -> int:
    with box.reading() as ledger:
        return len(queries.flows(ledger, limit=1000))


def test_a_clean_end_is_silent(
    box: Box, running: Running, inspector: FakeInspector, caplog: pytest.LogCaptureFixture
) -> None:
    inspector.receive_until("allow")
    box.sets.broken = True  # the rules are taken out first
    box.now += 10 * SECOND
    eventually(lambda: "counters" in (running.call("status")["kernel_problem"] or ""))

    def all_end(address: str) -> None:  # while a report is taken in
        inspector.close()
        running.ask_to_end()

    box.neighbour = all_end
    inspector.send(clean(mac=None))
    running.wait()
    assert _flows(box) == 1
    assert caplog.messages == []


def test_rules_that_stay_away_are_news_for_the_log(
    box: Box, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    box.sets.broken = True
    for _ in range(2):
        assert caplog.messages == []
        box.now += 10 * SECOND
        eventually(lambda: box.sets.refusals)
        box.sets.refusals = 0
        running.call("status")
    eventually(lambda: caplog.messages)
    assert caplog.messages == ["kernel counters: nft: No such file or directory"]


def test_old_history_is_forgotten_while_it_runs(box: Box, inspector: FakeInspector) -> None:
    inspector.send(clean())
    eventually(lambda: _flows(box) == 1)
    box.now += (box.settings.ledger.retention_days + 1) * DAY_SECONDS * SECOND
    eventually(lambda: _flows(box) == 0)


@pytest.mark.parametrize(("growth", "kept"), [(1, 0), (RETENTION_BYTES, 100)])
def test_a_ledger_that_grows_fast_is_held_to_its_limit_at_once(
    box: Box, monkeypatch: pytest.MonkeyPatch, growth: int, kept: int
) -> None:
    monkeypatch.setattr(service, "RETENTION_BYTES", growth)
    limits = replace(box.settings.ledger, max_megabytes=0)  # whatever there is, is too much
    box.settings = replace(box.settings, ledger=limits)
    running = Running(box)
    inspector = FakeInspector(box.state)
    for number in range(100):  # a few pages of the file
        inspector.send(clean(client_port=50_000 + number))
    eventually(lambda: _flows(box) == 100)
    box.sets.uninspected = 3
    box.now += service.COUNTERS_US  # long before the ten minutes are over
    eventually(lambda: running.call("status")["uninspected"]["packets"] == 3)
    eventually(lambda: _flows(box) == kept)
    inspector.close()
    running.stop()


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


def test_copying_the_state_directory_copies_the_story(box: Box, tmp_path: Path) -> None:
    running = Running(box)
    running.call("block", server=SERVER, server_port=6606, reason="mine")
    running.stop()
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(box.state / FILE_NAME, copy / FILE_NAME)  # one file after a clean stop
    with open_ledger(copy / FILE_NAME, read_only=True) as ledger:
        assert len(queries.actions(ledger, box.now)) == 1


def test_changed_settings_are_taken_without_a_restart(
    box: Box, running: Running, inspector: FakeInspector
) -> None:
    inspector.send(report())
    only_incident(box)
    assert inspector.receive_until("mode")["enforce"]

    box.settings = replace(box.settings, block=replace(box.settings.block, seconds=3600))
    box.enforce, box.never_block = False, frozenset({"203.0.113.99"})
    running.hang_up()

    assert not inspector.receive_until("mode")["enforce"]
    assert running.call("status")["enforce"] is False
    assert box.sets.blocked == {(SERVER, 6606): DAY_SECONDS}, "keeps the time it has left"
    running.call("block", server="192.0.2.1", server_port=443, reason="")
    assert box.sets.blocked["192.0.2.1", 443] == 3600, "no longer on the list, for the new time"
    with pytest.raises(UsageError, match="never-block"):
        running.call("block", server="203.0.113.99", server_port=443, reason="")


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
    eventually(lambda: _flows(box) == 1)
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
