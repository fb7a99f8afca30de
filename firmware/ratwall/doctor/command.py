"""`ratwall doctor [--clean]`: looks at everything, says it in a line each, cleans up on request.

Exit 0 when nothing wants a hand, 10 when something does. `--clean` puts back what a killed run has
left, and refuses while Ratwall runs.
"""

import argparse
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ratwall.cli.reading import add_json, print_json
from ratwall.doctor import checks
from ratwall.doctor.checks import Finding
from ratwall.doctor.links import links
from ratwall.errors import ExitCode, NotPermittedError, RatwallError, UsageError
from ratwall.kernel.command import require
from ratwall.kernel.undo import STEPS, take_back
from ratwall.settings.load import load_settings
from ratwall.settings.schema import Settings
from ratwall.supervisor.state import JOURNAL_NAME

# What a run without a journal may have left; each may be taken where there is nothing.
WITHOUT_JOURNAL = (("bridge",), ("route", "-4"), ("route", "-6"), ("tables",))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--clean", action="store_true", help="put back what a killed Ratwall has left"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Look, clean if asked to, and tell; 10 when something wants a hand."""
    if os.geteuid() != 0:
        raise NotPermittedError("doctor: must be root to look into the kernel; try: sudo ratwall …")
    require("nft", "ip")
    state_dir: Path = options.state_dir
    running = is_running(state_dir)
    if options.clean:
        if running:
            raise UsageError("doctor: --clean: Ratwall runs; stop it first, it cleans up itself")
        _clean(state_dir / "run" / JOURNAL_NAME)
    findings = list(_look(state_dir, running=running))
    if options.json:
        print_json(
            [{"topic": each.topic, "problem": each.problem, "text": each.text} for each in findings]
        )
    else:
        for each in findings:
            print(f"{'!!' if each.problem else '  '} {each.text}")
    return ExitCode.FOUND if any(each.problem for each in findings) else ExitCode.OK


def is_running(state_dir: Path) -> bool:
    """Say whether a supervisor holds the state directory."""
    try:
        with (state_dir / "run" / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _clean(journal: Path) -> None:
    failures = take_back(journal)
    if failures is None:
        for kind, *words in WITHOUT_JOURNAL:
            STEPS[kind](*words)
    elif failures:
        raise RatwallError(f"doctor: {'; '.join(failures)}")


def _look(state_dir: Path, *, running: bool) -> Iterator[Finding]:
    settings = _settings(state_dir)
    yield from checks.left_behind(state_dir / "run" / JOURNAL_NAME, running=running)
    yield from checks.kernel_features()
    yield checks.fast_path()
    yield from checks.bridge_netfilter(bridge_mode=settings.network.mode == "bridge")
    yield from checks.conntrack()
    yield from checks.devices(state_dir)
    yield from links()
    yield from checks.foreign_marks(settings.kernel.mark_mask)


def _settings(state_dir: Path) -> Settings:
    """Return the settings that were last in force here, else the defaults."""
    path = state_dir / "run" / "settings.toml"
    return load_settings(path if path.exists() else None)
