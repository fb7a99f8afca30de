"""Which disks there are, and which must not be written, from what `lsblk` says.

Pure but for `list_disks`. Design note: a disk is refused for what hangs below it too, at any depth:
a partition, an LVM volume on it, the swap in that. The kernel is asked once more by opening the
disk exclusively (target.py), so that nothing slips in between look and write.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratwall.errors import RatwallError, UsageError
from ratwall_flash.gpt import SECTOR

COLUMNS = "PATH,TYPE,SIZE,RO,RM,HOTPLUG,MODEL,SERIAL,TRAN,MOUNTPOINTS,LOG-SEC,FSTYPE,PKNAME"
LIST_SECONDS = 20  # a reader with a bad card keeps the kernel busy for a while
WHOLE = ("disk", "loop")  # a loop device is a file of the user's own, named on purpose
# Where a machine that loses it stops working.
SYSTEM = ("/", "/boot", "/boot/efi", "/boot/firmware", "/usr", "/var", "/home", "[SWAP]")
MEGABYTE = 1_000_000  # as makers of cards count
GIGABYTE = 1000 * MEGABYTE
CARD = "take one of at least 4 GB"  # the smallest still sold; the image and room for history


@dataclass(frozen=True, slots=True)
class Disk:
    """A block device as `lsblk` shows it, with what is below it."""

    path: str
    kind: str
    size: int
    read_only: bool
    removable: bool
    model: str
    serial: str
    transport: str
    sector: int
    file_system: str
    parent: str
    mounts: tuple[str, ...]
    children: tuple["Disk", ...]

    def below(self) -> Iterator["Disk"]:
        """Yield the disk itself and all that hangs below it."""
        yield self
        for child in self.children:
            yield from child.below()

    def describe(self) -> str:
        """Return one line for a person who must recognise it."""
        words = [self.model or "no model name", show_size(self.size)]
        words += [f"serial {self.serial}"] if self.serial else ["no serial"]
        words += [self.transport] if self.transport else []
        words += [] if self.removable else ["BUILT IN"]
        return f"{self.path}: {', '.join(words)}"


def show_size(size: int) -> str:
    """Return a size as it is printed on a card."""
    return f"{size / GIGABYTE:.1f} GB" if size >= GIGABYTE else f"{size / MEGABYTE:.0f} MB"


def read_disks(text: str) -> list[Disk]:
    """Return the disks of `lsblk --json --bytes` with COLUMNS."""
    try:
        return [_disk(entry) for entry in json.loads(text)["blockdevices"]]
    except (ValueError, KeyError, TypeError) as error:
        raise RatwallError(f"lsblk: unexpected output ({error}); is it util-linux 2.37?") from error


def _disk(entry: Mapping[str, Any]) -> Disk:
    return Disk(
        path=entry["path"],
        kind=entry["type"],
        size=int(entry["size"] or 0),
        read_only=bool(entry["ro"]),
        removable=bool(entry["rm"]) or bool(entry["hotplug"]),
        model=_printable(entry["model"]),
        serial=_printable(entry["serial"]),
        transport=entry["tran"] or "",
        sector=int(entry["log-sec"]),
        file_system=entry["fstype"] or "",
        parent=entry["pkname"] or "",
        mounts=tuple(mount for mount in entry["mountpoints"] if mount),
        children=tuple(_disk(child) for child in entry.get("children", ())),
    )


def _printable(text: str | None) -> str:
    """What a disk says of itself reaches a terminal: nothing that steers one."""
    return "".join(letter for letter in (text or "").strip() if letter.isprintable())


def why_not(disk: Disk, needed: int) -> str | None:
    """Return why this disk must not get an image of `needed` bytes, None if it may."""
    if disk.kind == "part":
        whole = f"; the disk is {_whole(disk)}" if disk.parent else ""
        return f"a partition, expected a whole disk{whole}"
    if disk.kind not in WHOLE:
        return f"of kind {disk.kind}, expected a whole disk or card (see --list)"
    for device in disk.below():
        system = [mount for mount in device.mounts if mount in SYSTEM]
        if system:
            return f"this machine runs from it ({device.path} is {system[0]}); it is never written"
    for device in disk.below():
        if device.mounts:
            return (
                f"{device.path} is mounted at {device.mounts[0]!r}; "
                f"if it is the card you mean: umount {device.path}"
            )
    used = [device for device in disk.below() if device is not disk and device.kind != "part"]
    if used:
        return f"in use: {used[0].path} ({used[0].kind}) is made of it; stop that first"
    if disk.size == 0:
        return "no card in it; put one in"
    if disk.read_only:
        return "read-only; is the little lock at the card's side shut?"
    if disk.sector != SECTOR:
        return f"sectors of {disk.sector} bytes, expected {SECTOR}; take another disk"
    if disk.size < needed:
        return f"too small: {show_size(disk.size)}, the image needs {show_size(needed)}; {CARD}"
    return None


def _whole(disk: Disk) -> str:
    return disk.parent if disk.parent.startswith("/") else f"/dev/{disk.parent}"


def list_disks(device: str | None = None) -> list[Disk]:
    """Ask `lsblk` for one device, or for all."""
    argv: Sequence[str] = ["lsblk", "--json", "--bytes", "--output", COLUMNS]
    try:
        done = subprocess.run(
            [*argv, *([device] if device else [])],
            capture_output=True,
            text=True,
            timeout=LIST_SECONDS,
        )
    except FileNotFoundError as error:
        raise RatwallError("lsblk is missing; install with: apt-get install util-linux") from error
    except subprocess.TimeoutExpired as error:
        raise RatwallError(
            f"lsblk did not answer within {LIST_SECONDS} s: a reader hangs; take its card out"
        ) from error
    if done.returncode != 0 and device:
        raise UsageError(f"{device}: not a disk or card: see scripts/flash --list")
    if done.returncode != 0:
        raise RatwallError(f"lsblk: {done.stderr.strip() or 'failed without a word'}")
    return read_disks(done.stdout)
