"""A card as a technician makes it: `scripts/flash` with a list of boxes, onto a block device.

The device is a loop device over a file of the test's own; no disk of this machine is written.
"""

import subprocess
import sys
from pathlib import Path

from image.test_flash import loop

SCRIPT = Path(__file__).parents[2] / "scripts" / "flash"
CARD_BYTES = 3 << 30
FLASH_SECONDS = 600.0  # a gigabyte and a quarter written and read back, past the page cache
SITE = "Huber bakery, shop 2"


def make_card(image: Path, folder: Path) -> Path:
    """Return a card with an image and a seed that names the site; the set-up code stays in use."""
    card, boxes = folder / "card.img", folder / "boxes.csv"
    with card.open("wb") as file:
        file.truncate(CARD_BYTES)
    boxes.write_text(f'box,site.name\nshop-2,"{SITE}"\n')
    with loop(card) as device:
        done = subprocess.run(
            [sys.executable, SCRIPT, str(image), device, "--csv", str(boxes), "--yes"],
            input="\n",
            capture_output=True,
            text=True,
            timeout=FLASH_SECONDS,
        )
    if done.returncode != 0:
        raise AssertionError(f"the card was not made:\n{done.stdout}{done.stderr}")
    return card
