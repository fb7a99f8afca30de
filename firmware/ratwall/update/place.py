"""What lies where on a box: the record of the last attempt, the slot that runs, what it is.

The shell around `attempt` and `slots`: small files, read with a bound and written so that a power
cut leaves the old or the new one. It starts nothing.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ratwall import __version__
from ratwall.errors import RatwallError
from ratwall.replacing import replace_file, sync_directory
from ratwall.update.attempt import BYTES_LIMIT, Attempt, AttemptError, Tries, dump, load
from ratwall.update.slots import read_release, read_tries, running_slot

DIRECTORY = Path("/data/update")
ENVIRONMENT = Path("/mnt/bootsel/EFI/BOOT/grubenv")
FILE_LIMIT = 65_536  # bytes of any file read here; grubenv has 1,024, a command line at most 4,096


@dataclass(frozen=True, slots=True)
class Place:
    """The paths, so that a test has its own."""

    directory: Path = DIRECTORY
    environment: Path = ENVIRONMENT
    release: Path = Path("/etc/os-release")
    keyring: Path = Path("/etc/rauc/keyring.pem")
    command_line: Path = Path("/proc/cmdline")
    boot: Path = Path("/proc/sys/kernel/random/boot_id")

    @property
    def record(self) -> Path:
        """Where the last attempt is kept."""
        return self.directory / "attempt.json"

    @property
    def trial(self) -> Path:
        """Holds the letter of a slot on trial; for a script that must not depend on Python."""
        return self.directory / "trial"

    @property
    def download(self) -> Path:
        """Where a bundle from the network lies while it is installed."""
        return self.directory / "download.raucb"


@dataclass(frozen=True, slots=True)
class Running:
    """The version that runs."""

    version: str
    board: str | None
    slot: str | None
    keys: str | None  # whose updates it takes: development or release
    boot_id: str


def read_running(place: Place) -> Running:
    """Return what runs; what the box does not say is None."""
    release = read_release(_text(place.release) or "")
    of_image = release.get("ID") == "ratwall"
    return Running(
        release.get("VERSION_ID", __version__) if of_image else __version__,
        release.get("VARIANT_ID") if of_image else None,
        running_slot(_text(place.command_line) or ""),
        release.get("RATWALL_UPDATE_KEYS") if of_image else None,
        (_text(place.boot) or "").strip(),
    )


def read_attempt(place: Place) -> Attempt | None:
    """Return the last attempt, None if there was none; AttemptError if its record is damaged."""
    text = _text(place.record)
    return None if text is None else load(text.encode())


def last_attempt(place: Place) -> Attempt | None:
    """Return the last attempt as far as it can be read: for whoever only shows it."""
    with suppress(AttemptError):
        return read_attempt(place)
    return None


def keep_attempt(place: Place, attempt: Attempt) -> None:
    """Keep an attempt, and mark its slot as on trial while it is open; on the disk on return."""
    try:
        if attempt.is_open:
            replace_file(place.trial, f"{attempt.slot}\n".encode())
        replace_file(place.record, dump(attempt))
        if not attempt.is_open:
            place.trial.unlink(missing_ok=True)
            sync_directory(place.directory)
    except OSError as error:
        raise RatwallError(
            f"update: {place.directory}: cannot be written: {error.strerror}; an update needs the"
            " data partition, to keep what becomes of it"
        ) from error


@contextmanager
def sole_update(place: Place) -> Iterator[None]:
    """Hold the right to change slots; RatwallError if another process has it, or without a data
    partition."""
    try:
        descriptor = os.open(place.directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise RatwallError(
            f"update: {place.directory}: {error.strerror}; an update needs the data partition"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise RatwallError("update: another update is being installed; wait for it") from error
    finally:
        os.close(descriptor)


def slot_tries(place: Place, slot: str) -> Tries:
    """Return what the boot loader keeps of a slot."""
    return read_tries(_text(place.environment), slot)


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(min(FILE_LIMIT, BYTES_LIMIT)).decode(errors="replace")
    except OSError:
        return None
