"""A whole controller at work: what it tells inspectors and the log, and how its settings change."""

from dataclasses import replace

import pytest

from ratwall.errors import UsageError
from unit.controller.box import (
    CLIENT,
    SERVER,
    Box,
    FakeInspector,
    Running,
    clean,
    eventually,
    report,
)
from unit.controller.reading import flows_written, only_incident

DAY_SECONDS = 86_400
SECOND = 1_000_000
SHA256 = "cd" * 32


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
    assert fresh.receive()["type"] == "rules"
    assert fresh.receive() == {"type": "watch", "devices": []}
    assert fresh.receive() == {"type": "mode", "enforce": False}
    assert fresh.receive() == {"type": "feeds"}
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
    assert flows_written(box) == 1
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
