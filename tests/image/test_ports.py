"""The script that tells which port faces whom, on a made-up /sys, and what it lays down."""

import os
import subprocess
from pathlib import Path

import pytest

from image.conftest import OVERLAY, UNITS

SCRIPT = OVERLAY / "usr/lib/ratwall/ports"
CAME = OVERLAY / "usr/lib/ratwall/port-came"
# In systemd's place: it starts the script that the unit starts, and notes what it was asked for.
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$RATWALL_RUN/asked"
if [ "$1 $2" = "restart ratwall-ports.service" ]; then exec "$RATWALL_SCRIPT"; fi
"""
PCI = "devices/pci0000:00/0000:00:1c.0/0000:{:02d}:00.0"
USB = "devices/platform/soc/usb1/1-1/1-1:1.0"


class Machine:
    """A /sys/class/net with the ports that a test wants, and a /run to write into."""

    def __init__(self, directory: Path) -> None:
        self.run_directory = directory / "run"
        self._sys = directory / "sys"
        self._net = self._sys / "class/net"
        self._net.mkdir(parents=True)
        self._settings = directory / "network"

    def port(self, name: str, place: str, kind: int = 1, *, wireless: bool = False) -> None:
        (self._net / name).mkdir()
        (self._net / name / "type").write_text(f"{kind}\n")
        (self._sys / place).mkdir(parents=True, exist_ok=True)
        (self._net / name / "device").symlink_to(self._sys / place)
        if wireless:
            (self._net / name / "phy80211").mkdir()

    def virtual(self, name: str) -> None:
        (self._net / name).mkdir()
        (self._net / name / "type").write_text("1\n")

    def wish(self, text: str) -> None:
        self._settings.write_text(text)

    def ports(self, tries: int = 0) -> dict[str, str]:
        """What the units are told."""
        self._run([SCRIPT], os.environ["PATH"], tries)
        return self.told()

    def port_came(self, name: str) -> list[str]:
        """What systemd is asked for when udev has seen a port."""
        tools, asked = self._settings.parent / "tools", self.run_directory / "asked"
        tools.mkdir(exist_ok=True)
        (tools / "systemctl").write_text(SYSTEMCTL)
        (tools / "systemctl").chmod(0o755)
        asked.unlink(missing_ok=True)
        self._run([CAME, name], f"{tools}:{os.environ['PATH']}", 0)
        return asked.read_text().splitlines() if asked.exists() else []

    def told(self) -> dict[str, str]:
        """What the units were told last."""
        lines = (self.run_directory / "ratwall/ports").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def _run(self, argv: list[Path | str], path: str, tries: int) -> None:
        subprocess.run(
            argv,
            env={
                "PATH": path,
                "RATWALL_SCRIPT": str(SCRIPT),
                "RATWALL_SYS": str(self._net),
                "RATWALL_RUN": str(self.run_directory),
                "RATWALL_SETTINGS": str(self._settings),
                "RATWALL_SHARE": str(OVERLAY / "usr/share/ratwall/router"),
                "RATWALL_SYSCTL": str(self.run_directory),
                "RATWALL_TRIES": str(tries),
            },
            check=True,
            timeout=30,
            stderr=subprocess.DEVNULL,
        )

    def network(self, name: str) -> str:
        return (self.run_directory / "systemd/network" / name).read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def told(mode: str, lan: str, wan: str) -> dict[str, str]:
    return {"RATWALL_MODE": mode, "RATWALL_LAN": lan, "RATWALL_WAN": wan}


def test_the_first_port_is_the_internets_and_the_second_the_offices(machine: Machine) -> None:
    machine.port("enp2s0", PCI.format(2))
    machine.port("enp1s0", PCI.format(1))
    machine.virtual("br0")
    machine.port("wlan0", PCI.format(0), wireless=True)
    assert machine.ports() == told("bridge", "enp2s0", "enp1s0")


def test_an_adapter_on_usb_is_the_offices_on_a_pi(machine: Machine) -> None:
    machine.port("enx0", USB)
    machine.port("end0", "devices/platform/scb/fd580000.ethernet")
    assert machine.ports() == told("bridge", "enx0", "end0")


def test_the_owners_word_counts_and_nonsense_does_not(machine: Machine) -> None:
    machine.port("eth0", PCI.format(1))
    machine.port("eth1", PCI.format(2))
    machine.wish("MODE=router\nWAN=eth1\nLAN=$(reboot)\nMODE2=x\n")
    assert machine.ports() == told("router", "eth0", "eth1")
    machine.wish("MODE=everything\n")
    assert machine.ports()["RATWALL_MODE"] == "bridge"


def test_a_third_port_is_no_way_around_the_box(machine: Machine) -> None:
    for number in range(3):
        machine.port(f"eth{number}", PCI.format(number))
    machine.ports()
    ports = machine.network("50-ratwall-port.network")
    assert "Name=eth1 eth0\n" in ports and "Bridge=br0\n" in ports
    # The first file that matches counts: what is left for the next one is spare. By exceptions it
    # cannot be said, since a port's other names are not excepted.
    spare = machine.network("55-ratwall-spare.network")
    assert "Name=" not in spare and "Unmanaged=yes" in spare


def test_without_two_ports_networkd_still_bridges_what_comes(machine: Machine) -> None:
    machine.port("eth0", PCI.format(1))
    assert machine.ports(tries=1) == told("bridge", "none-lan", "eth0")
    assert list((machine.run_directory / "systemd/network").iterdir()) == []


def test_a_port_that_comes_late_is_taken_up_and_one_on_top_is_not(machine: Machine) -> None:
    machine.port("eth1", PCI.format(2))
    machine.ports(tries=1)
    assert machine.port_came("eth1") == [], "it was there already"

    machine.port("eth0", PCI.format(1))
    taken_up = ["restart ratwall-ports.service", "try-reload-or-restart systemd-networkd.service"]
    assert machine.port_came("eth0") == taken_up
    # As if it had been there from the start: the first on the bus is the internet's.
    assert machine.told() == told("bridge", "eth1", "eth0")
    assert "Name=eth1 eth0\n" in machine.network("50-ratwall-port.network")

    machine.port("eth2", PCI.format(0))
    assert machine.port_came("eth2") == []
    assert machine.told() == told("bridge", "eth1", "eth0")


def test_two_ports_that_come_late_are_taken_up_one_after_the_other(machine: Machine) -> None:
    machine.ports(tries=1)
    machine.port("eth1", PCI.format(2))
    assert machine.port_came("eth1") == ["restart ratwall-ports.service"]
    assert machine.told() == told("bridge", "none-lan", "eth1")
    machine.port("eth0", PCI.format(1))
    assert len(machine.port_came("eth0")) == 2
    assert machine.told() == told("bridge", "eth1", "eth0")


def test_udev_has_each_wired_port_taken_up_by_a_unit_of_its_own() -> None:
    (rule,) = (
        line
        for line in (OVERLAY / "usr/lib/udev/rules.d/90-ratwall-ports.rules")
        .read_text()
        .splitlines()
        if not line.startswith("#")
    )
    assert 'ENV{SYSTEMD_WANTS}+="ratwall-port@$name.service"' in rule
    text = (UNITS / "ratwall-port@.service").read_text()
    assert "ExecStart=/usr/lib/ratwall/port-came %i" in text
    assert "RemainAfterExit" not in text, "the same port may come again"


def test_router_mode_makes_no_bridge_and_serves_the_office(machine: Machine) -> None:
    machine.port("eth0", PCI.format(1))
    machine.port("eth1", PCI.format(2))
    machine.wish("MODE=router\n")
    machine.ports()
    machine.ports()  # once more changes nothing
    lan, wan = machine.network("50-ratwall-lan.network"), machine.network("50-ratwall-wan.network")
    assert "Name=eth1" in lan and "DHCPServer=yes" in lan and "@" not in lan
    assert "Name=eth0" in wan and "DHCP=yes" in wan and "@" not in wan
    bridge = machine.run_directory / "systemd/network/60-ratwall-bridge.netdev"
    assert str(bridge.readlink()) == "/dev/null"
    assert "router.nft" in (machine.run_directory / "ratwall/base.nft").read_text()
    machine.wish("MODE=bridge\n")
    machine.ports()
    assert not bridge.is_symlink()
