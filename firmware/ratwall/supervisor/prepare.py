"""`python -m ratwall.supervisor.prepare`: what must lie ready before the units of the box start.

Makes the state directory with its owners, checks the settings, and lays those in force beside the
ledger, where every process may read them. It changes nothing in the kernel and starts nothing.

Bad settings must not leave an office unprotected after a reboot: then the last good ones are taken,
or the defaults where there are none, and a line says so, in the journal and in the file that the
console page shows.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from ratwall.errors import RatwallError, UsageError
from ratwall.replacing import replace_file
from ratwall.settings.load import read_settings
from ratwall.settings.schema import Settings
from ratwall.supervisor.inline import say
from ratwall.supervisor.state import StateDirectory


@dataclass(frozen=True, slots=True)
class Chosen:
    """The settings to go on with, the bytes that say so, and what was wrong with others."""

    settings: Settings
    text: bytes
    problem: str | None = None


def choose(wanted: Path, last_good: Path) -> Chosen:
    """Return the settings at `wanted` if they are good, else the last good ones, else defaults."""
    if not wanted.exists():
        return Chosen(Settings(), b"")
    try:
        return Chosen(*read_settings(wanted))
    except UsageError as error:
        problem = str(error)
    try:
        return Chosen(*read_settings(last_good), f"{problem}; going on with the last good settings")
    except UsageError:
        return Chosen(Settings(), b"", f"{problem}; going on with the defaults")


def lay_out(state: StateDirectory, wanted: Path, last_good: Path, runtime: Path) -> Chosen:
    """Make the directories, put the settings in force, tell the units how many inspectors."""
    state.prepare()
    chosen = choose(wanted, last_good)
    state.write_settings(chosen.text)
    runtime.mkdir(parents=True, exist_ok=True)
    # Read by the inspectors' units as a file of environment variables (systemd.exec(5)).
    (runtime / "workers").write_text(f"RATWALL_WORKERS={chosen.settings.kernel.workers}\n")
    complaint = runtime / "settings-problem"
    if chosen.problem is None:
        complaint.unlink(missing_ok=True)
        remember(last_good, chosen.text)
    else:
        complaint.write_text(f"{chosen.problem}\n")
    return chosen


def remember(last_good: Path, text: bytes) -> None:
    """Keep settings that were good; a full or read-only disk is told of, and no reason to stop."""
    try:
        if not last_good.exists() or last_good.read_bytes() != text:
            replace_file(last_good, text)
    except OSError as error:
        say(f"{last_good}: the settings cannot be remembered: {error.strerror}")


def main() -> None:
    """Lay everything out once; exit code 0 even when the settings are bad, since it goes on."""
    parser = argparse.ArgumentParser(prog="ratwall.supervisor.prepare")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True, help="the owner's settings")
    parser.add_argument("--last-good", type=Path, required=True, help="where a copy is kept")
    parser.add_argument("--runtime-dir", type=Path, required=True, help="gone after a reboot")
    options = parser.parse_args()
    chosen = lay_out(
        StateDirectory(options.state_dir), options.config, options.last_good, options.runtime_dir
    )
    if chosen.problem is not None:
        say(chosen.problem)


if __name__ == "__main__":
    try:
        main()
    except RatwallError as error:
        print(f"ratwall: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
