"""A whole box between office and internet: what it cuts, lets pass, and shows to whom."""

import json

import pytest

from hil.conftest import PASSWORD, Box
from hil.traffic import attack, is_answered, read_page
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.endpoint import End

TCP_PORTS = (22, 53, 80, 443, 5353, 5355, 8080, 8443, 9090)


def test_a_rat_is_cut_an_honest_page_passes_and_the_owner_reads_why(
    box: Box, rat: Identity, notary: Notary
) -> None:
    attempt, visits = attack(box, rat)
    assert attempt.end is End.RESET
    assert attempt.handshaken is None
    assert sum(visit.application_bytes for visit in visits) == 0
    assert read_page(box, notary) == 200_000

    incidents = box.wait_for("the incident", lambda: box.ask("incidents"))
    assert incidents[0]["server"] == box.lab.internet.address(0)
    visitor = box.visitor()
    with box.lab.anna.enter():
        assert visitor.set_up(PASSWORD).status == 303
        shown = visitor.get(f"/incidents/{incidents[0]['id']}")
    assert shown.status == 200
    assert box.lab.internet.address(0) in shown.text
    assert "AsyncRAT" in shown.text


def test_nothing_of_the_box_answers_on_the_internets_side(box: Box) -> None:
    address = box.address()
    answered = [port for port in TCP_PORTS if is_answered(box.lab.internet, address, port)]
    assert answered == []
    ping = box.lab.internet.run(["ping", "-c", "2", "-W", "2", address], check=False)
    assert ping.returncode != 0
    assert is_answered(box.lab.anna, address, 443), "the scan saw nothing, even where something is"


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_an_inspector_that_dies_or_hangs_is_replaced_and_traffic_flows(
    box: Box, rat: Identity, notary: Notary, signal: str
) -> None:
    units = "ratwall-inspector@0.service ratwall-inspector@1.service"
    before = box.machine.succeed(f"systemctl show --value -p MainPID {units}").split()
    box.machine.succeed(f"kill -{signal} {' '.join(before)}")
    assert read_page(box, notary) == 200_000

    def replaced() -> bool:
        now = box.machine.succeed(f"systemctl show --value -p MainPID {units}").split()
        return len(now) == len(before) and "0" not in now and not set(now) & set(before)

    box.wait_for("new inspectors", replaced)
    box.wait_protecting()
    attempt, visits = attack(box, rat, index=1)
    assert attempt.end is End.RESET
    assert sum(visit.application_bytes for visit in visits) == 0


def test_the_self_test_passes_on_the_box(box: Box) -> None:
    assert json.loads(box.machine.succeed("ratwall selftest --json"))["ok"] is True
