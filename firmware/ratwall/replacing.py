"""A file replaced whole: whoever reads it meets the old one or the new one, a power cut too.

Never leaves half a file, nor a file of its own making behind when the disk refuses. It stands
before all folders and imports none. A folder that others may write in wants more than this does:
there `ratwall.signatures.store` works by descriptors.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def replace_file(
    path: Path,
    content: bytes | str,
    *,
    mode: int = 0o644,
    give: Callable[[Path], None] = lambda _: None,
    durable: bool = True,
) -> None:
    """Replace a file; durable: it is on the disk on return. OSError with the old one still there.

    `mode` holds whatever the umask is; `give` hands the new file to its owner before anybody can
    meet it under its name.
    """
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(fresh, FLAGS, mode), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if durable:
                os.fsync(file.fileno())
        give(fresh)
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Have the disk know which files are in a directory, and under which names."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
