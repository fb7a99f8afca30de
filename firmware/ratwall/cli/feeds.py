"""`ratwall feeds check`: read a list of indicators as the box would, and say what is in it.

Nothing is taken into force. What would have the list refused is an error in one line.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratwall.cli.reading import add_json, print_json
from ratwall.cli.table import count, printable
from ratwall.errors import ExitCode, UsageError
from ratwall.feeds.errors import FeedError
from ratwall.feeds.formats import READERS, guess, read_feed
from ratwall.feeds.reading import BYTES_LIMIT, Reading
from ratwall.feeds.screen import screen
from ratwall.settings.load import load_settings

REASONS_SHOWN = 10  # of what was left out, the most frequent first; --json has all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("what", choices=("check",), metavar="check", help="read a list")
    parser.add_argument("file", type=Path, metavar="FILE", help="a list of indicators")
    parser.add_argument("--kind", choices=tuple(READERS), metavar="KIND", help=", ".join(READERS))
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings, for the never-block list"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print what a list holds; UsageError if it would be refused."""
    settings = load_settings(options.config)
    own = dict.fromkeys(settings.never_block.addresses, "which is on the never-block list")
    data = _content(options.file)
    kind = options.kind or guess(data)
    try:
        reading = read_feed(kind, data)
        screen(reading, own)
    except FeedError as error:
        raise UsageError(f"{options.file}: refused as a list of kind {kind}: {error}") from error
    found = checked(kind, reading)
    if options.json:
        print_json(found)
        return ExitCode.OK
    kinds = ", ".join(f"{number} {name}" for name, number in found["indicators"].items())
    print(f"{options.file}: {kind}, {count(reading.rows, 'row')}: {kinds or 'no indicators'}")
    for reason, number in list(found["skipped"].items())[:REASONS_SHOWN]:
        print(f"  left out {number:>6}  {printable(reason)}")
    for row in reading.unreadable:
        print(f"  {printable(row)}")
    return ExitCode.OK


def checked(kind: str, reading: Reading) -> Mapping[str, Any]:
    """Return what was read as a JSON-ready object."""
    return {
        "kind": kind,
        "rows": reading.rows,
        "indicators": dict(reading.kinds),
        "skipped": dict(reading.skipped),
        "unreadable": list(reading.unreadable),
    }


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(BYTES_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
