"""Power cuts at twenty moments: during first boots, attacks, and writing of the ledger.

The moments are drawn once, from a seed, each in its own part of the time that matters; so they are
spread out, and the same in every run. One box lives through all cuts of attacks and of the ledger:
each boot is judged, and is at once the box that the next cut hits.
"""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import nacl.pwhash
import pytest

from hil.conftest import IMAGE, PASSWORD, Booted, Box, PowerOn
from hil.ledger import BLOCKS, Known
from hil.stages import PROTECTS
from hil.test_update import CHECK_SECONDS, GRUBENV
from hil.traffic import PORT, attack, under_attack
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import End
from ratwall_lab.namespaces import run_tool
from ratwall_lab.qemu.machine import Machine
from ratwall_lab.qemu.office import Office

pytestmark = pytest.mark.full

CUTS = {"first boot": 6, "attack": 7, "ledger": 7}
# Through an emulated box an attack takes two or three seconds, from the first packet to the block
# on record; the blocks by the hundred go on for longer than that.
SECONDS = {"attack": 4.0, "ledger": 5.0}
BLOCKS_AT_ONCE = 120  # seven times as many are within what a list shows, a thousand
ROOT_SHOWN = r"Welcome to "
SITE = "Bakery, corner shop"
DATA_BYTES = """python3 -c 'import os; s = os.statvfs("/data"); print(s.f_blocks * s.f_frsize)'"""
GROWN = 1_500_000_000  # of three gigabytes; it has a quarter of one in the image
FIRST_PARTITION = 1_048_576  # bytes: genimage's alignment, where `bootsel` begins


def moments(kind: str) -> list[float]:
    """Return when to cut, in parts of the time that matters: one in each of as many equal parts."""
    drawn = random.Random(f"ratwall {kind}")
    return [round((part + drawn.random()) / CUTS[kind], 3) for part in range(CUTS[kind])]


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image with a seed on its boot partition, as a card comes out of the PC."""
    folder = tmp_path_factory.mktemp("seeded")
    image, seed = folder / "seeded.img", folder / "ratwall.toml"
    run_tool(["cp", "--sparse=always", "--reflink=auto", str(IMAGE), str(image)])
    password = nacl.pwhash.argon2id.str(PASSWORD.encode()).decode()
    seed.write_text(f'[site]\nname = "{SITE}"\n[admin]\npassword_hash = "{password}"\n')
    run_tool(["mcopy", "-i", f"{image}@@{FIRST_PARTITION}", str(seed), "::ratwall.toml"])
    return image


@pytest.mark.parametrize("part", moments("first boot"))
def test_a_first_boot_that_is_cut_is_made_good_by_the_next(
    seeded: Path, booted: Booted, power_on: PowerOn, rat: Identity, part: float
) -> None:
    box = power_on(image=seeded)
    box.machine.wait_for_console_text(ROOT_SHOWN)
    seconds = booted.report.seconds
    time.sleep(part * (seconds[PROTECTS] - seconds["root file system"]))
    box.machine.power_cut()

    box.wait_protecting()
    Known().check(box)
    attempt, _ = attack(box, rat)
    assert attempt.end is End.RESET
    assert box.machine.succeed("cat /etc/ratwall/site-name").strip() == SITE
    box.machine.fail("ls /mnt/bootsel/ratwall.toml")
    visitor = box.visitor()
    with box.lab.anna.enter():
        assert visitor.log_in(PASSWORD).status == 303
    assert int(box.machine.succeed(DATA_BYTES)) > GROWN, "the data partition has not grown"
    assert box.machine.succeed("systemctl --failed --plain --no-legend").strip() == ""


class Veteran:
    """A box that lives through one power cut after the other, and what it must not forget."""

    def __init__(self, box: Box) -> None:
        self.box, self.known, self.cuts = box, Known(), 0

    def judge(self, rat: Identity) -> None:
        """Boot after a cut; nothing may be lost, and protection must be back."""
        self.box.machine.start()
        self.box.wait_protecting()
        self.known.check(self.box)
        attempt, visits = attack(self.box, rat)
        assert attempt.end is End.REFUSED, "the first server's block was not laid again"
        assert visits == []


@pytest.fixture(scope="module")
def veteran(booted: Booted, folder: Path, office: Office, rat: Identity) -> Iterator[Veteran]:
    with Machine(IMAGE, folder / "veteran", office.lab.box, saved=booted.saved) as machine:
        veteran = Veteran(Box(machine, office))
        veteran.box.wait_protecting()  # it was held still
        attack(veteran.box, rat)
        veteran.box.wait_for("the block", lambda: veteran.box.ask("actions"))
        yield veteran


@pytest.mark.parametrize("part", moments("attack"))
def test_a_cut_during_an_attack_loses_nothing_that_was_told(
    veteran: Veteran, rat: Identity, part: float
) -> None:
    veteran.cuts += 1
    veteran.known.learn(veteran.box)
    with under_attack(veteran.box, rat, port=PORT + veteran.cuts):
        time.sleep(part * SECONDS["attack"])
        veteran.box.machine.crash()
    veteran.judge(rat)


@pytest.mark.parametrize("part", moments("ledger"))
def test_a_cut_while_the_ledger_is_written_loses_nothing_that_was_told(
    veteran: Veteran, rat: Identity, part: float
) -> None:
    veteran.cuts += 1
    known, machine = veteran.known, veteran.box.machine
    known.learn(veteran.box)
    before = len(known.actions)
    machine.console.mark()
    machine.succeed(BLOCKS.format(first=10_000 + veteran.cuts * 1000, count=BLOCKS_AT_ONCE))
    machine.wait_for_console_text(r"lab: acknowledged \d+\.")
    time.sleep(part * SECONDS["ledger"])
    machine.crash()
    known.read_console(veteran.box)
    assert len(known.actions) > before
    veteran.judge(rat)


def test_marks_of_grub_that_a_cut_left_empty_are_made_anew(box: Box, rat: Identity) -> None:
    # What GRUB's tool does first when it writes them; the cut comes before it writes.
    box.machine.succeed(": > /mnt/bootsel/EFI/BOOT/grubenv; sync")
    box.machine.power_cut()
    box.machine.wait_for_console_text(r"ratwall: slot A, try 1")
    box.wait_protecting()
    marks = box.machine.wait_until_succeeds(
        f"{GRUBENV} | grep -x A_TRY=0 && {GRUBENV}", CHECK_SECONDS
    )
    assert {"ORDER=A B", "A_OK=1", "B_OK=1", "B_TRY=0"} <= set(marks.split("\n"))
    assert box.machine.succeed("systemctl --failed --plain --no-legend").strip() == ""
    attempt, _ = attack(box, rat)
    assert attempt.end is End.RESET
