"""The lab's wiring: every device reaches every internet address, and nothing is left behind."""

import socket
import subprocess
import sys

import pytest

from ratwall_lab.namespaces import LabError, namespace_names, run_tool
from ratwall_lab.topology import INTERNET_ADDRESSES, Lab, Mode

pytestmark = pytest.mark.root


def own_interfaces() -> str:
    return run_tool(["ip", "-br", "link"])


def peer_seen_by_server(lab: Lab, device: str, index: int, family: int) -> str:
    """Connect from a device to one internet address; return the client address that arrived."""
    address = lab.internet.address(index, family)
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    with lab.in_namespace("internet"):
        listener = socket.create_server((address, 7000), family=kind)
    with listener:
        with lab.in_namespace(device):
            client = socket.create_connection((address, 7000), timeout=3)
        with client:
            accepted, peer = listener.accept()
            accepted.close()
    return str(peer[0])


@pytest.mark.parametrize("mode", ["router", "bridge"])
@pytest.mark.parametrize("family", [4, 6])
def test_both_devices_reach_the_whole_internet(mode: Mode, family: int) -> None:
    with Lab(mode) as lab:
        for device in (lab.anna, lab.ben):
            for index in range(INTERNET_ADDRESSES):
                seen = peer_seen_by_server(lab, device.name, index, family)
                assert seen == device.address(0, family)


def test_masquerade_hides_the_device_behind_the_box() -> None:
    with Lab(masquerade=True) as lab:
        assert peer_seen_by_server(lab, "anna", 0, 4) == "203.0.113.1"
        assert peer_seen_by_server(lab, "anna", 0, 6) == "2001:db8:99::1"


def test_the_bridge_has_no_address_at_all_on_the_box() -> None:
    with Lab("bridge") as lab:
        addresses = lab.box.run(["ip", "-br", "address"]).stdout.splitlines()
    assert {line.split()[0].split("@")[0] for line in addresses} == {"lo", "lan", "wan", "br0"}
    assert all(len(line.split()) == 2 for line in addresses if not line.startswith("lo"))


def test_ports_can_be_left_loose_for_create_bridge() -> None:
    with Lab("bridge", with_bridge=False) as lab:
        names = lab.box.run(["ip", "-br", "link"]).stdout
    assert "br0" not in names
    assert "lan" in names


def test_offloads_can_be_switched_off() -> None:
    with Lab(offloads=False) as lab:
        features = lab.box.run(["ethtool", "-k", "lan"]).stdout
    assert "generic-segmentation-offload: off" in features
    assert "generic-receive-offload: off" in features


def test_two_labs_stand_side_by_side_and_leave_nothing() -> None:
    namespaces, interfaces = namespace_names(), own_interfaces()
    with Lab() as one, Lab("bridge") as other:
        assert one.prefix != other.prefix
        assert peer_seen_by_server(one, "anna", 3, 4) == peer_seen_by_server(other, "anna", 3, 4)
        assert own_interfaces() == interfaces, "the machine's own interfaces never change"
    assert namespace_names() == namespaces


def test_a_process_left_running_is_ended_with_the_lab() -> None:
    with Lab() as lab:
        stubborn = lab.anna.popen(
            [
                sys.executable,
                "-c",
                "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
                "print('up', flush=True); time.sleep(60)",
            ],
            stdout=subprocess.PIPE,
        )
        assert stubborn.stdout is not None
        assert stubborn.stdout.readline() == b"up\n"
    assert stubborn.poll() is not None


def test_a_taken_name_is_refused_and_the_first_lab_lives_on() -> None:
    with Lab() as lab:
        with pytest.raises(LabError, match=f"a lab called {lab.prefix} is up already"):
            Lab(prefix=lab.prefix).up()
        assert peer_seen_by_server(lab, "ben", 0, 4) == lab.ben.address()


def test_an_unknown_machine_is_named_with_the_known_ones() -> None:
    with pytest.raises(LabError, match=r"no machine called 'carl'.*anna, ben, switch, box"):
        Lab().host("carl")
