"""Without Ratwall: where nothing of it ever starts, the box is a cable all the same."""

import pytest

from hil.conftest import Box, PowerOn
from hil.traffic import read_page, under_attack
from ratwall_lab.certificates import Identity, Notary

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
    box.wait_for("the bridge", lambda: is_bridged(box), timeout=900.0)

    assert read_page(box, notary) == 200_000
    for unit in ("ports", "firewall", "rules", "controller"):
        box.machine.fail(f"systemctl is-active --quiet ratwall-{unit}.service")
    box.machine.fail("nft list table inet ratwall")
    # It is a cable and no more: what would be cut, passes.
    with under_attack(box, rat) as (client, _):
        attempt = client.wait_attempts(1)[0]
        box.wait_for("the look-alike's handshake", lambda: attempt.handshaken)
