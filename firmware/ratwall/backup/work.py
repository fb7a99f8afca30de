"""Makes a backup and puts one back: for the page and for the command line alike.

Asks the controller for its part by a function that the caller gives, and reads and writes the
page's own files itself, as whoever it runs as. Nothing is written before everything was checked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ratwall import __version__
from ratwall.backup.contents import Contents, read_contents
from ratwall.backup.envelope import Cost, check_passphrase, seal, unseal
from ratwall.backup.page_files import check_files, read_files, write_files

SUFFIX: Final = ".ratwall"

Ask = Callable[..., dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it: how many actions and names are back, and what was refused, in words."""

    actions: int
    devices: int
    refused: tuple[str, ...]
    certificate: bool  # the page has another one, from its next start on


def make(
    ask: Ask,
    web: Path,
    passphrase: str,
    box: str,
    now: int,
    random: Callable[[int], bytes],
    cost: Cost | None = None,
) -> bytes:
    """Return a backup of this box; RatwallError says why there is none."""
    check_passphrase(passphrase)
    contents = Contents(now, box, __version__, ask("backup"), read_files(web))
    return seal(contents.as_bytes(), passphrase, random, cost)


def look_into(file: bytes, passphrase: str) -> Contents:
    """Return the contents of a backup, the page's part checked; UsageError in one line."""
    contents = read_contents(unseal(file, passphrase))
    check_files(contents.files)
    return contents


def put_back(
    ask: Ask, web: Path, contents: Contents, give: Callable[[Path], None] = lambda _: None
) -> Restored:
    """Put a backup back; RatwallError with the old state still there."""
    ask("restore", part=contents.part, dry=True)
    before = read_files(web)
    write_files(web, contents.files, give)
    try:
        answer = ask("restore", part=contents.part, dry=False)
    except BaseException:
        write_files(web, before, give)
        for name in contents.files.keys() - before.keys():
            (web / name).unlink(missing_ok=True)
        raise
    return Restored(
        answer["actions"],
        answer["devices"],
        tuple(answer["refused"]),
        any(contents.files.get(name) != before.get(name) for name in ("tls.crt", "tls.key")),
    )
