"""The seed on the card that the first boot is made from: applied, told of, and wiped.

That a password from a seed opens the page, and what a power cut on the way does to it:
`test_power_cuts`.
"""

from hil.card import SITE
from hil.conftest import Box

BOOT_PARTITION = "/mnt/bootsel"


def test_the_first_boot_set_the_box_up_by_the_seed_on_its_card(box: Box) -> None:
    said = box.machine.succeed("journalctl -b --no-pager -u ratwall-seed.service")
    assert "the seed was applied and wiped" in said, said
    assert box.machine.succeed("cat /etc/ratwall/site-name").strip() == SITE
    result = box.machine.succeed(f"cat {BOOT_PARTITION}/ratwall-result.txt")
    assert result.strip() == "Applied. The seed was wiped."
    box.machine.fail(f"ls {BOOT_PARTITION}/ratwall.toml")
    # The seed has the same text on every card of this test: no byte of it is left on the partition.
    box.machine.fail(f"grep -qa '{SITE}' /dev/disk/by-partlabel/bootsel")
