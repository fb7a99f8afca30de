"""Contacts: counted as they come, written in batches, there again after a restart."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratwall.controller import contacts as contacts_module
from ratwall.controller.contacts import (
    ENDED_OF_ONE,
    FAILED_BYTES,
    NEW_DEVICES,
    PENDING_LIMIT,
    WRITE_US,
)
from ratwall.controller.rows import rarity
from ratwall.detections.history import DAY, HOUR
from ratwall.kernel.marks import FlowClass
from ratwall.ledger.contacts import BASELINE_US
from ratwall.ledger.models import Detection, Incident
from ratwall.ledger.store import LedgerError
from unit.controller.box import CLIENT, NOON, SERVER
from unit.controller.office import MAC, SECOND, Office

OTHER = "198.51.100.9"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.ledger.close()


def test_a_contact_is_one_row_that_counts(office: Office) -> None:
    office.names[SERVER] = ("c2.example", "old.example")
    office.end(sent=2000, received=3000, flow_class=FlowClass.CLEAN, started=NOON - SECOND)
    office.end(client_port=50_001)
    office.write()
    office.end(client_port=50_002, sent=100, received=200)
    office.report(server_port=6606)
    office.names.clear()  # the book has forgotten it; the ledger has not
    office.write()
    (row,) = office.rows()
    assert row == {
        "device": 1,
        "address": CLIENT,
        "server": SERVER,
        "port": 6606,
        "name": "c2.example",
        "first_seen": NOON - SECOND,
        "last_seen": NOON + WRITE_US,
        "connections": 3,
        "failures": 2,
        "sent": 2160,
        "received": 3240,
        "handshakes": 1,
        "busiest": 1,
    }


def test_each_port_is_a_row_and_the_pair_is_one_history(office: Office) -> None:
    for port in (6606, 7707, 8808):
        office.end(port=port)
    office.write()
    assert [row["port"] for row in office.rows()] == [6606, 7707, 8808]
    assert {(past.server, past.failed) for past in office.past()} == {(SERVER, True)}


@pytest.mark.parametrize("size", [FAILED_BYTES, FAILED_BYTES + 1])
def test_what_said_more_than_a_few_empty_segments_did_not_fail(office: Office, size: int) -> None:
    office.end(sent=size, received=0)
    office.write()
    assert office.rows()[0]["failures"] == (size == FAILED_BYTES)


@pytest.mark.parametrize(
    "changes",
    [
        {"flow_class": FlowClass.EXEMPT},
        {"server": "192.168.1.1"},
        {"device": "203.0.113.50"},
        {"started": 0},
    ],
    ids=["from outside or allowed", "within the office", "no device", "without a time"],
)
def test_what_is_no_contact_of_a_device(office: Office, changes: dict[str, object]) -> None:
    office.end(**changes)  # type: ignore[arg-type]
    office.write()
    assert office.rows() == []


def test_a_batch_is_written_when_it_is_due_and_at_the_end(office: Office) -> None:
    office.tick()
    office.end()
    office.now += WRITE_US - 1
    office.tick()
    assert office.rows() == []
    office.now += 1
    office.tick()
    assert len(office.rows()) == 1
    office.end(port=7707)
    office.restart()
    assert len(office.rows()) == 2


def test_a_clock_that_was_set_back_does_not_stop_the_writing(office: Office) -> None:
    office.tick()
    office.now -= 5 * HOUR
    office.end()
    office.tick()
    assert len(office.rows()) == 1


def test_a_disk_that_refuses_leaves_one_bounded_batch(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise LedgerError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(office.ledger, "execute_many", refuse)
        office.end()
        office.now += WRITE_US
        office.contacts.tick(office.now)
        assert not office.books.writer.flush()
        waiting = office.books.writer.waiting
        for number in range(PENDING_LIMIT + 10):
            office.end(server=f"203.{number >> 16}.{number >> 8 & 255}.{number & 255}")
            if number % 1000 == 0:
                office.now += WRITE_US
                office.contacts.tick(office.now)
                assert not office.books.writer.flush()
        assert office.books.writer.waiting == waiting  # not a batch for every ten seconds
        assert office.contacts.left_out == 10
    assert office.books.writer.flush()
    office.write()
    assert len(office.rows()) == PENDING_LIMIT + 1


def test_a_flood_at_one_server_does_not_crowd_out_the_others(office: Office) -> None:
    for number in range(ENDED_OF_ONE + 5):
        office.end(client_port=number + 1)
    office.end(server=OTHER)
    office.write()
    assert office.rows()[0]["connections"] == ENDED_OF_ONE + 5
    assert [past.server for past in office.past()].count(SERVER) == ENDED_OF_ONE
    assert OTHER in {past.server for past in office.past()}


def test_forged_devices_cost_a_few_questions_a_batch(office: Office) -> None:
    for number in range(200):
        office.end(device=f"192.168.7.{number}")
    office.write()
    assert office.asked == len(office.rows()) == NEW_DEVICES
    assert office.contacts.left_out == 200 - NEW_DEVICES


def test_a_report_tells_the_mac_and_nobody_is_asked(office: Office) -> None:
    office.report(mac=MAC)
    office.write()
    office.end()
    office.write()
    assert office.asked == 0
    assert len(office.rows()) == 2  # of ports 443 and 6606


def test_a_device_with_another_address_is_the_same_by_its_mac(office: Office) -> None:
    office.loop(3)
    office.write()
    office.macs = {"192.168.1.99": MAC}  # the lease ended, and the old address is nobody's
    office.loop(3, device="192.168.1.99")
    office.write()
    rows = office.rows()
    assert [(row["device"], row["address"], row["connections"]) for row in rows] == [
        (1, "192.168.1.99", 4),
        (1, "192.168.1.99", 2),
    ]


def test_the_history_goes_with_the_device_to_its_new_address(office: Office) -> None:
    office.loop(8)
    office.write()
    office.macs = {"192.168.1.99": MAC}
    office.end(device="192.168.1.99")
    office.write()
    office.loop(2, device="192.168.1.99")
    assert "model.failed-connections" in office.rules()
    (finding,) = [one for one in office.found if one.rule == "model.failed-connections"]
    assert (finding.device, finding.facts["failures"]) == ("192.168.1.99", 10)


def test_addresses_behind_one_router_are_not_mixed(office: Office) -> None:
    moved: list[tuple[str, str]] = []
    office.contacts.moved.append(lambda *addresses: moved.append(addresses))
    for number in range(10, 16):
        address = f"192.168.1.{number}"
        office.macs[address] = MAC
        office.end(device=address)
    office.write()
    for number in range(10, 16):
        office.end(device=f"192.168.1.{number}")
        office.write()
    assert moved == []


def test_what_one_has_done_is_not_told_of_whose_address_it_sends_with(office: Office) -> None:
    victim, forger = "192.168.1.11", "02:00:00:00:00:66"
    office.report(client=victim, mac="02:00:00:00:00:11")
    office.report(mac=MAC)
    office.write()
    office.loop(8)
    moved: list[tuple[str, str]] = []
    office.contacts.moved.append(lambda *addresses: moved.append(addresses))
    for _ in range(2):
        office.report(client=victim, mac=MAC)  # the loop's own MAC, somebody else's address
        office.write()
    assert moved == []
    office.report(client="192.168.1.12", mac=forger)  # nobody's: it may have that
    office.report(client="192.168.1.13", mac=forger)
    office.write()
    assert moved == []


def test_two_addresses_in_use_at_a_time_are_left_as_they_are(office: Office) -> None:
    moved: list[tuple[str, str]] = []
    office.contacts.moved.append(lambda *addresses: moved.append(addresses))
    office.macs["192.168.1.11"] = MAC
    for _ in range(3):
        office.end()
        office.end(device="192.168.1.11")
        office.write()
    assert moved == []


def test_another_client_port_is_the_same_contact(office: Office) -> None:
    """Behind a translating router a device's ports change with every connection, or in between."""
    for number, port in enumerate((50_000, 1024, 65_535, 50_000)):
        office.end(client_port=port, sent=1000 + number, received=1000)
        office.now += SECOND
    office.write()
    (row,) = office.rows()
    assert (row["connections"], row["sent"]) == (4, 4006)
    assert [past.client_port for past in office.past()] == [50_000, 1024, 65_535, 50_000]


