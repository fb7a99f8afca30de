"""The commands, over the real socket: what each changes in kernel, ledger and inspectors."""

from typing import Any

import pytest

from ratwall.controller.commands import AUTHOR_LIMIT, REASON_LIMIT
from ratwall.controller.messages import ALLOW_SECONDS_HIGH, ALLOW_SECONDS_LOW
from ratwall.errors import RatwallError, UsageError
from ratwall.ledger import queries
from ratwall.settings.schema import BLOCK_SECONDS_HIGH, BLOCK_SECONDS_LOW
from unit.controller.box import (
    CLIENT,
    NOON,
    SERVER,
    Box,
    FakeInspector,
    Running,
    eventually,
    report,
)

SECOND = 1_000_000
SHA256 = "cd" * 32
ENDPOINT = {"server": SERVER, "server_port": 6606}


@pytest.fixture
def blocked(box: Box, inspector: FakeInspector) -> FakeInspector:
    """Have one incident that blocks an endpoint; return the inspector that was told the memory."""
    inspector.send(report())
    eventually(lambda: box.sets.blocked)
    inspector.receive_until("memory")
    return inspector


def story(box: Box, number: int = 1) -> dict[str, Any]:
    with box.reading() as ledger:
        found = queries.incident(ledger, number)
    assert found is not None
    return found


def refusal(running: Running, command: str, **arguments: Any) -> str:
    with pytest.raises(UsageError) as refused:
        running.call(command, **arguments)
    return str(refused.value)


def nothing_changed(box: Box) -> bool:
    with box.reading() as ledger:
        rows = [*queries.actions(ledger, box.now, active_only=False), *queries.audit(ledger)]
    return not (rows or box.sets.blocked or box.sets.allowed)


