"""What becomes of the data partition at a start: kept, unless the owner asked for a factory reset.

A file stands for the partition; the file system's own tools make it, and judge it afterwards.
"""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from image.conftest import OVERLAY

SCRIPT = OVERLAY / "usr/lib/ratwall/data-check"
TOOLS = "/usr/sbin:/sbin:/usr/bin:/bin"
MEGABYTE = 1 << 20


@dataclass
class Disk:
    """A data partition with a history in it, and a boot partition."""

    device: Path
    boot: Path

    def start(self, path: str = TOOLS) -> int:
        environment = {"PATH": path, "RATWALL_BOOT": str(self.boot)}
        return subprocess.run([SCRIPT, self.device], env=environment, check=False).returncode

    def holds(self) -> set[str]:
        done = tool("debugfs", "-R", "ls -p /", str(self.device))
        return {line.split("/")[5] for line in done.splitlines() if line.count("/") > 5}


def tool(*argv: str) -> str:
    environment = {**os.environ, "PATH": TOOLS}
    return subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "settings").write_text("the owner's")
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / "grubenv").write_text("A")
    (tmp_path / "boot" / "ratwall-result.txt").write_text("Huber bakery: applied")
    device = tmp_path / "device"
    with device.open("wb") as file:
        file.truncate(24 * MEGABYTE)
    tool("mke2fs", "-q", "-t", "ext4", "-d", str(tmp_path / "data"), str(device))
    return Disk(device, tmp_path / "boot")


def test_a_start_keeps_what_there_is_and_fills_the_partition(disk: Disk) -> None:
    with disk.device.open("ab") as file:
        file.truncate(32 * MEGABYTE)
    assert disk.start() == 0
    assert "settings" in disk.holds()
    assert "Block count:              32768" in tool("dumpe2fs", "-h", str(disk.device))
    assert (disk.boot / "ratwall-result.txt").exists()


@pytest.mark.parametrize("mark", ["factory-reset", "factory-reset.txt"])
def test_the_owners_mark_empties_it_once(disk: Disk, mark: str) -> None:
    (disk.boot / mark).touch()
    assert disk.start() == 0
    assert disk.holds() == {".", "..", "lost+found"}
    tool("e2fsck", "-f", "-n", str(disk.device))
    # The slots' marks stay; what told of the site goes.
    assert {path.name for path in disk.boot.iterdir()} == {"grubenv"}


def _break(disk: Disk) -> None:
    with disk.device.open("r+b") as file:
        for place in range(0, 24 * MEGABYTE, 4096):
            file.seek(place)
            file.write(b"\xff" * 4096)


@pytest.mark.parametrize(
    ("spoil", "exit_code"), [(_break, 0), (lambda disk: None, 0)], ids=["broken", "whole"]
)
def test_a_reset_mends_what_no_check_could(
    disk: Disk, spoil: Callable[[Disk], None], exit_code: int
) -> None:
    (disk.boot / "factory-reset").touch()
    spoil(disk)
    assert disk.start() == exit_code
    assert "lost+found" in disk.holds()


def test_without_the_mark_a_broken_one_is_left_to_be_looked_at(disk: Disk) -> None:
    _break(disk)
    before = disk.device.read_bytes()
    assert disk.start() != 0
    assert disk.device.read_bytes() == before


def test_a_reset_that_was_cut_short_is_done_again(disk: Disk, tmp_path: Path) -> None:
    (disk.boot / "factory-reset").touch()
    # The power goes while the file system is made: stood in for by a tool that fails.
    broken = tmp_path / "tools"
    broken.mkdir()
    (broken / "mke2fs").write_text("#!/bin/sh\nexit 1\n")
    (broken / "mke2fs").chmod(0o755)
    assert disk.start(f"{broken}:{TOOLS}") != 0
    assert (disk.boot / "factory-reset").exists()
    assert disk.start() == 0
    assert "settings" not in disk.holds()
