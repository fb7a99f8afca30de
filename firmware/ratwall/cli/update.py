"""`ratwall update`: another version into the other slot, what became of the last one, and back.

Everything is checked before anything is written, and the version that runs is never touched. Nobody
says "updated" here: a new version counts when it has passed its own check after its first start
(`ratwall.update.health`), and `status` says whether it has.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from ratwall.cli.reading import add_json, print_json
from ratwall.cli.table import local_time, printable
from ratwall.controller.client import Client
from ratwall.errors import ExitCode, NotPermittedError, UsageError
from ratwall.update import overview, rauc
from ratwall.update.attempt import Attempt, State
from ratwall.update.change import install, restart, roll_back
from ratwall.update.place import Place, Running, last_attempt, read_running, sole_update
from ratwall.update.slots import Slot, other_slot
from ratwall.update.telling import note

# It takes no --state-dir: there is one state directory on a box that can be updated.
DEFAULT_CONTROL = Path("/var/lib/ratwall/run/control.sock")
ACTIONS = ("install", "status", "rollback")
INTERRUPTION = "while it restarts no traffic passes, for about a minute"
COUNTS = "it counts when it has passed its check after that: see `ratwall update status`"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "what",
        choices=ACTIONS,
        metavar="install|status|rollback",
        help="install: write a signed update into the other slot and restart; status: what runs,"
        " and what became of the last update; rollback: back to the other slot, and restart",
    )
    parser.add_argument(
        "bundle", nargs="?", metavar="FILE|URL", help="install: a .raucb file or where to fetch it"
    )
    parser.add_argument(
        "--no-restart", action="store_true", help="leave the restart to you; nothing changes before"
    )
    add_json(parser)


def run(options: argparse.Namespace, place: Place | None = None) -> int:
    """Do it; UsageError for a bundle that is refused, RatwallError when it could not be written."""
    place = place or Place()
    if options.what == "install" and options.bundle is None:
        raise UsageError("update: install: expected a FILE or URL; see: ratwall update --help")
    if options.what != "install" and options.bundle is not None:
        raise UsageError(f"update: {options.what}: takes no file, found {options.bundle!r}")
    if options.what == "status":
        return _status(options, place)
    if os.geteuid() != 0:
        raise NotPermittedError(f"update: {options.what}: must be root; try: sudo ratwall update …")
    note(Client(DEFAULT_CONTROL), f"{options.what}: {options.bundle or 'the other slot'}")
    with sole_update(place):
        if options.what == "install":
            attempt = install(place, options.bundle, _tell)
        else:
            attempt = roll_back(place)
        overview.keep(place)
        return _restart(options, attempt)


def _restart(options: argparse.Namespace, attempt: Attempt) -> int:
    said = f"version {attempt.version} is installed in slot {attempt.slot}"
    if options.no_restart:
        later = f"it starts at the next restart ({INTERRUPTION})"
    else:
        later = f"the box restarts now ({INTERRUPTION})"
    if options.json:
        print_json({"version": attempt.version, "slot": attempt.slot, "state": attempt.state.value})
    else:
        print(f"{said}; {later}; {COUNTS}")
    sys.stdout.flush()
    if not options.no_restart:
        restart()
    return ExitCode.OK


# -- status ---------------------------------------------------------------------------------------


def _status(options: argparse.Namespace, place: Place) -> int:
    running, last = read_running(place), last_attempt(place)
    other: Slot | None = None
    if os.geteuid() == 0 and running.slot is not None:
        other = rauc.slots()[other_slot(running.slot)]
    if options.json:
        print_json(_facts(running, last, other))
    else:
        print("\n".join(_lines(running, last, other)))
    return ExitCode.OK


def _facts(running: Running, last: Attempt | None, other: Slot | None) -> dict[str, Any]:
    return {
        "version": running.version,
        "board": running.board,
        "slot": running.slot,
        "keys": running.keys,
        "other": None
        if other is None
        else {"slot": other.name, "good": other.good, "version": other.version},
        "last": None
        if last is None
        else {
            "version": last.version,
            "slot": last.slot,
            "former": last.former,
            "state": last.state.value,
            "reason": last.reason or None,
            "began": last.began,
            "ended": last.ended,
        },
    }


def _lines(running: Running, last: Attempt | None, other: Slot | None) -> list[str]:
    board = "not from Ratwall's image" if running.board is None else f"board {running.board}"
    lines = [f"Version {running.version}, slot {running.slot or '-'}, {board}"]
    if running.keys is not None:
        lines.append(f"  takes updates signed by {running.keys} keys")
    if other is not None:
        version = f", version {printable(other.version)}" if other.version else ""
        waits = last is not None and last.is_open and last.slot == other.name
        state = (
            "not started yet"
            if waits
            else "good: `ratwall update rollback` goes there"
            if other.good
            else "not good"
        )
        lines.append(f"  slot {other.name}{version}: {state}")
    lines.append(f"  last update: {printable(describe(last))}")
    return lines


def describe(last: Attempt | None) -> str:
    """Say what became of the last attempt."""
    if last is None:
        return "none yet"
    when = local_time(last.began if last.ended is None else last.ended)
    if last.state is State.GOOD:
        return f"version {last.version} passed its check on {when} and counts"
    if last.state is State.FAILED:
        return f"version {last.version} failed on {when}: {last.reason}"
    if last.state is State.TRIAL:
        return f"version {last.version} runs on trial: its check is not over"
    if last.state is State.WRITING:
        return f"version {last.version} is being written into slot {last.slot}"
    return f"version {last.version} is installed; it starts at the next restart, on trial"


def _tell(text: str) -> None:
    print(f"ratwall: update: {printable(text)}", file=sys.stderr, flush=True)
