"""Gets a bundle: a file as it lies there, or what an address holds, into a file of our own.

What comes from the network is fetched by a process that is nobody and may do nothing; this one
counts its bytes and writes them.
"""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ratwall.errors import UsageError
from ratwall.supervisor.confine import account, confined
from ratwall.update.bundle import BUNDLE_LIMIT, HEAD_BYTES, TAIL_BYTES, check_shape

ADDRESSES = ("https://", "http://")
CHUNK = 256 * 1024
SPARE = 32 << 20  # bytes left on the data partition: the history goes on while an update lies there
WORDS_LIMIT = 300
LENGTH_LIMIT = 20  # digits of the length that is announced


@contextmanager
def obtained(
    source: str, target: Path, tell: Callable[[str], None], *, drop: bool = False
) -> Iterator[Path]:
    """Give a bundle's file, which has the outer shape of one; UsageError if it cannot be had.

    `target` is where it goes if it comes from the network; it is gone afterwards.
    """
    if source.startswith(ADDRESSES):
        try:
            fetch(source, target, tell, drop=drop)
            _look(target, source)
            yield target
        finally:
            target.unlink(missing_ok=True)
        return
    if "://" in source:
        raise UsageError(f"update: {source}: expected a file, or an https:// or http:// address")
    path = Path(source).absolute()
    _look(path, source)
    yield path


def fetch(url: str, target: Path, tell: Callable[[str], None], *, drop: bool = False) -> None:
    """Copy what an address holds into a file; UsageError with the reason.

    The process that fetches is the page's user: it owns nothing that decides anything. With `drop`
    it only changes its user, as in a unit that has no right to more.
    """
    try:
        target.unlink(missing_ok=True)  # of an installation that a power cut ended
        room = shutil.disk_usage(target.parent).free - SPARE
    except OSError as error:
        raise UsageError(
            f"update: {target.parent}: {error.strerror}; an update needs the data partition"
        ) from error
    limit = min(BUNDLE_LIMIT, max(room, 0))
    argv = [sys.executable, "-P", "-m", "ratwall.update.get", url, str(limit)]
    who: dict[str, Any] = {}
    if drop:
        user = account("ratwall-web")
        who = {"user": user.uid, "group": user.gid, "extra_groups": []}
    elif os.geteuid() == 0:
        argv = confined(argv, account("ratwall-web"), state_dir=Path("/"))
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **who
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        try:
            with target.open("xb") as file:
                size, wanted = _copy(process.stdout, file, limit, tell)
        except OSError as error:
            process.kill()
            raise UsageError(f"update: {target}: cannot be written: {error.strerror}") from error
        complaint = process.stderr.read(WORDS_LIMIT).decode(errors="replace").strip()
    if process.returncode != 0 or size != wanted:
        raise UsageError(f"update: {url}: not fetched: {complaint or 'broke off'}")


def _copy(
    source: IO[bytes], file: IO[bytes], limit: int, tell: Callable[[str], None]
) -> tuple[int, int]:
    """Copy what comes, at most `limit` bytes; how many came, and how many were announced."""
    announced = source.readline(LENGTH_LIMIT).strip()
    wanted = int(announced) if announced.isdigit() else -1
    size, told = 0, -1
    while chunk := source.read(CHUNK):
        size += len(chunk)
        if size > limit:
            break
        file.write(chunk)
        if wanted > 0 and (tenth := 10 * size // wanted) > told:
            told = tenth
            tell(f"{10 * tenth}% fetched")
    file.flush()
    os.fsync(file.fileno())
    return size, wanted


def _look(path: Path, name: str) -> None:
    try:
        # Should it be a pipe, nobody waits for it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"update: {name}: is no file")
            head = file.read(HEAD_BYTES)
            file.seek(max(0, status.st_size - TAIL_BYTES))
            tail = file.read(TAIL_BYTES)
    except OSError as error:
        raise UsageError(f"update: {name}: cannot be read: {error.strerror}") from error
    check_shape(head, tail.rjust(TAIL_BYTES, b"\0"), status.st_size, name)
