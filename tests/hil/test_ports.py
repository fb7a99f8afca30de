"""A network port that appears long after the boot: it is taken up, and the office is protected.

Without a boot: the port is taken from its driver, the units are told of it as in a boot in which it
does not come, and then the driver gets it back. From there on all is as in such a boot.
"""

import pytest

from hil.conftest import Box
from hil.traffic import attack, is_answered
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import End

pytestmark = pytest.mark.full

OFFICE_PORT = "0000:00:09.0"  # its place on the bus, as the emulated box has it
DRIVER = "/sys/bus/pci/drivers/virtio-pci"
# The lab lets a box wait for minutes for its ports; half a second shows the same.
IMPATIENT = """mkdir -p /run/systemd/system/ratwall-ports.service.d &&
printf '[Service]\\nEnvironment=RATWALL_TRIES=5\\n' \
  > /run/systemd/system/ratwall-ports.service.d/99-test.conf &&
systemctl daemon-reload && systemctl restart ratwall-ports.service ratwall-rules.service \
  ratwall-controller.service --no-block"""


def test_a_port_whose_driver_is_late_is_taken_up_when_it_comes(box: Box, rat: Identity) -> None:
    machine = box.machine
    machine.succeed(f"echo {OFFICE_PORT} > {DRIVER}/unbind")
    machine.succeed(IMPATIENT)
    machine.wait_until_succeeds("grep -q RATWALL_LAN=none-lan /run/ratwall/ports")
    box.wait_for("protection to end", lambda: box.state() != "protecting")

    machine.succeed(f"echo {OFFICE_PORT} > {DRIVER}/bind")
    box.wait_protecting()
    attempt, visits = attack(box, rat)
    assert attempt.end is End.RESET
    assert sum(visit.application_bytes for visit in visits) == 0
    address = box.address()
    assert is_answered(box.lab.anna, address, 443)
    assert not is_answered(box.lab.internet, address, 443), "the base rules know the port too"
    # Laid by the name of the port: a third one would not be bridged.
    assert "Bridge=br0" in machine.succeed("cat /run/systemd/network/50-ratwall-port.network")
    machine.wait_until_succeeds("networkctl status enp0s9 | grep 50-ratwall-port.network")
