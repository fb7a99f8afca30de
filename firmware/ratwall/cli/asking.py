"""What all commands that change something share: how they ask, what they say, how a time is given.

The controller decides, writes it down with the author "root", and refuses in words.
"""

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ratwall.cli.reading import add_json, print_json
from ratwall.cli.table import printable
from ratwall.controller.client import Client
from ratwall.settings.schema import BLOCK_SECONDS_HIGH, BLOCK_SECONDS_LOW

AUTHOR = "root"  # the command line of the box is root's
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
DURATION = re.compile(r"([0-9]{1,9})([smhd])")


@dataclass(frozen=True, slots=True)
class Change:
    """One changing command: its arguments and what it does."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def ask(options: argparse.Namespace, command: str, **arguments: Any) -> dict[str, Any]:
    """Send a command; print its answer if --json, and a warning that came with it."""
    client = Client(options.state_dir / "run" / "control.sock")
    answer = client.call(command, author=AUTHOR, reason=options.reason, **arguments)
    if options.json:
        print_json(answer)
    elif "warning" in answer:
        print(f"ratwall: {printable(answer['warning'])}", file=sys.stderr)
    return answer


def say(options: argparse.Namespace, text: str) -> int:
    """Print a sentence, unless --json has spoken."""
    if not options.json:
        print(printable(text))
    return 0


def add_common(parser: argparse.ArgumentParser) -> None:
    """Declare --reason and --json."""
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; kept with the action")
    add_json(parser)


def add_blocked_time(parser: argparse.ArgumentParser, default: str = "from the settings") -> None:
    """Declare --for, how long a block or watch lasts; `default` says what holds without it."""
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_blocked_time,
        metavar="TIME",
        help=f"1m to 30d, such as 12h (default: {default})",
    )


def _blocked_time(text: str) -> int:
    """Return how long something is blocked; for argparse."""
    return seconds(text, BLOCK_SECONDS_LOW, BLOCK_SECONDS_HIGH, "")


def seconds(text: str, low: int, high: int, also: str) -> int:
    """Return seconds of "90s", "30m", "1h", "7d" within bounds; for argparse."""
    match = DURATION.fullmatch(text)
    found = 0 if match is None else int(match[1]) * UNITS[match[2]]
    if not low <= found <= high:
        most = f"{high // UNITS['d']}d" if high % UNITS["d"] == 0 else f"{high // UNITS['h']}h"
        raise argparse.ArgumentTypeError(
            f"expected a time from {low // UNITS['m']}m to {most}, such as 12h{also}, "
            f"found {text!r}"
        )
    return found
