"""What is written to: a disk, opened for us alone and past the page cache; or a new file.

Design note: with O_DIRECT a write that returns has gone to the device and a read comes from it, so
the progress is true and reading back proves something. It wants aligned memory, hence the mmap.
"""

import errno
import fcntl
import mmap
import os
import struct
from pathlib import Path
from typing import Protocol

from ratwall.errors import NotPermittedError, RatwallError, UsageError
from ratwall_flash.image import CHUNK

BLKGETSIZE64 = 0x80081272  # linux/fs.h
ALIGNED = 512  # the sector: offsets and lengths of O_DIRECT are multiples of it


class Target(Protocol):
    """A place for an image; offsets in bytes."""

    name: str
    size: int

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write all of `data`, whose length is a multiple of a sector."""

    def read(self, offset: int, length: int) -> memoryview:
        """Read so many bytes from the device itself; valid until the next call."""

    def sync(self) -> None:
        """Return when all is on the medium."""

    def close(self) -> None:
        """Let go of it."""


class OpenTarget:
    """A descriptor, and an aligned buffer of one chunk."""

    def __init__(self, name: str, descriptor: int, size: int, *, direct: bool) -> None:
        self.name, self.size = name, size
        self._descriptor, self._direct = descriptor, direct
        self._buffer = mmap.mmap(-1, CHUNK)

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write all of it, as of Target; OSError with what the device says."""
        for begin in range(0, len(data), CHUNK):
            piece = data[begin : begin + CHUNK]
            length = len(piece)
            self._buffer[:length] = bytes(piece)
            done = 0
            with memoryview(self._buffer) as view:
                while done < length:
                    place = offset + begin + done
                    count = os.pwrite(self._descriptor, view[done:length], place)
                    if count == 0:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    done += count

    def read(self, offset: int, length: int) -> memoryview:
        """Read a chunk at most, as of Target; OSError with what the device says."""
        if not self._direct:  # a file, after `sync`: not from memory where that can be helped
            os.posix_fadvise(self._descriptor, offset, length, os.POSIX_FADV_DONTNEED)
        view = memoryview(self._buffer)
        done = 0
        while done < length:
            count = os.preadv(self._descriptor, [view[done:length]], offset + done)
            if count == 0:
                raise OSError(errno.EIO, "it ends here")
            done += count
        return view[:length].toreadonly()

    def sync(self) -> None:
        """Wait for the medium, as of Target."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Let go of the descriptor; the buffer goes with its last view."""
        os.close(self._descriptor)


def open_disk(path: str) -> OpenTarget:
    """Open a disk for us alone; the kernel refuses if anything of it is mounted or in use."""
    flags = os.O_RDWR | os.O_EXCL | os.O_DIRECT | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except PermissionError as error:
        raise NotPermittedError(
            f"{path}: writing a disk needs root; try: sudo scripts/flash …"
        ) from (error)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise UsageError(
                f"{path}: in use: a file system on it is mounted, or a program holds it; "
                "unmount it and close what shows it"
            ) from error
        raise RatwallError(f"{path}: cannot open it: {error.strerror}; put it in again") from error
    try:
        (size,) = struct.unpack("Q", fcntl.ioctl(descriptor, BLKGETSIZE64, bytes(8)))
    except OSError as error:
        os.close(descriptor)
        raise UsageError(f"{path}: not a disk or card: see scripts/flash --list") from error
    return OpenTarget(path, descriptor, size, direct=True)


def create_file(path: Path, size: int) -> OpenTarget:
    """Make a file in place of a card; nobody else may read it, for it may hold a seed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError as error:
        raise UsageError(f"{path}: there already; --to-file only makes a new file") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot make the file: {error.strerror}") from error
    try:
        os.ftruncate(descriptor, size)
    except OSError as error:
        os.close(descriptor)
        path.unlink()
        raise RatwallError(f"{path}: cannot make it that large: {error.strerror}") from error
    return OpenTarget(str(path), descriptor, size, direct=False)
