"""A network port that appears long after the boot: it is taken up, and the office is protected."""

import pytest

from hil.conftest import PowerOn
from hil.traffic import attack, is_answered
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import End

pytestmark = pytest.mark.full

OFFICE_PORT = "0000:00:09.0"  # its place on the bus, as the emulated box has it
DRIVER = "/sys/bus/pci/drivers/virtio-pci"
# Before anything looks at the ports, the office's is taken from its driver.
DRIVERLESS = f"[Service]\nExecStartPre=+/bin/sh -c 'echo {OFFICE_PORT} > {DRIVER}/unbind'\n"
LATE = {"systemd-udevd.service": DRIVERLESS, "ratwall-ports.service": ""}


def test_a_port_whose_driver_is_late_is_taken_up_when_it_comes(
    power_on: PowerOn, rat: Identity
) -> None:
    box = power_on(units=LATE)
    box.machine.wait_for_shell()
    box.machine.wait_for_unit("ratwall-ports.service")  # it has stopped waiting
    assert "RATWALL_LAN=none-lan" in box.machine.succeed("cat /run/ratwall/ports")
    box.machine.wait_for_unit("systemd-networkd.service")

    box.machine.succeed(f"echo {OFFICE_PORT} > {DRIVER}/bind")
    box.wait_protecting()
    attempt, visits = attack(box, rat)
    assert attempt.end is End.RESET
    assert visits[0].application_bytes == 0
    address = box.address()
    assert is_answered(box.lab.anna, address, 443)
    assert not is_answered(box.lab.internet, address, 443), "the base rules know the port too"
    assert box.machine.succeed("systemctl --failed --plain --no-legend").strip() == ""
