"""The image file: read once, whole, before a disk is touched.

That one reading finds its size (a compressed file does not say it), checks it against the
`.sha256` beside it, and keeps what the writer needs apart: the table in front and `bootsel`.
Design note: the file is hashed again while it is written; one that changes in between is noticed.
"""

import hashlib
import io
import lzma
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratwall.errors import UsageError
from ratwall_flash.gpt import TABLE_SIZE, Table, read_table

CHUNK = 4 * 1024 * 1024  # the erase block of most cards, and a quarter second of a slow one
SUM_SIZE_LIMIT = 64 * 1024  # of a .sha256 file; one line is 100 bytes
SUM_LINE = re.compile(r"([0-9a-fA-F]{64})(?:[ \t]+[ *]?(.+))?")
HEAD_LIMIT = 16 * 1024 * 1024  # before the first partition; 1 MB in ours
BOOTSEL_LIMIT = 256 * 1024 * 1024  # held in memory; 16 MB in ours

Report = Callable[[int, int], None]  # bytes done, bytes in all


class HashedFile(io.RawIOBase):
    """A file that hashes what is read of it, to its end."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._hash = hashlib.sha256()
        self.done = 0

    def readable(self) -> bool:
        """Say so, as of io.RawIOBase."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some, as of io.RawIOBase."""
        count = self._file.readinto(buffer)
        self._hash.update(memoryview(buffer)[:count])
        self.done += count
        return count

    def finish(self) -> str:
        """Read what is left, and return the hash of the whole file."""
        while self.read(CHUNK):
            pass
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close the file, as of io.RawIOBase."""
        self._file.close()
        super().close()


def open_image(path: Path) -> tuple[HashedFile, io.BufferedIOBase]:
    """Return the file, and its content, unpacked if it is an .xz."""
    try:
        file = HashedFile(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot read the image: {error.strerror}") from error
    if path.suffix == ".xz":
        return file, lzma.LZMAFile(file)  # type: ignore[arg-type]  # it only reads
    return file, io.BufferedReader(file, CHUNK)


def read_fully(content: io.BufferedIOBase, view: memoryview, source: str) -> int:
    """Fill `view` as far as the content goes, and return how far."""
    count = 0
    try:
        while count < len(view) and (got := content.readinto(view[count:])):
            count += got
    except (lzma.LZMAError, EOFError) as error:
        raise UsageError(f"{source}: not a whole .xz file: fetch it again") from error
    except OSError as error:
        raise UsageError(f"{source}: cannot read the image: {error.strerror}") from error
    return count


@dataclass(frozen=True, slots=True)
class Image:
    """What the one reading found."""

    path: Path
    table: Table
    sha256: str  # of the content, unpacked
    head: bytes  # all before the first partition
    bootsel: bytes
    checked: bool  # there was a .sha256, and it holds


def read_image(path: Path, report: Report) -> Image:
    """Read the file whole; UsageError if it is damaged, or no image of a box."""
    if not path.is_file():
        what = "a folder or device, expected a file" if path.exists() else "no such file"
        raise UsageError(f"{path}: {what}: name the image (build/image/BOARD/images/ratwall.img)")
    source = path.name
    promised = _promised_sum(path)
    total = path.stat().st_size
    file, content = open_image(path)
    report(0, total)
    with closing(file), closing(content):
        first = bytearray(TABLE_SIZE)
        read_fully(content, memoryview(first), source)
        table = read_table(bytes(first), source)
        part = table.find("bootsel")
        if table.start > HEAD_LIMIT or part.size > BOOTSEL_LIMIT:
            raise UsageError(f"{source}: not a Ratwall image: its first partitions are too large")
        whole = hashlib.sha256(first)
        kept = bytearray(first)
        size, buffer = TABLE_SIZE, memoryview(bytearray(CHUNK))
        while count := read_fully(content, buffer, source):
            whole.update(buffer[:count])
            room = part.start + part.size - len(kept)
            kept += buffer[: min(count, max(room, 0))]
            size += count
            if size > table.size:
                break
            report(min(file.done, total - 1), total)  # the end is told when all is judged
        if size != table.size:
            raise UsageError(
                f"{source}: {'longer' if size > table.size else 'shorter'} than its partition "
                f"table says ({table.size} bytes): it was cut off or damaged; fetch it again"
            )
        found = file.finish()
        report(total, total)
    if promised not in (None, found):
        raise UsageError(
            f"{source}: its SHA-256 is {found}, {source}.sha256 says {promised}: "
            "the file is damaged or another one; fetch both again"
        )
    return Image(
        path,
        table,
        whole.hexdigest(),
        bytes(kept[: table.start]),
        bytes(kept[part.start : part.start + part.size]),
        promised is not None,
    )


def _promised_sum(path: Path) -> str | None:
    """Return what the .sha256 beside the image says, None without one."""
    beside = path.with_name(f"{path.name}.sha256")
    try:
        with beside.open("rb") as file:
            text = file.read(SUM_SIZE_LIMIT).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{beside}: cannot read it: {error.strerror}") from error
    lines = [match for line in text.splitlines() if (match := SUM_LINE.fullmatch(line.strip()))]
    named = [match for match in lines if match[2] is None or Path(match[2]).name == path.name]
    if len(named) != 1:
        raise UsageError(
            f"{beside}: expected one line for {path.name} as sha256sum writes it, "
            f"found {len(named)}; fetch it again, or remove it to go without"
        )
    return named[0][1].lower()
