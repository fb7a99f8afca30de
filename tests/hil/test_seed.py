"""A card from `scripts/flash`, with a seed of its own, in a box that was never on before."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nacl.pwhash
import pytest

from hil.conftest import IMAGE, PASSWORD, PowerOn
from hil.traffic import attack
from image.test_flash import loop
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import End

SCRIPT = Path(__file__).parents[2] / "scripts" / "flash"
CARD_BYTES = 3 << 30
FLASH_SECONDS = 300.0  # a gigabyte and a quarter, written and read back, past the page cache
SITE = "Huber bakery, shop 2"
RESULT = "/mnt/bootsel/ratwall-result.txt"


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Path]:
    """The first card of a list of boxes, written by the program that a technician uses."""
    card, boxes = tmp_path / "card.img", tmp_path / "boxes.csv"
    with card.open("wb") as file:
        file.truncate(CARD_BYTES)
    password = nacl.pwhash.argon2id.str(PASSWORD.encode(), opslimit=3, memlimit=32 << 20).decode()
    boxes.write_text(f'box,site.name,admin.password_hash\nshop-2,"{SITE}","{password}"\n')
    with loop(card) as device:
        done = subprocess.run(
            [sys.executable, SCRIPT, str(IMAGE), device, "--csv", str(boxes), "--yes"],
            input="\n",
            capture_output=True,
            text=True,
            timeout=FLASH_SECONDS,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    yield card
    card.unlink()


def test_a_flashed_card_sets_its_box_up_and_wipes_its_seed(
    card: Path, power_on: PowerOn, rat: Identity
) -> None:
    box = power_on(image=card)
    box.wait_protecting()
    said = box.machine.succeed("journalctl -b --no-pager -u ratwall-seed.service")
    assert "the seed was applied and wiped" in said, said
    assert box.machine.succeed("cat /etc/ratwall/site-name").strip() == SITE
    assert box.machine.succeed(f"cat {RESULT}").strip() == "Applied. The seed was wiped."
    box.machine.fail("ls /mnt/bootsel/ratwall.toml")
    attempt, _ = attack(box, rat)
    assert attempt.end is End.RESET
    visitor = box.visitor()
    with box.lab.anna.enter():
        assert visitor.log_in(PASSWORD).status == 303
