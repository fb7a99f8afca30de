"""`ratwall reload`: have the running box take a changed settings file and changed packs."""

import argparse

from ratwall.cli.reading import add_json, print_json
from ratwall.controller.client import Client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Ask `ratwall run` and say what came of it; UsageError if the settings are refused."""
    answer = Client(options.state_dir / "run" / "reload.sock").call("reload")
    if options.json:
        print_json(answer)
    else:
        print("Settings and signature packs are in force; no connection was touched.")
    return 0
