"""`python -m ratwall.support`: the support bundle that the page asked for, where it may read it.

In memory, for the page's group alone, and gone with the restart.
"""

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from ratwall.errors import RatwallError
from ratwall.replacing import replace_file
from ratwall.supervisor.confine import account
from ratwall.support.bundle import chosen, make
from ratwall.support.collect import Box

REQUEST_NAME = "bundle-request.json"
BUNDLE_NAME = "support-bundle.zip"
REQUEST_LIMIT = 1_024
MODE = 0o640


def wants_incidents(path: Path) -> bool:
    """Return whether the newest incidents were asked for; not if nobody can tell."""
    try:
        with path.open("rb") as file:
            return json.loads(file.read(REQUEST_LIMIT))["incidents"] is True
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def main() -> int:
    """Make one bundle."""
    parser = argparse.ArgumentParser(prog="ratwall.support")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--runtime-dir", type=Path, required=True)
    options = parser.parse_args()
    box = Box(options.state_dir)
    traffic = wants_incidents(options.runtime_dir / REQUEST_NAME)
    group = account("ratwall-web").gid
    try:
        raw = make(chosen(box.parts(), traffic=traffic), box.redaction(), datetime.now(UTC))
        replace_file(
            options.runtime_dir / BUNDLE_NAME,
            raw,
            mode=MODE,
            give=lambda path: os.chown(path, -1, group),
            durable=False,
        )
    except (OSError, RatwallError) as error:
        print(f"ratwall: support: no bundle: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
