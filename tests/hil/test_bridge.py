"""Without Ratwall: where nothing of it ever starts, the box is a cable all the same."""

import pytest

from hil.conftest import Box, PowerOn
from hil.traffic import attack, read_page
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.endpoint import End

pytestmark = pytest.mark.full

# Every script and process of ours ends before it did anything, as with a file that is damaged.
BROKEN = "[Service]\nExecCondition=\nExecStart=\nExecStart=/usr/bin/false\n"
UNITS = (
    *("ratwall-seed", "ratwall-ports", "ratwall-firewall", "ratwall-prepare", "ratwall-rules"),
    *("ratwall-inspector@", "ratwall-controller", "ratwall-web"),
)


def is_bridged(box: Box) -> bool:
    """Whether a page can be fetched from the internet: by then both ports are in the bridge."""
    return (
        box.lab.anna.run(["ping", "-c", "1", "-W", "2", "192.168.77.1"], check=False).returncode
        == 0
    )


def test_office_traffic_passes_though_nothing_of_ratwall_ever_starts(
    power_on: PowerOn, rat: Identity, notary: Notary
) -> None:
    box = power_on(units={f"{unit}.service": BROKEN for unit in UNITS})
    box.machine.wait_for_shell()
    box.wait_for("the bridge", lambda: is_bridged(box), timeout=300.0)

    assert read_page(box, notary) == 200_000
    failed = box.machine.succeed("systemctl --failed --plain --no-legend")
    assert "ratwall-ports.service" in failed and "ratwall-firewall.service" in failed
    assert box.machine.execute("nft list table inet ratwall").status != 0
    # It is a cable and no more: what would be cut, passes.
    attempt, _ = attack(box, rat)
    assert attempt.end is not End.RESET
    assert attempt.handshaken is not None
