"""`ratwall evidence`: all that is known of an incident, as one zip file."""

import argparse
import os
import time
from functools import partial
from pathlib import Path

from ratwall import __version__
from ratwall.cli.reading import add_json, nothing_there, open_for_reading, print_json, whole_number
from ratwall.errors import UsageError
from ratwall.evidence.capture import DIRECTORY, between
from ratwall.evidence.package import contents, write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("number", type=whole_number, help="of the incident")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="where to (default: incident-NUMBER.zip)"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Write the package; UsageError if there is no such incident or the file cannot be made."""
    target: Path = options.output or Path(f"incident-{options.number}.zip")
    now = time.time_ns() // 1000
    with open_for_reading(options) as ledger:
        captures = partial(between, options.state_dir / DIRECTORY)
        files = contents(ledger, options.number, now, __version__, captures)
    if files is None:
        raise nothing_there("incident", options.number)
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if target.exists():
            raise UsageError(f"evidence: {target}: is there already; give another name with -o")
        # Of the owner alone: it says who in the office did what.
        descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            write(files, now, file)
        staged.replace(target)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise UsageError(f"evidence: {target}: cannot be written: {error.strerror}") from error
    if options.json:
        print_json({"file": str(target), "files": [*files, "SHA256SUMS"]})
    else:
        print(f"{target}: {len(files) + 1} files. Check them with: sha256sum -c SHA256SUMS")
    return 0
