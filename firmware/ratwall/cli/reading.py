"""What the listing commands share: the ledger opened for reading, JSON or table as asked."""

import argparse
import json
from typing import Any

from ratwall.errors import NotPermittedError, NotRunningError, UsageError
from ratwall.ledger.store import FILE_NAME, Ledger, open_ledger

ROWS_DEFAULT = 20  # a screen
ROWS_LIMIT = 100_000  # beyond it `--json` of everything would not fit a small box's memory


def add_json(parser: argparse.ArgumentParser) -> None:
    """Declare --json."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Declare --limit."""
    parser.add_argument(
        "--limit",
        type=_limit,
        default=ROWS_DEFAULT,
        metavar="N",
        help=f"how many, newest first (default: {ROWS_DEFAULT})",
    )


def open_for_reading(options: argparse.Namespace) -> Ledger:
    """Open the ledger of --state-dir; NotRunningError if Ratwall never ran there."""
    path = options.state_dir / FILE_NAME
    try:
        if not path.exists():
            raise NotRunningError(
                f"{path}: no ledger there; start Ratwall with: ratwall run, or name the right "
                "--state-dir"
            )
        with path.open("rb"):
            pass
    except PermissionError as error:
        raise NotPermittedError(f"{path}: not permitted; run this as root") from error
    return open_ledger(path, read_only=True)


def print_json(value: Any) -> None:
    """Print a value as one JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=True))


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= ROWS_LIMIT:
        raise argparse.ArgumentTypeError(f"expected 1 to {ROWS_LIMIT}, found {text!r}")
    return int(text)


def whole_number(text: str) -> int:
    """Return a row's number given on the command line; for argparse."""
    if not text.isdecimal() or not 1 <= int(text) < 2**63:
        raise argparse.ArgumentTypeError(f"expected a number, found {text!r}")
    return int(text)


def nothing_there(what: str, number: int) -> UsageError:
    """Return the error for a row that does not exist."""
    return UsageError(f"there is no {what} {number}; see: ratwall {what}s")
