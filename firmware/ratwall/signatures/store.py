"""The packs in force: those shipped, and over them the signed ones that were brought here since.

    <state>/signatures/NAME.toml    a signed pack, as it came

A signed pack counts when its key is trusted, its signature holds, and it is not older than the one
shipped under its name. One that does not is named with the reason and left out, so what was shipped
is always there to fall back to: after an update of Ratwall itself, on a damaged disk, without keys.

Design note: everybody who judges reads and verifies the files; nobody takes another's word for
them. Files are replaced whole, by root, in a directory of root's below one that is not.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ratwall.errors import NotPermittedError, RatwallError, UsageError
from ratwall.signatures.pack import Pack, load_packs
from ratwall.signatures.signed import SIGNED_BYTES_LIMIT, open_signed, trusted_keys

NAME = "signatures"  # of the directory within the state directory
PACKS_LIMIT = 32  # brought packs; a rule of each is a comparison more for a new kind of connection
_SUFFIX = ".toml"
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class HeldPack:
    """A pack in force: by whose key, since when (UTC µs); None and None for a shipped one."""

    pack: Pack
    key: str | None = None
    taken: int | None = None


@dataclass(frozen=True, slots=True)
class InForce:
    """All packs in force, and one line for each that was left out."""

    held: tuple[HeldPack, ...]
    problems: tuple[str, ...] = ()

    @property
    def packs(self) -> tuple[Pack, ...]:
        """The packs alone."""
        return tuple(each.pack for each in self.held)

    def of(self, name: str) -> HeldPack | None:
        """Return the pack of a name, None if there is none."""
        return next((each for each in self.held if each.pack.name == name), None)


def packs_in_force(state_dir: Path | None, trust: tuple[str, ...]) -> InForce:
    """Return the packs in force in a state directory (None: those shipped); UsageError only if
    what was shipped cannot be read."""
    held = {pack.name: HeldPack(pack) for pack in load_packs()}
    problems: list[str] = []
    if state_dir is not None:
        keys = trusted_keys(trust)
        for number, path in enumerate(_files(state_dir / NAME, problems)):
            if number >= PACKS_LIMIT:
                problems.append(f"{path}: left out, as all after it: more than {PACKS_LIMIT} packs")
                break
            try:
                found = _brought(path, keys)
                shipped = held.get(found.pack.name)
                if shipped is not None and found.pack.version < shipped.pack.version:
                    raise UsageError(
                        f"{path}: version {found.pack.version}, older than version "
                        f"{shipped.pack.version} that came with Ratwall"
                    )
            except UsageError as error:
                problems.append(f"{error}; left out")
                continue
            held[found.pack.name] = found
    return InForce(tuple(held.values()), tuple(problems))


def _files(directory: Path, problems: list[str]) -> list[Path]:
    try:
        found = sorted(directory.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(f"{directory}: cannot be read: {error.strerror}; what is in it is left out")
        return []
    return [path for path in found if path.suffix == _SUFFIX]


def _brought(path: Path, keys: dict[str, tuple[str, bytes]]) -> HeldPack:
    try:
        with os.fdopen(os.open(path, _READ), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"{path}: is no file")
            content = file.read(SIGNED_BYTES_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    signed = open_signed(content, keys, str(path))
    if signed.pack.name != path.stem:
        raise UsageError(f'{path}: holds a pack called "{signed.pack.name}"')
    return HeldPack(signed.pack, signed.key, status.st_mtime_ns // 1000)


class PackDirectory:
    """Puts packs in, and takes them out; for root."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self.path = state_dir / NAME
        self._descriptor = -1

    @contextmanager
    def opened(self) -> Iterator["PackDirectory"]:
        """Hold the directory, made if need be, for one change at a time.

        Its parent may belong to a process that has been turned: no link is followed, and only a
        directory of our own is written into.
        """
        try:
            with suppress(FileExistsError):
                self.path.mkdir(mode=0o755)
            self._descriptor = os.open(
                self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            )
        except PermissionError as error:
            raise NotPermittedError(
                f"{self.path}: not permitted; run this as root: sudo ratwall signatures …"
            ) from error
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be written to: {error.strerror}") from error
        try:
            if os.fstat(self._descriptor).st_uid != os.geteuid():
                raise UsageError(f"{self.path}: is not yours; look at it and remove it, or be root")
            os.fchmod(self._descriptor, 0o755)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            yield self
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def content(self, name: str) -> bytes | None:
        """Return the file of a pack as it is there, None if there is none."""
        try:
            with os.fdopen(os.open(name + _SUFFIX, _READ, dir_fd=self._descriptor), "rb") as file:
                return file.read(SIGNED_BYTES_LIMIT + 1)
        except OSError:
            return None

    def count(self) -> int:
        """Return how many files of packs there are."""
        with os.scandir(self._descriptor) as entries:
            return sum(entry.name.endswith(_SUFFIX) for entry in entries)

    def put(self, name: str, content: bytes | None) -> None:
        """Replace the file of a pack whole, or with None take it away; RatwallError if the disk
        refuses, with what was there still there."""
        staged, here = f"{name}.new", self._descriptor
        try:
            if content is None:
                with suppress(FileNotFoundError):
                    os.unlink(name + _SUFFIX, dir_fd=here)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(staged, dir_fd=here)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                with os.fdopen(os.open(staged, flags, 0o644, dir_fd=here), "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fchmod(file.fileno(), 0o644)
                    os.fsync(file.fileno())
                os.rename(staged, name + _SUFFIX, src_dir_fd=here, dst_dir_fd=here)
            os.fsync(here)
        except OSError as error:
            with suppress(OSError):
                os.unlink(staged, dir_fd=here)
            raise RatwallError(
                f"{self.path}: cannot be written to: {error.strerror}; nothing was changed"
            ) from error
