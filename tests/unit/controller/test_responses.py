"""The upper steps of the ladder: laid whole, ended by themselves, back after a restart."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ratwall.address import LOCAL_NETWORKS
from ratwall.controller import ladder, responses
from ratwall.controller.identity import known_by
from ratwall.controller.ladder import Step, step_of
from ratwall.controller.messages import FlowReport, parse_report
from ratwall.controller.proofs import Connection
from ratwall.controller.service import Service
from ratwall.errors import UsageError
from ratwall.kernel.response import BlockedFor, Paused, Quarantined
from ratwall.ledger import queries
from ratwall.settings.schema import Response, Rules
from ratwall.signatures.evidence import Evidence
from ratwall.verdict.finding import Finding
from unit.controller.box import CLIENT, SERVER, Box, FakeInspector, Running, eventually, report

SECOND = 1_000_000
MAC = "02:00:00:00:00:01"


@pytest.fixture
def service(box: Box) -> Iterator[Service]:
    """A service whose ladder hears of reports, without sockets."""
    made = box.service()
    made.add(made.ladder)
    made.start()
    yield made
    made.stop()


def attack(service: Service, **changes: Any) -> None:
    judged = parse_report(json.dumps(report(**changes)).encode())
    assert isinstance(judged, FlowReport)
    service.take_report(judged)


def kinds(service: Service) -> list[str]:
    return [action.kind for action in service.responses.of("block_device", "watch", "quarantine")]


def test_what_holds_survives_a_restart_with_the_time_it_had_left(box: Box) -> None:
    first = Running(box)
    first.call("block", server=SERVER, device=CLIENT, seconds=3600)
    first.call("quarantine", device=CLIENT, seconds=7200)
    first.call("pause", seconds=300)
    first.stop()
    box.sets.held = []
    box.now += 100 * SECOND
    second = Running(box)
    assert sorted(box.sets.held, key=lambda one: one.seconds) == [
        Paused((), None, 200),
        BlockedFor(CLIENT, SERVER, None, 3500),
        Quarantined((CLIENT,), None, 7100),
    ]
    assert second.call("status")["state"] in ("paused", "starting", "bypassed")
    second.stop()


def test_a_pause_ends_by_itself_and_its_chain_is_taken_away(box: Box, running: Running) -> None:
    running.call("pause", seconds=300)
    assert running.call("status")["pauses"][0]["device"] is None
    box.now += 301 * SECOND
    eventually(lambda: box.sets.held == [])
    assert running.call("status")["pauses"] == []


def test_what_the_kernel_refuses_is_not_said_to_hold(box: Box, running: Running) -> None:
    running.call("block", server=SERVER, device=CLIENT)
    before = list(box.sets.held)
    box.sets.broken = True
    with pytest.raises(Exception, match="No such file"):
        running.call("quarantine", device=CLIENT)
    box.sets.broken = False
    assert box.sets.held == before
    assert [one.kind for one in running.service.responses.of("quarantine")] == []


def test_the_same_again_replaces_what_was(box: Box, running: Running) -> None:
    running.call("quarantine", device=CLIENT, seconds=7200)
    running.call("quarantine", device=CLIENT, seconds=60)
    assert box.sets.held == [Quarantined((CLIENT,), None, 60)]


def test_what_is_none_of_the_internets_is_a_device_and_no_server_to_block(
    box: Box,
) -> None:
    """In a bridge without an address, where the office's router is among them."""
    box.spared = LOCAL_NETWORKS
    running = Running(box)
    with pytest.raises(UsageError, match="never-block"):
        running.call("block", server="192.168.1.1", server_port=443)
    running.call("quarantine", device=CLIENT, seconds=7200)
    running.call("block", server=SERVER, server_port=443)
    running.stop()
    assert box.sets.blocked.keys() == {(SERVER, 443)}


@pytest.mark.parametrize("command", ["quarantine", "block"])
def test_the_never_block_list_is_respected(box: Box, running: Running, command: str) -> None:
    with pytest.raises(Exception, match="never-block list"):
        running.call(command, device="192.0.2.1", server="192.0.2.1")
    assert box.sets.held == []


def test_inspectors_are_told_of_modes_and_of_who_is_watched(
    running: Running, inspector: FakeInspector
) -> None:
    inspector.receive_until("mode")
    running.call("watch", device=CLIENT)
    assert inspector.receive_until("watch")["devices"] == [CLIENT]
    answer = running.call("rule", rule="asyncrat.*", mode="monitor")
    assert inspector.receive_until("rules")["monitor"] == ["asyncrat.*"]
    running.call("undo", action=answer["action"])
    assert inspector.receive_until("rules")["monitor"] == []


def test_a_cut_device_is_watched_and_cut_off_only_where_that_is_automatic(
    service: Service,
) -> None:
    attack(service)
    attack(service)
    assert kinds(service) == ["watch"]
    automatic = Response(quarantine="automatic")
    service.settings = replace(service.settings, response=automatic)
    attack(service)
    assert kinds(service) == ["watch", "quarantine"]


def test_nobody_is_watched_where_that_is_switched_off(service: Service) -> None:
    service.settings = replace(service.settings, response=Response(watch=False))
    attack(service)
    assert "watch" not in kinds(service)


def test_a_list_of_ports_blocks_the_server_for_its_device(service: Service) -> None:
    for port in range(Response().ports - 1):
        attack(service, server_port=6606 + port)
    assert "block_device" not in kinds(service)
    attack(service, server_port=7000)
    (block,) = service.responses.of("block_device")
    assert (block.device, block.server, block.server_port) == (CLIENT, SERVER, None)


