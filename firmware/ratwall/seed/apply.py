"""Applies a seed once, and wipes it: it holds a password's hash and perhaps a token.

The order survives a power cut at any point: everything is written and on the disk before the mark
that says so; the file is wiped only after the mark. A second look at the same file only wipes it.
A bad file changes nothing and stays, so that its owner can mend it; beside it lies what was wrong.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ratwall.errors import RatwallError, UsageError
from ratwall.replacing import replace_file, sync_directory
from ratwall.seed.document import Seed, parse_seed
from ratwall.settings.load import FILE_SIZE_LIMIT

RESULT_NAME = "ratwall-result.txt"
MARK_NAME = "seeded"
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie: the seed file, the owner's settings, the page's own directory."""

    seed: Path
    settings: Path  # a directory, /etc/ratwall on the box
    web: Path


def apply_file(
    places: Places,
    give: Callable[[Path], None],
    parse: Callable[[bytes, str], Seed] = parse_seed,
) -> str | None:
    """Apply the seed file if there is one; a sentence of what came of it, None without a file.

    `give` hands a file to the admin page's user, `parse` reads the seed (with a limit of time).
    UsageError for a bad seed, which changes nothing.
    """
    try:
        with places.seed.open("rb") as file:
            raw = file.read(FILE_SIZE_LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{places.seed}: cannot read the seed: {error.strerror}") from error
    seed = parse(raw, places.seed.name)
    mark = places.settings / MARK_NAME
    before = mark.read_text().strip() if mark.exists() else None
    if before not in (None, seed.digest):
        raise UsageError(
            f"{places.seed.name}: this box was seeded before, and another seed changes nothing; "
            "remove the file, or change the settings on the admin page"
        )
    try:
        if before is None:
            _apply(seed, places, give)
            replace_file(mark, f"{seed.digest}\n")
        wipe(places.seed)
    except OSError as error:
        raise RatwallError(f"{places.seed.name}: {error.filename}: {error.strerror}") from error
    return "the seed was applied and wiped"


def _apply(seed: Seed, places: Places, give: Callable[[Path], None]) -> None:
    replace_file(places.settings / "settings.toml", seed.settings)
    if seed.network:
        replace_file(places.settings / "network", seed.network)
    if seed.name is not None:
        replace_file(places.settings / "site-name", f"{seed.name}\n")
    if seed.token is not None:
        replace_file(places.settings / "enrolment-token", f"{seed.token}\n", mode=0o600)
    credentials = places.web / "credentials.json"
    if seed.password_hash is not None and not credentials.exists():
        kept = {"password": seed.password_hash, "set": int(time.time() * MICROSECONDS)}
        replace_file(credentials, json.dumps(kept) + "\n", mode=0o600, give=give)


def wipe(path: Path) -> None:
    """Overwrite a file with zeros, then remove it.

    Flash may keep a copy that no program can reach; a hash and a token that is used once are made
    for that.
    """
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
    sync_directory(path.parent)
