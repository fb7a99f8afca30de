"""`ratwall actions`: what is in force, with the numbers that `undo` takes."""

import argparse
import time

from ratwall.address import place
from ratwall.cli.reading import add_json, add_limit, open_for_reading, print_json
from ratwall.cli.table import local_time, table
from ratwall.ledger import queries


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--all", action="store_true", help="also what is over or was undone")
    add_limit(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print actions, newest first."""
    with open_for_reading(options) as ledger:
        found = queries.actions(
            ledger, time.time_ns() // 1000, active_only=not options.all, limit=options.limit
        )
    if options.json:
        print_json(found)
        return 0
    if not found:
        print("Nothing is in force." if not options.all else "Nothing was done yet.")
        return 0
    rows = [
        (
            action["id"],
            local_time(action["created"]),
            action["kind"].removesuffix("_device").removesuffix("_server"),
            scope(action),
            until(action),
            action["author"],
            action["reason"],
        )
        for action in found
    ]
    print(table(("ACTION", "SINCE", "KIND", "WHAT", "UNTIL", "BY", "REASON"), rows))
    return 0


def scope(action: queries.Row) -> str:
    """Say what an action is about."""
    if action["rule"] is not None:
        return f"{action['rule']}: {action['mode']}"
    if action["certificate_sha256"] is not None:
        what = f"certificate {str(action['certificate_sha256'])[:16]}…"
    elif action["server"] is None:
        return str(action["device"] or "everything")
    elif action["server_port"] is None:
        what = f"{action['server']}, every port"
    else:
        what = place(action["server"], action["server_port"])
    return what if action["device"] is None else f"{what} for {action['device']}"


def until(action: queries.Row) -> str:
    """Say when an action ends or ended."""
    if action["undone"] is not None:
        return f"undone {local_time(action['undone'])}"
    if action["kind"] == "release":
        return "-"
    return local_time(action["expires"], never="always")
