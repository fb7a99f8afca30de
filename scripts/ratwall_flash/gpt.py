"""The partition table of an image, out of its first bytes; UEFI specification 2.10, chapter 5.

Pure, and never writes one. What is no image of ours is refused here, before a disk is looked at:
the labels are those of docs/image.md, and both checksums must hold.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from ratwall.errors import UsageError

SECTOR = 512  # what images are made for; a disk with other sectors would not find its table
LABELS = ("bootsel", "boot-a", "boot-b", "root-a", "root-b", "data")
SIGNATURE = b"EFI PART"
HEADER = struct.Struct("<8s4sIIIQQQQ16sQIII")
ENTRY = struct.Struct("<16s16sQQQ72s")
ENTRY_COUNT_HIGH = 128  # what genimage and sfdisk write; more is no table of theirs
# Protective MBR, header, 128 entries: what must be read to judge a table.
TABLE_SIZE = (2 + ENTRY_COUNT_HIGH * ENTRY.size // SECTOR) * SECTOR


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition by its label; offsets in bytes."""

    label: str
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Table:
    """The partitions in order, and the size in bytes of the disk that the table describes."""

    partitions: tuple[Partition, ...]
    size: int

    @property
    def start(self) -> int:
        """Where the first partition begins: all before it is the table."""
        return min(part.start for part in self.partitions)

    def find(self, label: str) -> Partition:
        """Return the partition of that label."""
        return next(part for part in self.partitions if part.label == label)


def read_table(head: bytes, source: str) -> Table:
    """Return the table in the first TABLE_SIZE bytes; UsageError if this is no image of a box."""
    if len(head) < TABLE_SIZE or head[510:512] != b"\x55\xaa" or head[450] != 0xEE:
        raise _no_image(source, "it has no GPT partition table")
    header = head[SECTOR : SECTOR + HEADER.size]
    (signature, _, length, checksum, _, own, backup, _, _, _, entries, count, size, entries_sum) = (
        HEADER.unpack(header)
    )
    blank = header[:16] + bytes(4) + header[20:]
    if signature != SIGNATURE or own != 1:
        raise _no_image(source, "it has no GPT partition table")
    if length != HEADER.size or zlib.crc32(blank) != checksum:
        raise _no_image(source, "its partition table is damaged")
    if entries != 2 or size != ENTRY.size or not 0 < count <= ENTRY_COUNT_HIGH:
        raise _no_image(source, "its partition table is of no kind that is written for a box")
    raw = head[2 * SECTOR : 2 * SECTOR + count * size]
    if zlib.crc32(raw) != entries_sum:
        raise _no_image(source, "its partition table is damaged")
    table = Table(tuple(_partitions(raw)), (backup + 1) * SECTOR)
    _check(table, source)
    return table


def _partitions(raw: bytes) -> Sequence[Partition]:
    found = []
    for kind, _, first, last, _, name in ENTRY.iter_unpack(raw):
        if any(kind):
            label = name.decode("utf-16-le", "replace").partition("\0")[0]
            found.append(Partition(label, first * SECTOR, (last + 1 - first) * SECTOR))
    return found


def _check(table: Table, source: str) -> None:
    labels = tuple(part.label for part in table.partitions)
    if labels != LABELS:
        shown = ", ".join(repr(label)[1:-1] for label in labels[: len(LABELS) + 1]) or "none"
        raise _no_image(source, f"its partitions are {shown}; expected {', '.join(LABELS)}")
    end = TABLE_SIZE
    for part in table.partitions:
        if part.start < end or part.size <= 0:
            raise _no_image(source, f"its partition {part.label} overlaps what is before it")
        end = part.start + part.size
    if end > table.size:
        raise _no_image(source, "its last partition ends behind the disk")


def _no_image(source: str, why: str) -> UsageError:
    return UsageError(
        f"{source}: not a Ratwall image: {why}; build one with: make image BOARD=…, "
        "or take the file that you were given"
    )