def test_allow_takes_the_block_and_the_memory_away(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    answer = running.call("allow", **ENDPOINT, incident=1, reason="our own server", seconds=3600)
    assert answer == {"action": 2, "expires": NOON + 3600 * SECOND}
    assert box.sets.allowed == {(None, SERVER, 6606): 3600}
    assert box.sets.blocked == {}
    assert blocked.receive() == {"type": "forget", "server": SERVER, "port": 6606}
    told = story(box)
    assert told["state"] == "allowed"
    assert "because you allowed it" in told["headline"]
    assert told["blocked_until"] is None
    with box.reading() as ledger:
        (allow,) = queries.allows(ledger, box.now)
        (entry, *_) = queries.audit(ledger)
    assert (allow["author"], allow["reason"]) == ("root", "our own server")
    assert entry["detail"] == f"{SERVER}:6606: our own server"


def test_allow_for_one_device_leaves_the_block_for_the_others(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    running.call("allow", **ENDPOINT, device=CLIENT, reason="hers")
    assert box.sets.allowed == {(CLIENT, SERVER, 6606): None}
    assert (SERVER, 6606) in box.sets.blocked  # the kernel asks the allows first
    assert story(box)["state"] == "allowed"


def test_allow_for_another_device_is_not_this_incidents_story(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    running.call("allow", **ENDPOINT, device="192.168.1.99", reason="theirs")
    assert story(box)["state"] == "blocking"


def test_allow_by_certificate_is_the_inspectors_business_and_clears_the_way(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    running.call("allow", certificate_sha256=SHA256.upper(), device=CLIENT, reason="ours")
    assert (box.sets.blocked, box.sets.allowed) == ({}, {})
    assert blocked.receive() == {"type": "forget", "server": SERVER, "port": 6606}
    assert blocked.receive() == {
        "type": "allow",
        "part": 0,
        "parts": 1,
        "certificates": [{"sha256": SHA256, "device": CLIENT}],
    }
    assert story(box)["state"] == "allowed"


def test_an_allowed_connection_stays_in_its_incident(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    running.call("allow", certificate_sha256=SHA256, reason="ours")
    blocked.send(report(client_port=50_001, **{"class": "exempt"}))
    eventually(lambda: story(box)["count"] == 2)
    assert story(box)["state"] == "allowed"
    assert box.sets.blocked == {}
    # Nothing was learned from it: a resumed connection must not be cut by memory.
    assert [blocked.receive()["type"] for _ in range(2)] == ["forget", "allow"]
    running.call("allow", certificate_sha256="ef" * 32, reason="to get a message")
    assert blocked.receive()["type"] == "allow"


def test_an_allow_that_is_over_is_taken_from_the_inspectors(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    running.call("allow", certificate_sha256=SHA256, reason="ours", seconds=60)
    assert blocked.receive_until("allow")["certificates"] != []
    box.now += 59 * SECOND
    running.call("status")
    box.now += SECOND
    assert blocked.receive_until("allow")["certificates"] == []


def test_a_second_allow_of_the_same_scope_replaces_the_first(box: Box, running: Running) -> None:
    running.call("allow", **ENDPOINT, reason="for an hour", seconds=3600)
    running.call("allow", **ENDPOINT, reason="for good")
    with box.reading() as ledger:
        assert [allow["reason"] for allow in queries.allows(ledger, box.now)] == ["for good"]


def test_undo_of_an_allow_brings_the_block_back_for_the_time_it_had_left(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    action = running.call("allow", **ENDPOINT, incident=1, reason="a mistake")["action"]
    box.now += 400 * SECOND
    assert running.call("undo", action=action) == {"action": action, "kind": "allow", "blocks": 1}
    assert box.sets.allowed == {}
    assert box.sets.blocked == {(SERVER, 6606): 86_000}
    assert story(box)["state"] == "blocked"
    assert "not in force" in refusal(running, "undo", action=action)


def test_undo_of_a_block_frees_the_server(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    running.call("undo", action=1)
    assert box.sets.blocked == {}
    assert story(box)["state"] == "released"


def test_undo_leaves_what_another_action_still_blocks(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    action = running.call("block", **ENDPOINT, reason="to be sure", seconds=60)["action"]
    running.call("undo", action=action)
    assert box.sets.blocked == {(SERVER, 6606): 86_400}


def test_a_block_from_an_incident_is_told_with_it_and_goes_with_its_release(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    place = {"server": "203.0.113.9", "server_port": 443}
    action = running.call("block", **place, incident=1, reason="of the same people")["action"]
    assert action in {each["id"] for each in story(box)["actions"]}
    assert refusal(running, "block", **place, incident=77) == "there is no incident 77"
    running.call("release", incident=1)
    assert box.sets.blocked == {}


def test_release_takes_blocks_and_memory_of_all_its_ports(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    blocked.send(report(server_port=7707, client_port=50_001))
    blocked.receive_until("memory")
    assert running.call("release", incident=1, reason="cleaned") == {"released": 2}
    assert box.sets.blocked == {}
    forgotten = {blocked.receive_until("forget")["port"] for _ in range(2)}
    assert forgotten == {6606, 7707}
    told = story(box)
    assert (told["state"], told["blocked_until"]) == ("released", None)
    assert [action["kind"] for action in told["actions"]] == [
        "block",
        "block",
        "release",
        "release",
    ]
    # The next attempt is a new story.
    blocked.send(report(client_port=50_002))
    eventually(lambda: box.sets.blocked)
    running.call("status")  # answered in a later turn, so what the report brought is written
    assert story(box, 2)["count"] == 1


def test_release_by_server_tells_the_incidents_it_touches(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    assert running.call("release", **ENDPOINT, reason="") == {"released": 1}
    assert story(box)["state"] == "released"
    with box.reading() as ledger:
        assert queries.audit(ledger)[0]["detail"] == f"{SERVER}:6606: no reason given"


def test_keep_counts_from_now_and_replaces_the_block(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    box.now += 100 * SECOND
    answer = running.call("keep", incident=1, reason="still there")
    assert answer["expires"] == box.now + BLOCK_SECONDS_HIGH * SECOND
    assert box.sets.blocked == {(SERVER, 6606): BLOCK_SECONDS_HIGH}
    assert story(box)["blocked_until"] == answer["expires"]
    with box.reading() as ledger:
        (action,) = queries.actions(ledger, box.now)
    assert (action["kind"], action["author"]) == ("keep", "root")


def test_a_repeat_does_not_shorten_what_a_person_kept(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    running.call("keep", incident=1, reason="still there")
    blocked.send(report(client_port=50_001))
    eventually(lambda: story(box)["count"] == 2)
    assert box.sets.blocked == {(SERVER, 6606): BLOCK_SECONDS_HIGH}


def test_keep_has_nothing_to_keep_after_a_release(
    box: Box, running: Running, blocked: FakeInspector
) -> None:
    running.call("release", incident=1, reason="")
    assert refusal(running, "keep", incident=1) == "keep: incident 1 blocks nothing now"


def test_block_by_hand(box: Box, running: Running) -> None:
    answer = running.call("block", server="2001:DB8::7", server_port=443, reason="  a\n b ")
    assert answer["expires"] == NOON + 86_400 * SECOND  # as the settings say
    assert box.sets.blocked == {("2001:db8::7", 443): 86_400}
    with box.reading() as ledger:
        assert queries.audit(ledger)[0]["detail"] == "[2001:db8::7]:443: a b"


def test_audit_and_self_test_are_written_down(box: Box) -> None:
    running = Running(box)
    running.call("audit", event="login", detail="from 192.168.1.5", author="admin")
    running.call("selftest_result", result={"ok": True, "reason": "cut in 12 ms"})
    running.stop()
    with box.reading() as ledger:
        assert [row["event"] for row in queries.audit(ledger)] == ["selftest", "login"]

    again = Running(box)
    told = again.call("status")["selftest"]
    again.stop()
    assert told == {"ok": True, "reason": "cut in 12 ms", "time": NOON}


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("explode", {}, "command: expected one of status, observed"),
        ("block", {"server": SERVER, "server_port": 0}, "server_port: expected an integer from 1"),
        ("block", {"server": "office", "server_port": 1}, "block: server: expected an IPv4"),
        (
            "block",
            {"server": "192.0.2.1", "server_port": 1},
            "192.0.2.1 is on the never-block list",
        ),
        ("allow", {}, "either server and server_port, or certificate_sha256"),
        ("allow", {"server": SERVER}, "server_port: expected a port together with server"),
        ("allow", {**ENDPOINT, "certificate_sha256": SHA256}, "either server and server_port"),
        ("allow", {"certificate_sha256": "zz" * 32}, "expected 64 hexadecimal digits"),
        ("allow", {"certificate_sha256": "cd" * 31}, "expected 64 hexadecimal digits"),
        ("allow", {**ENDPOINT, "device": "PC-ANNA"}, "device: expected an IPv4 or IPv6 address"),
        ("allow", {**ENDPOINT, "incident": 7}, "there is no incident 7"),
        ("allow", {**ENDPOINT, "incident": "7"}, "incident: expected an integer"),
        ("undo", {"action": 7}, "action 7 is not in force"),
        ("undo", {}, "action: expected an integer"),
        ("release", {"incident": 7}, "there is no incident 7"),
        ("release", {}, "server: expected an IPv4 or IPv6 address"),
        ("keep", {}, "incident: expected an integer"),
        ("audit", {"event": "x"}, "detail: expected text"),
        ("selftest_result", {"result": "fine"}, "result: expected an object"),
        ("block", {**ENDPOINT, "author": ""}, "author: expected a name"),
        ("block", {**ENDPOINT, "author": "a\u202eb"}, "author: expected a name"),
        ("block", {**ENDPOINT, "author": None}, "author: expected text"),
    ],
)
def test_a_bad_request_is_one_line_and_changes_nothing(
    box: Box, running: Running, command: str, arguments: dict[str, Any], words: str
) -> None:
    text = refusal(running, command, **arguments)
    assert words in text
    assert "\n" not in text
    assert nothing_changed(box)


@pytest.mark.parametrize(
    ("command", "low", "high"),
    [
        ("allow", ALLOW_SECONDS_LOW, ALLOW_SECONDS_HIGH),
        ("block", BLOCK_SECONDS_LOW, BLOCK_SECONDS_HIGH),
    ],
)
def test_limits_of_time(running: Running, command: str, low: int, high: int) -> None:
    for seconds in (low, low + 1, high - 1, high):
        answer = running.call(command, **ENDPOINT, seconds=seconds)
        assert answer["expires"] == NOON + seconds * SECOND or command == "block"
    for seconds in (low - 1, high + 1, 0, -1):
        assert "seconds: expected" in refusal(running, command, **ENDPOINT, seconds=seconds)


@pytest.mark.parametrize(("key", "limit"), [("author", AUTHOR_LIMIT), ("reason", REASON_LIMIT)])
def test_limits_of_text(running: Running, key: str, limit: int) -> None:
    for length in (limit - 1, limit):
        running.call("block", **{**ENDPOINT, key: "x" * length})
    assert f"{key}: expected text" in refusal(
        running, "block", **{**ENDPOINT, key: "x" * (limit + 1)}
    )


def test_a_kernel_that_refuses_changes_nothing(box: Box, running: Running) -> None:
    box.sets.broken = True
    with pytest.raises(RatwallError, match="nft: No such file or directory"):
        running.call("block", **ENDPOINT, reason="mine")
    with pytest.raises(RatwallError, match="nft: No such file or directory"):
        running.call("allow", **ENDPOINT, reason="mine")
    box.sets.broken = False
    assert nothing_changed(box)


def test_what_the_disk_refuses_holds_all_the_same_and_says_so(
    box: Box, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        running.service.writer, "flush", lambda durable=False: False
    )  # as with a full disk: see the ledger's own tests for a real one
    running.service.writer.problem = "database or disk is full"
    answer = running.call("block", **ENDPOINT, reason="mine")
    assert answer["warning"] == "done, but not written down yet: database or disk is full"
    assert box.sets.blocked == {(SERVER, 6606): 86_400}
    monkeypatch.undo()
