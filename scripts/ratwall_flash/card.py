"""The order in which a card is written, so that none ever starts a half-written image.

    1. erase the first sectors, and the last ones: an older table's copy lies there
    2. write everything behind the table            5. put the seed in, read `bootsel` back
    3. read it back from the device                 6. write the table but for the first sector
    4. (a mismatch ends it here)                    7. write the first sector; read the table back

Until step 7, one sector and thus whole or not at all, no firmware finds anything to start. So a
pulled card, a power cut or Ctrl-C leaves either a good card with its seed, or one that is empty to
a box. Nothing here opens or asks for anything.
"""

import hashlib
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass

from ratwall.errors import RatwallError
from ratwall_flash.gpt import SECTOR, TABLE_SIZE
from ratwall_flash.image import CHUNK, Image, open_image, read_fully
from ratwall_flash.target import Target

MEGABYTE = 1_000_000
# Says which step is at it, how far it is, and how far it goes.
Progress = Callable[[str, int, int], None]
WRITING, READING = "writing", "reading back"


class CardError(RatwallError):
    """The card does not hold what it should; it does not start."""


@dataclass(frozen=True, slots=True)
class Content:
    """What goes onto a card: the image, and its `bootsel` as this box gets it."""

    image: Image
    bootsel: bytes

    @property
    def seeded(self) -> bool:
        """Whether bootsel differs from the image's own."""
        return self.bootsel != self.image.bootsel


def write_card(target: Target, content: Content, progress: Progress) -> None:
    """Write, read back, seed, and only then make it start; CardError if it is no good."""
    image = content.image
    try:
        _erase(target, image)
        sums = _write_body(target, image, progress)
        target.sync()
        _read_back(target, image, sums, progress)
        _put_bootsel(target, content)
        _write_table(target, image)
    except OSError as error:
        raise CardError(
            f"{target.name}: {error.strerror}; it was pulled out, or is worn; it does not start "
            "as it is: try once more, then take another"
        ) from error


def _erase(target: Target, image: Image) -> None:
    zeros = bytes(TABLE_SIZE)
    target.write(0, zeros[:SECTOR])  # the one sector without which there is no table
    target.sync()
    target.write(0, zeros)
    if target.size >= image.table.size + TABLE_SIZE:
        target.write((target.size - TABLE_SIZE) // SECTOR * SECTOR, zeros)
    target.sync()


def _write_body(target: Target, image: Image, progress: Progress) -> list[bytes]:
    """Write all behind the table; return each chunk's hash."""
    begin, end = image.table.start, image.table.size
    whole = hashlib.sha256(image.head)
    sums = []
    file, stream = open_image(image.path)
    with closing(file), closing(stream):
        read_fully(stream, memoryview(bytearray(begin)), image.path.name)
        buffer = memoryview(bytearray(CHUNK))
        progress(WRITING, 0, end - begin)
        for offset in range(begin, end, CHUNK):
            wanted = min(CHUNK, end - offset)
            if read_fully(stream, buffer[:wanted], image.path.name) < wanted:
                raise CardError(_changed(target, image))
            whole.update(buffer[:wanted])
            sums.append(hashlib.sha256(buffer[:wanted]).digest())
            target.write(offset, buffer[:wanted])
            progress(WRITING, offset + wanted - begin, end - begin)
    if whole.hexdigest() != image.sha256:
        raise CardError(_changed(target, image))
    return sums


def _changed(target: Target, image: Image) -> str:
    return (
        f"{image.path}: it changed while it was written; {target.name} does not start as it is: "
        "start again when the image is finished"
    )


def _read_back(target: Target, image: Image, sums: list[bytes], progress: Progress) -> None:
    begin, end = image.table.start, image.table.size
    progress(READING, 0, end - begin)
    for number, wanted in enumerate(sums):
        offset = begin + number * CHUNK
        length = min(CHUNK, end - offset)
        if hashlib.sha256(target.read(offset, length)).digest() != wanted:
            raise CardError(
                f"{target.name}: at {offset / MEGABYTE:.1f} MB it does not hold what was written; "
                "worn, or smaller than it claims; it does not start: throw it away, take another"
            )
        progress(READING, offset + length - begin, end - begin)


def _put_bootsel(target: Target, content: Content) -> None:
    """Write what of bootsel differs from the image's, and read the whole of it back."""
    if not content.seeded:
        return
    part = content.image.table.find("bootsel")
    for place in range(0, part.size, CHUNK):
        piece = content.bootsel[place : place + CHUNK]
        if piece != content.image.bootsel[place : place + CHUNK]:
            target.write(part.start + place, piece)
    target.sync()
    for place in range(0, part.size, CHUNK):
        piece = content.bootsel[place : place + CHUNK]
        if target.read(part.start + place, len(piece)) != piece:
            raise CardError(
                f"{target.name}: the seed does not read back as it was written; "
                "it does not start: throw it away, take another"
            )


def _write_table(target: Target, image: Image) -> None:
    """Write the table, its first sector last; take that back if anything fails or is stopped."""
    head = image.head
    target.write(SECTOR, head[SECTOR:])
    target.sync()
    try:
        target.write(0, head[:SECTOR])
        target.sync()
        for place in range(0, len(head), CHUNK):
            piece = head[place : place + CHUNK]
            if target.read(place, len(piece)) != piece:
                raise CardError(
                    f"{target.name}: the partition table does not read back as it was written; "
                    "it does not start: throw it away, take another"
                )
    except BaseException:
        with suppress(OSError):  # a card that takes nothing any more has said so already
            target.write(0, bytes(SECTOR))
            target.sync()
        raise


def holds(target: Target, image: Image, bootsels: dict[str, str]) -> str | None:
    """Return whose seed a card holds, of the SHA-256 of `bootsel` by box; None if nobody's.

    CardError if it cannot be read.
    """
    part = image.table.find("bootsel")
    if target.size < part.start + part.size:
        return None
    found = hashlib.sha256()
    try:
        for place in range(0, part.size, CHUNK):
            found.update(target.read(part.start + place, min(CHUNK, part.size - place)))
    except OSError as error:
        raise CardError(
            f"{target.name}: cannot be read: {error.strerror}; nothing was written: take another"
        ) from error
    digest = found.hexdigest()
    return next((box for box, known in bootsels.items() if known == digest), None)