def test_a_server_is_known_by_its_answers_for_as_long_as_they_are_kept(office: Office) -> None:
    for week in range(3):
        office.now = NOON + week * 7 * DAY
        office.end()
        office.write()
    assert rarity(office.ledger, SERVER, office.now) == (1, 0)  # tried in vain: as strange as ever
    office.end(sent=5000, received=5000)
    office.macs["192.168.1.11"] = "02:00:00:00:00:11"
    office.end(device="192.168.1.11", sent=5000, received=5000)
    office.write()
    office.restart()
    assert rarity(office.ledger, SERVER, office.now) == (2, 14 * DAY + 2 * WRITE_US)


def test_a_connection_that_runs_makes_its_server_known(office: Office) -> None:
    office.report(server=SERVER, mac=MAC)
    office.write()
    office.now += DAY
    assert rarity(office.ledger, SERVER, office.now) == (1, DAY + WRITE_US)


def test_the_busiest_hour_with_others_is_known_for_a_week(office: Office) -> None:
    for _ in range(30):
        office.report(server=OTHER, mac=MAC)
    office.write()
    for _ in range(7):
        office.report(server=OTHER, mac=MAC)
    office.write()
    for _ in range(5):
        office.report(server=SERVER, mac=MAC)
    office.write()
    office.restart()
    office.end()
    office.write()  # the device is met again
    assert office.contacts.usual_hour(CLIENT, SERVER) == 37
    assert office.contacts.usual_hour(CLIENT, OTHER) == 5
    assert office.contacts.usual_hour("192.168.1.200", SERVER) == 0
    office.now += BASELINE_US + HOUR
    assert office.contacts.usual_hour(CLIENT, SERVER) == 0


