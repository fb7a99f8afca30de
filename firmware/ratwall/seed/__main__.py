"""`python -m ratwall.seed`: looks for a seed on the boot partition, early in the boot.

Whatever comes of it is written beside the seed, for whoever puts the card into a PC, and shown on
the console page when something was wrong. The box goes on in any case.
"""

import argparse
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from ratwall.errors import RatwallError, UsageError
from ratwall.seed.apply import RESULT_NAME, Places, apply_file
from ratwall.seed.document import Seed, parse_seed
from ratwall.supervisor.confine import account
from ratwall.supervisor.state import StateDirectory

# An honest one takes a Pi a tenth of a second. A key of a hundred thousand parts takes an hour, and
# the bridge waits for it (the unit's own limit is the last resort, and leaves no word).
PARSE_SECONDS = 10.0


def parse_in_time(raw: bytes, source: str, seconds: float = PARSE_SECONDS) -> Seed:
    """Return the seed, or UsageError if reading it takes too long."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise UsageError(f"{source}: not read after {seconds:g} s: not a seed that a person wrote")

    before = signal.signal(signal.SIGALRM, interrupt)
    rest, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return parse_seed(raw, source)
    finally:
        signal.setitimer(signal.ITIMER_REAL, rest, interval)
        signal.signal(signal.SIGALRM, before)


def main() -> int:
    """Apply the seed if there is one; 0 unless something was wrong with it."""
    parser = argparse.ArgumentParser(prog="ratwall.seed")
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--settings-dir", type=Path, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--runtime-dir", type=Path, required=True)
    options = parser.parse_args()
    page = account("ratwall-web")
    try:
        StateDirectory(options.state_dir).prepare()
        told = apply_file(
            Places(options.file, options.settings_dir, options.state_dir / "web"),
            lambda path: os.chown(path, page.uid, page.gid, follow_symlinks=False),
            parse_in_time,
        )
    except RatwallError as error:
        print(f"ratwall: seed: {error}", file=sys.stderr)
        options.runtime_dir.mkdir(parents=True, exist_ok=True)
        (options.runtime_dir / "seed-problem").write_text(f"{error}\n")
        _leave_word(options.file, f"Not applied: {error}")
        return error.exit_code
    if told is not None:
        print(f"ratwall: {told}", file=sys.stderr)
        _leave_word(options.file, "Applied. The seed was wiped.")
    return 0


def _leave_word(seed: Path, text: str) -> None:
    with suppress(OSError):  # a partition that is read-only is told of by the file still there
        seed.with_name(RESULT_NAME).write_text(f"{text}\r\n")


if __name__ == "__main__":
    sys.exit(main())
