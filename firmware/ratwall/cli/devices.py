"""`ratwall devices`: what was seen on the protected side."""

import argparse

from ratwall.cli.reading import add_json, open_for_reading, print_json
from ratwall.cli.table import local_time, table
from ratwall.ledger import queries


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print devices, last seen first."""
    with open_for_reading(options) as ledger:
        found = queries.devices(ledger)
    if options.json:
        print_json(found)
        return 0
    if not found:
        print("No device was seen yet.")
        return 0
    rows = [
        (
            device["id"],
            device["name"],
            device["address"],
            device["mac"],
            device["incidents"],
            device["score"],
            local_time(device["first_seen"]),
            local_time(device["last_seen"]),
        )
        for device in found
    ]
    headings = (
        "DEVICE", "NAME", "ADDRESS", "MAC", "INCIDENTS", "HIGHEST", "FIRST SEEN", "LAST SEEN",
    )  # fmt: skip
    print(table(headings, rows))
    return 0
