"""Takes in an update that a browser sends: onto the disk as it comes, never into memory.

One at a time, in the page's own directory, with room left for the history. Looked at from outside
only; who signed it is RAUC's to say, later and as another user.
"""

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

from ratwall.errors import RatwallError, UsageError
from ratwall.update.bundle import BUNDLE_LIMIT, HEAD_BYTES, TAIL_BYTES, check_shape
from ratwall.update.job import UPLOAD_NAME
from ratwall.update.obtain import SPARE

CHUNK = 256 * 1024
NAME = "update"  # of the file, in what is said of it
MEGABYTE = 1_000_000


class NoRoomError(RatwallError):
    """There is less room than the file needs."""


class BusyError(RatwallError):
    """Another file is coming in."""


class Uploads:
    """The one place for an update."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / UPLOAD_NAME
        self._lock = threading.Lock()

    def room(self) -> int:
        """Return how many bytes a file may have at this moment."""
        return max(0, min(BUNDLE_LIMIT, shutil.disk_usage(self._path.parent).free - SPARE))

    def take(self, source: IO[bytes], size: int) -> None:
        """Keep `size` bytes that come; RatwallError says why not, and then nothing is left."""
        if not self._lock.acquire(blocking=False):
            raise BusyError("another update is being sent; wait for it")
        fresh = self._path.with_suffix(".part")
        try:
            # Of a transfer that broke off, or of an installation that did.
            for old in (fresh, self._path):
                old.unlink(missing_ok=True)
            if size > self.room():
                raise NoRoomError(
                    f"it has {size // MEGABYTE} MB; there is room for {self.room() // MEGABYTE} MB"
                )
            self._copy(source, size, fresh)
            fresh.replace(self._path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise UsageError(f"it did not come whole: {error.strerror or error}") from error
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        finally:
            self._lock.release()

    @staticmethod
    def refuse(source: IO[bytes]) -> None:
        """Read on and forget: a browser that is cut off while it sends never sees the reason."""
        with suppress(OSError):
            while source.read(CHUNK):
                pass

    def drop(self) -> None:
        """Remove what was taken in."""
        self._path.unlink(missing_ok=True)

    @staticmethod
    def _copy(source: IO[bytes], size: int, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "w+b") as file:
            left = size
            while left > 0:
                part = source.read(min(CHUNK, left))
                if not part:
                    raise UsageError(f"it broke off after {size - left} of {size} bytes")
                if left == size and not part.startswith(b"hsqs"[: len(part)]):
                    raise UsageError("it is no update; expected a file that ends in .raucb")
                file.write(part)
                left -= len(part)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            head = file.read(HEAD_BYTES)
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read(TAIL_BYTES).rjust(TAIL_BYTES, b"\0")
            check_shape(head, tail, size, NAME)
