"""`ratwall names`: the names that devices asked a name server for, and the servers they got."""

import argparse

from ratwall.cli.reading import add_json, add_limit, open_for_reading, print_json
from ratwall.cli.table import local_time, table
from ratwall.ledger import names

SHOWN = 3  # addresses in a row of the table; `--json` has them all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("search", nargs="?", default="", help="part of a name, or an address")
    add_limit(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print names, the ones asked for last first."""
    with open_for_reading(options) as ledger:
        found = names.listing(ledger, options.search, options.limit)
    if options.json:
        print_json(found)
        return 0
    if not found:
        print("No name matches." if options.search else "No name was asked for yet.")
        return 0
    rows = [
        (
            row["name"],
            ", ".join(row["addresses"][:SHOWN]) + (", …" if row["addresses"][SHOWN:] else ""),
            len(row["devices"]),
            local_time(row["first_seen"]),
            local_time(row["last_seen"]),
        )
        for row in found
    ]
    print(table(("NAME", "SERVERS", "DEVICES", "FIRST SEEN", "LAST SEEN"), rows))
    return 0