def test_another_hour_is_counted_anew_and_an_old_record_is_let_go(office: Office) -> None:
    def busiest(handshakes: int) -> object:
        for _ in range(handshakes):
            office.report(mac=MAC)
        office.write()
        return office.rows()[0]["busiest"]

    assert busiest(9) == 9
    office.now += HOUR
    assert busiest(4) == 9
    office.end(port=443)  # no handshake: nothing is begun anew
    assert busiest(6) == 10
    office.now += BASELINE_US
    assert busiest(3) == 10
    office.now += HOUR
    assert busiest(2) == 2


def test_a_loop_goes_on_over_a_restart_of_the_controller(office: Office) -> None:
    office.loop(4)
    office.restart()
    office.now -= 1  # the attempts are the kernel's, a moment's rounding does not matter
    office.loop(2)
    assert office.rules() == ["loop.five-seconds"]
    assert len(office.found[0].facts["beats"]) == 6


def test_what_was_not_written_before_a_kill_is_all_that_is_lost(office: Office) -> None:
    office.tick()
    office.loop(5)
    assert len(office.past()) == 4  # the fifth waits for its batch
    office.kill()
    office.loop(5)
    assert office.rules() == []  # the gap is seen, and no loop made up
    office.loop(1)
    # The four from before count for the model, which wants ten and no clock.
    assert office.rules() == ["loop.five-seconds", "model.failed-connections"]


def test_what_was_told_before_the_restart_is_not_told_again_at_once(office: Office) -> None:
    office.loop(10)
    assert office.rules() == ["loop.five-seconds", "model.failed-connections"]
    device = office.books.writer.device(MAC, CLIENT, office.now)
    for finding in office.found:
        values = {"headline": "It calls.", "state": "alert", "evidence": "[]", "score": 60}
        times = {"opened": finding.at, "updated": finding.at, "count": 1}
        ends = {"device": device, "server": SERVER, "server_port": 6606}
        incident = office.books.writer.insert(Incident, {**values, **times, **ends})
        told = {"time": finding.at, "rule": finding.rule, "score": 60, "verdict": "alert"}
        facts = json.dumps(dict(finding.facts))
        office.books.writer.insert(Detection, {"incident": incident, **told, "facts": facts})
    office.restart()
    office.found.clear()
    office.loop(20)
    assert office.rules() == []
    office.now += HOUR
    office.loop(20)
    assert office.rules() == ["loop.five-seconds"]  # models tell again after six


def test_failures_of_the_last_hour_are_known_after_a_restart(office: Office) -> None:
    office.loop(9)
    office.restart()
    office.loop(1)
    assert "model.failed-connections" in office.rules()


def test_an_answer_before_the_restart_ends_the_loop(office: Office) -> None:
    office.loop(5)
    office.end(sent=5000, received=5000)
    office.restart()
    office.loop(1)
    assert office.rules() == []


def test_memory_of_devices_is_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contacts_module, "DEVICES_KEPT", 20)
    for number in range(50):
        address = f"192.168.3.{number}"
        office.macs[address] = f"02:00:00:00:03:{number:02x}"
        office.end(device=address)
        office.write()
    kept = office.contacts
    assert len(kept._ids) == len(kept._macs) == len(kept._tenants) == 20
    assert len(office.rows()) == 50
