"""`ratwall signatures check`: read packs as the box would, and say what is in them."""

import argparse
from pathlib import Path

from ratwall.errors import ExitCode
from ratwall.signatures.pack import Pack, load_files, load_packs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions of `ratwall signatures`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="check")
    check = actions.add_parser("check", help="read signature packs and report faults in them")
    check.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="pack files (*.toml), read together; without any, the packs shipped",
    )


def run(namespace: argparse.Namespace) -> int:
    """Print each pack with its version and rules; UsageError at the first fault."""
    packs = load_files(namespace.files) if namespace.files else load_packs()
    width = max(len(pack.name) for pack in packs)
    for pack in packs:
        print(f"{pack.name:{width}}  version {pack.version}  {_counted(pack)}  {pack.about}")
    rules = sum(len(pack.rules) for pack in packs)
    print(f"packs: {len(packs)}, rules: {rules}, all well-formed")
    return ExitCode.OK


def _counted(pack: Pack) -> str:
    decisive = sum(rule.decisive for rule in pack.rules)
    return f"{len(pack.rules):3} rules, {decisive} of them able to block"
