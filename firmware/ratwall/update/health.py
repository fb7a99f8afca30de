"""`python -m ratwall.update.health`: after every start, does this version do what it is for?

On trial, a version that does not within its time is called bad, the reason is kept, and the box
restarts into the one before. A version that once counted is never restarted for failing: what is
wrong then is not the version, and the office's traffic is worth more. Exit codes for the script
around it: 0 over, 1 the script shall take the version back.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from ratwall.controller.client import Client
from ratwall.errors import RatwallError
from ratwall.update import overview, rauc
from ratwall.update.attempt import State, is_on_trial, settle
from ratwall.update.checks import Check, Checks
from ratwall.update.place import (
    Place,
    keep_attempt,
    last_attempt,
    read_running,
    slot_tries,
)
from ratwall.update.telling import tell_outcome

# The longest that an honest start takes: a slow box that moves a large history to a new version.
# The office's traffic passes meanwhile, inspected or not.
SECONDS = 600.0
PAUSE_SECONDS = 3.0  # a look costs a slow box a second
OVER, TAKE_BACK = 0, 1


def wait_healthy(
    checks: Mapping[str, Check],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Ask until every check is content in one round; what was still wrong when the time was up.

    A round ends at the first that is not: the later ones would only say the same.
    """
    deadline = clock() + seconds
    told: str | None = None
    while True:
        wrong = next((found for check in checks.values() if (found := check()) is not None), None)
        if wrong is None:
            return []
        if wrong != told:
            told = wrong
            _say(f"not yet: {wrong}")
        if clock() >= deadline:
            return [found for check in checks.values() if (found := check()) is not None]
        sleep(PAUSE_SECONDS)


def settle_last(place: Place) -> None:
    """Write down what became of a version that never said so itself."""
    running, last = read_running(place), last_attempt(place)
    if last is None or running.slot is None:
        return
    over = settle(
        last,
        running=running.slot,
        boot_id=running.boot_id,
        tries=slot_tries(place, last.slot),
        now=_now(),
    )
    if over is not None:
        _say(f"the update to version {over.version} failed: {over.reason}")
        keep_attempt(place, over)
        rauc.mark("bad", "other")


def judge(place: Place, checks: Mapping[str, Check], seconds: float) -> int:
    """Check this version and say so to the boot loader and in the record; OVER or TAKE_BACK."""
    settle_last(place)
    running, last = read_running(place), last_attempt(place)
    if last is not None and is_on_trial(last, running.slot):
        last = replace(last, state=State.TRIAL)
        keep_attempt(place, last)
    wrong = wait_healthy(checks, seconds)
    for one in wrong:
        _say(one)
    if last is None or not is_on_trial(last, running.slot):
        # It was good before, or nobody knows: its tries are given back, whatever is wrong now.
        rauc.mark("good", "booted")
        return OVER
    if wrong:
        keep_attempt(place, last.end(_now(), "; ".join(wrong)))
        return TAKE_BACK
    try:
        rauc.mark("good", "booted")
    except RatwallError as error:
        keep_attempt(place, last.end(_now(), str(error)))
        raise
    # After the mark: should the power fail in between, the next start checks once more.
    keep_attempt(place, last.end(_now()))
    _say(f"version {last.version} passed its check and counts")
    return OVER


def _now() -> int:
    return time.time_ns() // 1000


def _say(text: str) -> None:
    print(f"ratwall: health: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Check this version once."""
    parser = argparse.ArgumentParser(prog="ratwall.update.health")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    place = Place()
    try:
        result = judge(place, Checks(options.state_dir).all(), options.seconds)
        overview.keep(place)
        tell_outcome(place, Client(options.state_dir / "run" / "control.sock"))
        return result
    except RatwallError as error:
        _say(str(error))
        return TAKE_BACK


if __name__ == "__main__":
    sys.exit(main())
