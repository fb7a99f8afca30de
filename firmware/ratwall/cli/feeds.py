"""`ratwall feeds`: the lists of indicators that are in force; `update` has them looked at now, and
`check` reads one as the box would and says what is in it.

What a list holds, and why it was refused, is read from the state directory; looking at the lists is
the running box's.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratwall.cli.asking import AUTHOR
from ratwall.cli.reading import add_json, print_json
from ratwall.cli.table import ago, count, printable, table
from ratwall.controller.client import Client
from ratwall.errors import ExitCode, NotRunningError, RatwallError, UsageError
from ratwall.feeds.directory import FeedDirectory
from ratwall.feeds.errors import FeedError
from ratwall.feeds.formats import READERS, guess, read_feed
from ratwall.feeds.reading import BYTES_LIMIT, Reading
from ratwall.feeds.screen import screen
from ratwall.settings.load import load_settings

REASONS_SHOWN = 10  # of what was left out, the most frequent first; --json has all
WAIT_SECONDS = 120.0  # for the lists to have been looked at; the box goes on without us
POLL_SECONDS = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "what",
        nargs="?",
        choices=("check", "update"),
        metavar="check|update",
        help="check: read FILE; update: look at all lists now; nothing: list them",
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a list, for check")
    parser.add_argument("--kind", choices=tuple(READERS), metavar="KIND", help=", ".join(READERS))
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings, for check's never-block list"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """List the feeds, have them looked at, or check a file."""
    if options.what == "check":
        if options.file is None:
            raise UsageError("feeds: check: expected a FILE, found none; see: ratwall feeds --help")
        return _check(options)
    if options.file is not None:
        raise UsageError(f"feeds: {options.what}: expected nothing behind it, found {options.file}")
    directory = FeedDirectory(options.state_dir)
    if options.what == "update":
        _update(options.state_dir)
    elif not directory.path.is_dir():
        raise NotRunningError(
            f"{directory.path}: no lists there; start Ratwall with: ratwall run, or name the right "
            "--state-dir"
        )
    return _list(options, directory)


def _list(options: argparse.Namespace, directory: FeedDirectory) -> int:
    """Print the feeds; exit code 1 after an update that brought an error."""
    states = directory.states()
    failed = options.what == "update" and any(state.error is not None for state in states)
    code = ExitCode.FAILED if failed else ExitCode.OK
    if options.json:
        print_json([state.as_dict() for state in states])
        return code
    if not states:
        print("No lists are asked for; see [feeds] in the settings.")
        return code
    rows = [
        (
            state.name,
            state.kind,
            sum(state.indicators.values()),
            _ago(state.checked),
            _ago(state.taken),
            "" if state.error is None else f"not taken: {state.error}",
        )
        for state in states
    ]
    print(table(("FEED", "KIND", "INDICATORS", "LOOKED AT", "TAKEN", "PROBLEM"), rows))
    return code


def _ago(microseconds: int | None) -> str:
    return "never" if microseconds is None else ago(microseconds)


def _update(state_dir: Path) -> None:
    """Have all lists looked at, and wait until what they list is in force."""
    client = Client(state_dir / "run" / "control.sock")
    run = client.call("feeds_update", author=AUTHOR)["run"]
    deadline = time.monotonic() + WAIT_SECONDS
    while not (status := client.call("status")["feeds"])["settled"]:
        if time.monotonic() > deadline:
            raise RatwallError(
                f"feeds: not done after {WAIT_SECONDS:.0f} s; the box goes on; see: ratwall feeds"
            )
        time.sleep(POLL_SECONDS)
    if status["looked"] < run or status["problem"] is not None:
        raise RatwallError(status["problem"] or "feeds: the lists were not looked at")


def _check(options: argparse.Namespace) -> int:
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
