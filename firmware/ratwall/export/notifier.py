"""People as a receiver: records go into a book on disk, and messages out of it when they are due.

The courier asks at every turn whether all has arrived; that is when a message that is due is sent.
The book is on the disk before a record counts as told, and again when a message was sent: a restart
repeats one message at most, and loses none.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from ratwall.export import notices
from ratwall.export.cursor import FILE_MODE
from ratwall.export.notices import Book, Message
from ratwall.export.records import Record
from ratwall.replacing import replace_file
from ratwall.settings.export import ExportMessages

LOCAL_TIME: Final = Path("/etc/localtime")  # the box's time zone
BOOK_LIMIT: Final = 2 * 1024 * 1024  # bytes; a full book has half of it


class Post(Protocol):
    """A way to people."""

    where: str

    def send(self, message: Message) -> str:
        """Send a message; return what the server said, DeliveryError if it did not take it."""


class Notifier:
    """One way to people, and the book of what they are told by it."""

    settle_seconds = 0.0  # what was taken in is in the book

    def __init__(
        self,
        post: Post,
        policy: ExportMessages,
        book: Path,
        box: str,
        wall: Callable[[], int],
        zone: tzinfo,
    ) -> None:
        """`box` is the box's name, `wall` gives UTC microseconds."""
        self.where = post.where
        self.answer = ""
        self._post, self._policy, self._path, self._box = post, policy, book, box
        self._wall, self._zone = wall, zone
        self._book = _load(book)

    def deliver(self, records: Sequence[Record]) -> None:
        """Take records into the book; OSError if it cannot be kept."""
        for record in records:
            notices.take(self._book, record, self._policy, self._wall(), self._zone)
        self._keep()

    def check(self) -> bool:
        """Send what is due; DeliveryError if it was not taken."""
        now = self._wall()
        digest_at = self._book.digest_at
        message = notices.due(self._book, self._policy, now, self._zone, self._box)
        if message is not None:
            self.answer = self._post.send(message)
            notices.sent(self._book, message, self._policy, self._wall(), self._zone)
        if message is not None or self._book.digest_at != digest_at:
            self._keep()
        return True

    def close(self) -> None:
        """Nothing is kept open."""

    def _keep(self) -> None:
        replace_file(self._path, json.dumps(self._book.as_dict()), mode=FILE_MODE)


def box_zone(path: Path = LOCAL_TIME) -> tzinfo:
    """Return the box's time zone; UTC where it says none."""
    try:
        with path.open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC


def _load(path: Path) -> Book:
    """Return the book that was kept; what cannot be read is an empty one."""
    try:
        with path.open("rb") as file:
            return notices.book_of(json.loads(file.read(BOOK_LIMIT)))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Book()
