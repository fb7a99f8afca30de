"""`ratwall rules`: what each rule of detection may do, and changing it.

The settings file says what holds at first. What is set here is kept in the ledger beside it, with
who set it and an undo, and goes before the file.
"""

import argparse

from ratwall.cli.asking import add_common, ask, say
from ratwall.cli.reading import print_json
from ratwall.cli.table import local_time, table
from ratwall.controller.client import Client
from ratwall.errors import UsageError
from ratwall.settings.schema import MODES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("what", nargs="?", choices=("set",), metavar="set", help="change a mode")
    parser.add_argument(
        "rule", nargs="?", metavar="RULE", help='such as asyncrat.port, "rhythm.*" or "*"'
    )
    parser.add_argument("mode", nargs="?", metavar="MODE", help=", ".join(MODES))
    add_common(parser)


def run(options: argparse.Namespace) -> int:
    """List the modes, or set one."""
    if options.what is None:
        return _list(options)
    if options.rule is None or options.mode not in MODES:
        found = "nothing" if options.mode is None else repr(options.mode)
        raise UsageError(f"rules: set: give RULE and {', '.join(MODES)}, found {found}")
    answer = ask(options, "rule", rule=options.rule, mode=options.mode)
    return say(options, f"{options.rule}: {options.mode}. Undo: ratwall undo {answer['action']}")


def _list(options: argparse.Namespace) -> int:
    answer = Client(options.state_dir / "run" / "control.sock").call("rules")
    if options.json:
        print_json(answer)
        return 0
    rows = [
        (one["rule"], one["mode"], one["author"], local_time(one["created"]), one["reason"])
        for one in answer["set"]
    ]
    known = {row[0] for row in rows}
    rows += [
        (rule, mode, "settings", "-", "")
        for mode in MODES
        for rule in answer["settings"][mode]
        if rule not in known
    ]
    if rows:
        print(table(("RULE", "MODE", "BY", "SINCE", "REASON"), rows))
    print("All others: enforce; those that show only over time (rhythm, loop, model): monitor.")
    return 0
