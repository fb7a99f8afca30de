"""`ratwall contacts`: which device has to do with which server, since when, and how often."""

import argparse
import time

from ratwall.address import place
from ratwall.cli.reading import add_json, add_limit, open_for_reading, print_json
from ratwall.cli.table import local_time, size, table
from ratwall.errors import UsageError
from ratwall.ledger import contacts

WORDS_LIMIT = 16  # as in `flows`
STANDING = {"baseline": "usual", "new": "NEW", "failed": "no answer"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "search", nargs="*", help="words that must all occur: device, server, port, name"
    )
    parser.add_argument(
        "--new",
        action="store_true",
        help="only servers that two devices at most know, for less than a week, or that never "
        "answered",
    )
    add_limit(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print contacts, the newest first; UsageError for a search of too many words."""
    words = " ".join(options.search).split()
    if len(words) > WORDS_LIMIT:
        raise UsageError(f"contacts: at most {WORDS_LIMIT} words, found {len(words)}")
    with open_for_reading(options) as ledger:
        found = contacts.listing(
            ledger, words, now=time.time_ns() // 1000, new=options.new, limit=options.limit
        )
    if options.json:
        print_json(found)
        return 0
    if not found:
        narrowed = words or options.new
        print("No contact matches." if narrowed else "No connection has ended yet.")
        return 0
    rows = [
        (
            contact["device"]["name"] or contact["device"]["address"],
            place(contact["server"], contact["server_port"]),
            STANDING[contact["standing"]],
            local_time(contact["first_seen"]),
            local_time(contact["last_seen"]),
            contact["connections"],
            contact["failures"],
            contact["devices"],
            size(contact["sent"] + contact["received"]),
            contact["name"],
        )
        for contact in found
    ]
    headings = (
        "DEVICE", "SERVER", "KNOWN", "FIRST SEEN", "LAST SEEN", "ENDED", "FAILED", "DEVICES",
        "TRAFFIC", "NAME",
    )  # fmt: skip
    print(table(headings, rows))
    return 0