def test_a_list_of_ports_is_counted_on_over_a_restart(box: Box, service: Service) -> None:
    for port in range(Response().ports - 1):
        attack(service, server_port=6606 + port, start="2025-06-15T15:06:40Z")
    service.flush()
    again = box.service()
    again.add(again.ladder)
    again.start()
    attack(again, server_port=6606, client_port=1)  # one of them once more is none more
    assert "block_device" not in kinds(again)
    attack(again, server_port=7000, client_port=2)
    (block,) = again.responses.of("block_device")
    assert (block.device, block.server, block.server_port) == (CLIENT, SERVER, None)
    assert block.expires == box.now + box.settings.block.seconds * SECOND
    again.stop()


def test_a_router_is_known_by_address_alone(service: Service) -> None:
    """Behind a MAC with many addresses are many devices: it must not be cut off by that MAC."""
    for number in range(20, 24):
        attack(service, client=f"192.168.1.{number}", client_port=number, mac=MAC)
    service.flush()
    (watched,) = [one for one in service.responses.of("watch") if one.device == "192.168.1.23"]
    assert watched.mac is None


def listed(service: Service, device: str, *connections: Connection) -> None:
    """Tell the service that a device began a connection with a listed server."""
    said = Evidence("feed.address", 90, "This server is listed.", None, decisive=True)
    service.findings.take(
        Finding("feed.address", device, SERVER, 6606, (said,), service.clock(), connections)
    )


def test_a_first_packet_alone_quarantines_nobody(service: Service) -> None:
    """Anybody on the network can send one with a colleague's address."""
    service.settings = replace(service.settings, response=Response(quarantine="automatic"))
    listed(service, CLIENT)
    assert kinds(service) == ["watch"]
    listed(service, CLIENT, (CLIENT, 50_000, SERVER, 6606))
    assert kinds(service) == ["watch", "quarantine"]


def test_a_flood_of_addresses_leaves_room_for_a_device_that_was_answered(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladder, "WATCHED_LIMIT", 8)
    for number in range(20):
        listed(service, f"192.168.1.{number + 100}")
    assert kinds(service) == ["watch"] * 4
    attack(service)
    assert [one.device for one in service.responses.of("watch")][-1] == CLIENT


def test_rules_leave_room_for_persons(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "IN_FORCE_LIMIT", 6)
    monkeypatch.setattr(responses, "FOR_PERSONS", 2)
    for number in range(10):
        attack(service, client=f"192.168.1.{number + 100}", client_port=number, mac=None)
    assert kinds(service) == ["watch"] * 4
    device = known_by(service.ledger, CLIENT, None, service.clock())
    why: dict[str, Any] = {"reason": "odd", "incident": None, "now": service.clock()}
    service.responses.quarantine(device, 3600, author="root", **why)
    assert kinds(service)[-1] == "quarantine"


def test_inspectors_are_told_first_whom_a_person_has_watched(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room for some in the message: a flood of addresses pushes nobody out of it."""
    monkeypatch.setattr(responses, "WATCHED_LIMIT", 2)
    device = known_by(service.ledger, CLIENT, None, service.clock())
    why: dict[str, Any] = {"reason": "odd", "incident": None, "now": service.clock()}
    service.responses.watch(device, 3600, author="root", **why)
    for number in range(4):
        attack(service, client=f"192.168.1.{number}", client_port=number, mac=None)
    (message,) = service.responses.messages()
    assert message["devices"] == [CLIENT, "192.168.1.0"]


def test_an_address_that_another_device_used_as_well_is_not_taken_for_its_own(
    service: Service,
) -> None:
    """Whoever sends with a colleague's address does not take the colleague along."""
    colleague, stolen, own = "02:00:00:00:00:02", "192.168.1.30", "192.168.1.31"
    attack(service, client=stolen, client_port=30, mac=colleague)
    attack(service, client=stolen, client_port=31, mac=MAC)
    attack(service, client=own, client_port=32, mac=MAC)
    service.flush()
    assert known_by(service.ledger, own, MAC, service.clock()).addresses == (own,)
    assert known_by(service.ledger, stolen, MAC, service.clock()).addresses == (stolen, own)


@pytest.mark.parametrize(
    ("rule", "step"),
    [
        ("rhythm.stock", Step.ENDPOINT),
        ("model.beacon", Step.ENDPOINT),
        ("loop.ports", Step.SERVER),
        ("feed.address", Step.EVERYBODY),
    ],
)
def test_conduct_is_of_one_device_an_indicator_of_all(rule: str, step: Step) -> None:
    assert step_of(rule) is step


def test_a_mode_that_is_set_goes_before_the_settings() -> None:
    rules = Rules(enforce=("rhythm.stock",)).with_mode("rhythm.stock", "off")
    assert rules.mode_of("rhythm.stock") == "off"
    assert rules.with_mode("rhythm.stock", "monitor").off == ()


def test_the_ledger_alone_says_what_was_done(box: Box, running: Running) -> None:
    answer = running.call("quarantine", device=CLIENT, reason="odd")
    running.call("undo", action=answer["action"])
    with box.reading() as ledger:
        (done,) = queries.actions(ledger, box.now, active_only=False)
        assert (done["kind"], done["reason"], done["undone"]) == ("quarantine", "odd", box.now)
        events = [entry["event"] for entry in queries.audit(ledger)]
    assert events[:2] == ["undo", "quarantine"]
