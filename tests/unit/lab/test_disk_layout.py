"""The disk of a box: what GRUB, RAUC and systemd take for granted about it is written once, and so.

The layout file is read as genimage reads it, as far as these questions go.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
BOARD = ROOT / "buildroot" / "board" / "x86_64_efi"
GRUB = (BOARD / "grub.cfg").read_text()
GENIMAGE = (ROOT / "buildroot" / "genimage" / "disk.cfg").read_text()
PARTITIONS = re.findall(r"partition (\S+) \{(.*?)\}", GENIMAGE, re.DOTALL)
LINUX_GENERIC = "0fc63daf-8483-4772-8e79-3d69d8477de4"
TRIES = 3


def test_the_partitions_are_those_of_the_design_in_their_order() -> None:
    names = [name for name, _ in PARTITIONS]
    assert names == ["bootsel", "boot-a", "boot-b", "root-a", "root-b", "data"]


def test_grub_takes_each_slots_kernel_and_root_from_the_same_slot() -> None:
    numbers = {name: number for number, (name, _) in enumerate(PARTITIONS, start=1)}
    pairs = re.findall(r"set number=(\d)\n\s+set label=(\S+)", GRUB)
    assert pairs == [
        (str(numbers["boot-a"]), "root-a"),
        (str(numbers["boot-b"]), "root-b"),
    ]


def test_only_data_can_be_taken_for_the_partition_that_grows() -> None:
    general = [name for name, text in PARTITIONS if LINUX_GENERIC in text]
    assert general == ["data"]


def test_the_slots_of_a_pair_are_of_one_size() -> None:
    sizes = {name: re.findall(r"size = (\S+)", text) for name, text in PARTITIONS}
    assert sizes["root-a"] == sizes["root-b"] != []


def test_a_slot_has_three_tries_and_each_is_written_down_before_the_kernel_is_loaded() -> None:
    for slot in "AB":
        counted = re.findall(rf"set {slot}_TRY=(\d)", GRUB)
        assert counted == ["0", "0", "1", "2", str(TRIES)]
        assert f'"${{{slot}_TRY}}" != "{TRIES}"' in GRUB
    assert GRUB.index("save_env") < GRUB.index("\nlinux ")
