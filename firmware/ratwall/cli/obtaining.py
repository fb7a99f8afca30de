"""Gets what a command was pointed at: a file, or an https address, whole and within a bound.

What comes from the internet is fetched by a process that is nobody and may do nothing: a command is
root's, and every byte of the answer is a stranger's.
"""

import os
import stat
import subprocess
import sys
from pathlib import Path

from ratwall.errors import UsageError
from ratwall.supervisor.confine import account, confined

HTTPS = "https://"
SECONDS = 90.0  # it ends itself after a minute
WORDS_LIMIT = 300  # characters of its complaint


def obtain(source: str, limit: int) -> bytes:
    """Return the bytes of a file or of what an https address holds; UsageError with the reason if
    it cannot be had or is longer than `limit`."""
    if source.startswith(HTTPS):
        return _fetch(source, limit)
    if "://" in source:
        raise UsageError(f"{source}: expected a file or an https:// address")
    return _read(source, limit)


def _read(path: str, limit: int) -> bytes:
    try:
        # What is a pipe has nobody wait for it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UsageError(f"{path}: is no file")
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{path}: cannot be read: {reason}") from error
    if len(content) > limit:
        raise UsageError(f"{path}: has more than {limit} bytes")
    return content


def _fetch(url: str, limit: int) -> bytes:
    argv = [sys.executable, "-P", "-m", "ratwall.feeds.get", url, str(limit)]
    if os.geteuid() == 0:
        # The page's user: it owns nothing that decides anything.
        argv = confined(argv, account("ratwall-web"), state_dir=Path("/"))
    try:
        done = subprocess.run(
            argv, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{url}: not fetched within {SECONDS:.0f} s") from error
    if done.returncode != 0:
        words = " ".join(done.stderr.decode(errors="replace").split())[-WORDS_LIMIT:]
        raise UsageError(f"{url}: not fetched: {words or f'ended with {done.returncode}'}")
    return done.stdout
