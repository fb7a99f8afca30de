"""`python -m ratwall.export`: the exporter, in the foreground, as a user without rights.

`--check` only says by its exit code whether the settings name a receiver: without one nobody starts
this process.
"""

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from ratwall.errors import ExitCode, RatwallError
from ratwall.export.process import serve
from ratwall.inspector.heartbeat import Heartbeat
from ratwall.settings.export import Export
from ratwall.settings.load import load_settings

log = logging.getLogger(__name__)


def main() -> int:
    """Run until SIGTERM or SIGINT; SIGHUP has the settings read again."""
    parser = argparse.ArgumentParser(prog="ratwall.export")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--check", action="store_true", help="is anybody to be told?")
    options = parser.parse_args()
    logging.basicConfig(format="ratwall: export: %(message)s", level=logging.WARNING)
    in_force = load_settings(options.config).export
    if options.check:
        return ExitCode.OK if in_force.wanted else ExitCode.FAILED
    hangups: list[int] = []
    stop: list[int] = []
    wake = threading.Event()

    def collect(where: list[int], number: int) -> None:
        where.append(number)
        wake.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: collect(stop, number))
    signal.signal(signal.SIGHUP, lambda number, _: collect(hangups, number))
    heartbeat = Heartbeat()

    def settings() -> Export:
        nonlocal in_force
        try:
            in_force = load_settings(options.config).export
        except RatwallError as error:
            log.warning("going on with the settings before: %s", error)
        return in_force

    def ready() -> None:
        heartbeat.ready()
        print("ready", flush=True)

    whole = serve(options.state_dir, settings, wake, hangups, stop, heartbeat.beat, ready)
    heartbeat.stopping()
    heartbeat.close()
    return ExitCode.OK if whole else ExitCode.FAILED


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RatwallError as error:
        print(f"ratwall: export: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
