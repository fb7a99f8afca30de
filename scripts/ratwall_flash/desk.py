"""The technician at the desk: what is asked and told, and the disk in front of them.

Design note: every question goes through `ask`, so that one place knows what to do without a
terminal, and a test can sit at the desk.
"""

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ratwall.errors import NotPermittedError, RatwallError, UsageError
from ratwall_flash.card import Content, holds, write_card
from ratwall_flash.disks import Disk, list_disks, why_not
from ratwall_flash.image import Image
from ratwall_flash.progress import Teller
from ratwall_flash.target import OpenTarget, create_file, open_disk

Identity = tuple[str, str, str]


@dataclass(slots=True)
class Desk:
    """Where questions go to and answers come from."""

    out: TextIO
    ask: Callable[[str], str]  # EOFError when nobody answers any more
    attended: bool  # somebody sits there to answer
    teller: Teller
    sure: bool = False  # --yes
    _agreed: Identity | None = None

    def say(self, text: str) -> None:
        """Tell something, on a line of its own."""
        self.teller.end()
        print(text, file=self.out, flush=True)

    def agree(self, disk: Disk) -> None:
        """Have the disk confirmed by its name; once, as long as it stays the same reader."""
        # A reader on USB is the same for all cards; in a slot, model and serial are the card's.
        own = ("", "") if disk.transport == "mmc" else (disk.model, disk.serial)
        identity = (disk.path, *own)
        if identity == self._agreed:
            return
        if not self.sure and not self.attended:
            raise UsageError(
                f"{disk.describe()}: nobody there to ask whether this is the right disk: "
                "run it in a terminal, or add --yes"
            )
        self.say(f"flash: {disk.describe()}")
        if self.sure:
            self._agreed = identity
            return
        name = Path(disk.path).name
        answer = self.ask(f"all that is on it will be lost; type {name} to go on: ").strip()
        if answer not in (name, disk.path):
            raise UsageError(f"{disk.path}: not confirmed (expected {name}); nothing was written")
        self._agreed = identity


def inspect(device: str, needed: int) -> Disk:
    """Return the disk if it may be written; UsageError says why not."""
    path = os.path.realpath(device)
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        near = f"; did you mean /dev/{device}?" if Path("/dev", device).is_block_device() else ""
        raise UsageError(f"{device}: {error.strerror}{near}; see scripts/flash --list") from error
    if not stat.S_ISBLK(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a file"
        raise UsageError(
            f"{device}: {what}, expected a disk; see scripts/flash --list; "
            "--to-file makes a file in place of a card"
        )
    disk = list_disks(path)[0]
    reason = why_not(disk, needed)
    if reason:
        raise UsageError(f"{device}: {reason}")
    return disk


def write_disk(
    desk: Desk, device: str, content: Content, cards: dict[str, str] | None = None
) -> Disk:
    """Look at the disk, have it confirmed, write it; return what it was.

    `cards` are the boxes' cards that are finished already (SHA-256 of bootsel by box).
    """
    image = content.image
    disk = inspect(device, image.table.size)
    if os.geteuid() != 0 and not os.access(disk.path, os.W_OK):
        raise NotPermittedError(
            f"{disk.path}: writing a disk needs root; try: sudo scripts/flash …"
        )
    desk.agree(disk)
    target = open_disk(disk.path)
    try:
        if target.size != disk.size:
            raise RatwallError(f"{disk.path}: another disk than a moment ago; look again")
        owner = holds(target, image, cards or {})
        if owner is not None:
            raise UsageError(
                f"{disk.path}: this is the finished card of box {owner!r}; take it out, "
                f"put the next one in (to make it anew: --again {owner!r})"
            )
        _write(desk, target, content, "; take it out")
    finally:
        target.close()
    return disk


def write_file(desk: Desk, path: Path, content: Content) -> None:
    """Make a file as a card would be; none is left if it does not get whole."""
    target = create_file(path, content.image.table.size)
    try:
        _write(desk, target, content, "")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        target.close()


def _write(desk: Desk, target: OpenTarget, content: Content, advice: str) -> None:
    try:
        write_card(target, content, desk.teller.show)
    except KeyboardInterrupt:
        desk.say(f"flash: stopped; {target.name} is not finished and does not start; write it anew")
        raise
    finally:
        desk.teller.end()
    seed = "with its seed" if content.seeded else "without a seed"
    desk.say(f"flash: {target.name} holds the image, {seed}, read back{advice}")


def sum_up(image: Image) -> str:
    """Return one line about the image that was read."""
    checked = (
        f"as {image.path.name}.sha256 says"
        if image.checked
        else f"no {image.path.name}.sha256 beside it to check it against"
    )
    return f"flash: {image.path.name}: SHA-256 {image.sha256[:16]}…, {checked}"


def utc_now() -> str:
    """Return the time as a record keeps it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
