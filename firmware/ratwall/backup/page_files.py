"""The page's own files in a backup: read as they are, checked, and put back all or none.

Written by whoever owns them: the page itself, or root in its place. What was there before stays
beside each as a copy.
"""

import json
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from ratwall.backup.contents import FILES, PAIR
from ratwall.errors import RatwallError, UsageError
from ratwall.replacing import replace_file

MODE: Final = 0o600
OLD_SUFFIX: Final = ".before"


def read_files(directory: Path) -> dict[str, bytes]:
    """Return those files that there are; RatwallError if one cannot be read."""
    found = {}
    for name, limit in FILES.items():
        path = directory / name
        try:
            # Root may look in a directory of the page's: never where a link leads, nor into a pipe.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                content = file.read(limit + 1) or b""
        except FileNotFoundError:
            continue
        except OSError as error:
            raise RatwallError(f"{path}: cannot be read: {error.strerror}") from error
        if len(content) > limit:
            raise RatwallError(f"{path}: more than {limit} bytes")
        found[name] = content
    if not all(name in found for name in PAIR):
        for name in PAIR:
            found.pop(name, None)
    return found


def check_files(files: Mapping[str, bytes]) -> None:
    """UsageError if a file would leave nobody able to sign in, or the page without a key."""
    for name in ("credentials.json", "tokens.json"):
        if name not in files:
            continue
        try:
            document = json.loads(files[name])
        except (ValueError, RecursionError):
            raise UsageError(f"{name} of the backup cannot be read") from None
        passwords = isinstance(document, dict) and isinstance(document.get("password"), str)
        if name == "credentials.json" and not passwords:
            raise UsageError(f"{name} of the backup holds no user")
    if PAIR[0] in files:
        _check_pair(files)


def write_files(
    directory: Path, files: Mapping[str, bytes], give: Callable[[Path], None] = lambda _: None
) -> None:
    """Put files in place; RatwallError with the old ones still there. `give` hands each to its
    owner."""
    before = read_files(directory)
    try:
        for name, content in before.items():
            replace_file(directory / f"{name}{OLD_SUFFIX}", content, mode=MODE, give=give)
        for name, content in files.items():
            replace_file(directory / name, content, mode=MODE, give=give)
    except OSError as error:
        for name in files:
            with suppress(OSError):
                if name in before:
                    replace_file(directory / name, before[name], mode=MODE, give=give)
                else:
                    (directory / name).unlink(missing_ok=True)
        raise RatwallError(f"{error.filename}: cannot be written: {error.strerror}") from error


def _check_pair(files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:  # in memory or private, and gone at once
        certificate, key = (Path(folder) / name for name in PAIR)
        for path in (certificate, key):
            replace_file(path, files[path.name], mode=MODE, durable=False)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(certificate, key, password=lambda: b"")
        except (OSError, ValueError) as error:
            raise UsageError("key and certificate of the backup do not fit each other") from error
