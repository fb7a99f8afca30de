"""Which box got which card, when: a CSV file beside the list, so that a day's work can be resumed.

A line is written when its card is finished and read back, and is on the disk before the next card
is asked for. It holds no seed. `bootsel_sha256` is how the same card is known when it is put in
again; it is of the whole partition, and nothing can be read out of it.
"""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from ratwall.errors import RatwallError, UsageError

RECORD_SIZE_LIMIT = 1024 * 1024  # a thousand boxes need a third of it


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished card."""

    box: str
    written: str  # UTC, ISO 8601
    model: str  # of the disk; with a reader on USB the reader's
    serial: str
    size: str
    image_sha256: str  # of the image, unpacked
    bootsel_sha256: str  # of bootsel with this box's seed


HEADER = [field.name for field in fields(Entry)]


def read_record(raw: bytes, source: str) -> list[Entry]:
    """Return the finished cards; a last line that a power cut tore is none."""
    if len(raw) > RECORD_SIZE_LIMIT:
        raise UsageError(f"{source}: more than {RECORD_SIZE_LIMIT} bytes: not a record of cards")
    whole = raw[: raw.rfind(b"\n") + 1]
    try:
        rows = list(csv.reader(io.StringIO(whole.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _no_record(source) from error
    if not rows:
        return []
    if rows[0] != HEADER or any(len(row) != len(HEADER) for row in rows[1:]):
        raise _no_record(source)
    return [Entry(*row) for row in rows[1:]]


def _no_record(source: str) -> UsageError:
    return UsageError(
        f"{source}: not a record of cards (its first line is {','.join(HEADER)}); "
        "name another with --record"
    )


class Record:
    """The file of finished cards."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            raw = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise UsageError(f"{path}: cannot read the record: {error.strerror}") from error
        self.entries = read_record(raw, str(path))
        self._good = raw.rfind(b"\n") + 1

    def done(self) -> Sequence[str]:
        """Return the names of the boxes that have a card."""
        return [entry.box for entry in self.entries]

    def cards(self) -> dict[str, str]:
        """Return the SHA-256 of bootsel by box."""
        return {entry.box: entry.bootsel_sha256 for entry in self.entries}

    def check_image(self, sha256: str) -> None:
        """Refuse to go on with another image: half of an office would run another version."""
        other = [entry.box for entry in self.entries if entry.image_sha256 != sha256]
        if other:
            raise UsageError(
                f"{self.path}: box {other[0]!r} and {len(other) - 1} more were made from another "
                "image; go on with that one, or start a record of its own with --record"
            )

    def add(self, entry: Entry) -> None:
        """Put down a finished card; on the disk when this returns."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not self._good:
            writer.writerow(HEADER)
        writer.writerow(astuple(entry))
        raw = text.getvalue().encode()
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            with os.fdopen(descriptor, "wb") as file:
                file.truncate(self._good)  # what a power cut tore
                file.seek(self._good)
                file.write(raw)
                file.flush()
                os.fsync(descriptor)
        except OSError as error:
            raise RatwallError(
                f"{self.path}: the card for {entry.box!r} is good, but cannot be put down here: "
                f"{error.strerror}"
            ) from error
        self._good += len(raw)
        self.entries.append(entry)
