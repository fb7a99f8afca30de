"""GRUB's block of marks on a made-up boot partition, judged by GRUB's own tool."""

import os
import subprocess
from pathlib import Path

import pytest

from image.conftest import OVERLAY
from ratwall.errors import RatwallError
from ratwall.update.attempt import Attempt
from ratwall.update.environment import SIZE, fresh_block, is_whole, mend
from ratwall.update.place import Place, keep_attempt, slot_tries

LOOK = OVERLAY / "usr/lib/ratwall/boot-marks"
FAILED = Attempt("0.2.0", "A", "0.1.0", 1, "a boot before").end(2, "it did not start")
WHOLE = fresh_block("A", other_good=True)
# What a power cut leaves of a file that is emptied and written, and what a bad card makes of it.
DAMAGED = {
    "gone": None,
    "emptied": b"",
    "cut short": WHOLE[:512],
    "too long": WHOLE + b"#",
    "zeros": bytes(SIZE),
    "another file's": b"x" * SIZE,
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A box on slot B."""
    boot = tmp_path / "EFI/BOOT"
    boot.mkdir(parents=True)
    (tmp_path / "cmdline").write_text("root=PARTLABEL=root-b ro rauc.slot=B\n")
    (tmp_path / "boot_id").write_text("this boot\n")
    (tmp_path / "data").mkdir()
    return Place(
        directory=tmp_path / "data",
        environment=boot / "grubenv",
        release=tmp_path / "os-release",
        command_line=tmp_path / "cmdline",
        boot=tmp_path / "boot_id",
    )


def editenv(file: Path, *words: str) -> list[str]:
    """What GRUB's tool makes of the block."""
    done = subprocess.run(
        ["grub-editenv", str(file), *words], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()


def look(place: Place) -> str:
    """Whether the script that runs at every boot has Python mend the block."""
    done = subprocess.run(
        [LOOK],
        env={
            **os.environ,
            "RATWALL_GRUBENV": str(place.environment),
            "RATWALL_PYTHON": "/bin/echo",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize("how", DAMAGED)
def test_a_damaged_block_is_made_anew_with_the_slot_that_runs_first(place: Place, how: str) -> None:
    if (left := DAMAGED[how]) is not None:
        place.environment.write_bytes(left)
    assert look(place).split() == ["-P", "-m", "ratwall.update.environment"]
    assert mend(place)
    assert editenv(place.environment, "list") == [
        "ORDER=B A",
        "B_OK=1",
        "B_TRY=1",
        "A_OK=1",
        "A_TRY=0",
    ]
    assert [file.name for file in place.environment.parent.iterdir()] == ["grubenv"]
    # RAUC's marks work again, as GRUB's tool writes them.
    editenv(place.environment, "set", "A_OK=0", "B_TRY=0")
    assert slot_tries(place, "A").ok is False
    assert is_whole(place.environment.read_bytes())


def test_a_whole_block_is_left_as_it_is(place: Place) -> None:
    editenv(place.environment, "create")
    editenv(place.environment, "set", "ORDER=A B", "A_OK=1", "A_TRY=2", "OF=others")
    before = place.environment.read_bytes(), place.environment.stat().st_ino
    assert look(place) == ""
    assert not mend(place)
    assert before == (place.environment.read_bytes(), place.environment.stat().st_ino)


def test_a_version_that_failed_before_is_not_called_good_again(place: Place) -> None:
    keep_attempt(place, FAILED)
    assert mend(place)
    assert "A_OK=0" in editenv(place.environment, "list")


def test_a_box_with_another_boot_loader_gets_no_block(place: Place) -> None:
    place.environment.parent.rmdir()
    assert look(place) == ""
    assert not mend(place)
    assert not place.environment.parent.exists()


def test_nobody_guesses_where_it_is_not_known_which_slot_runs(place: Place) -> None:
    place.command_line.write_text("root=/dev/vda2\n")
    assert not mend(place)
    assert not place.environment.exists()


def test_a_block_that_cannot_be_written_is_told_of(place: Place) -> None:
    place.environment.mkdir()
    with pytest.raises(RatwallError, match="damaged, and not made anew"):
        mend(place)
