"""`ratwall support bundle`: one file that says how the box fares, without a secret in it.

What is in it is listed first; nothing is sent anywhere.
"""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

from ratwall.cli.reading import add_json, print_json
from ratwall.errors import ExitCode, UsageError
from ratwall.support.bundle import chosen, make
from ratwall.support.collect import Box

ACTIONS = ("bundle", "list")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "what",
        choices=ACTIONS,
        metavar="bundle|list",
        help="bundle: write it; list: say what would be in it",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="where to (default: ratwall-support.zip)"
    )
    parser.add_argument(
        "--incidents",
        action="store_true",
        help="also the newest incidents, with addresses and names",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Write the bundle; UsageError if the file cannot be made."""
    box = Box(options.state_dir)
    parts = chosen(box.parts(), traffic=options.incidents)
    if options.what == "list":
        if options.json:
            print_json([{"name": part.name, "about": part.about} for part in parts])
        else:
            print("\n".join(f"{part.name:<16} {part.about}" for part in parts))
        return ExitCode.OK
    target: Path = options.output or Path("ratwall-support.zip")
    try:
        # Of the owner alone; an older one is not written over.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(target, flags, 0o600)
    except OSError as error:
        raise UsageError(
            f"support: {target}: cannot be written: {error.strerror}; give another name with -o"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(make(parts, box.redaction(), datetime.now(UTC)))
    if options.json:
        print_json({"file": str(target), "files": [part.name for part in parts]})
    else:
        print(f"{target}: {len(parts)} files. Look at it before you send it to anybody.")
    return ExitCode.OK
