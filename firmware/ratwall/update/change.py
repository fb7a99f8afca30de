"""Changes which version starts next: another one into the other slot, or back to the one before.

Whoever asks (the command line, the job that the page has started) holds `sole_update` meanwhile and
restarts the box afterwards. Everything is checked before anything is written, the version that runs
is never touched, and what cuts it short is found in the record by whichever version runs then.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace

from ratwall.errors import RatwallError
from ratwall.kernel.command import ToolError
from ratwall.kernel.command import run as run_tool
from ratwall.update import rauc
from ratwall.update.attempt import Attempt, State
from ratwall.update.bundle import refuse_other_board
from ratwall.update.obtain import obtained
from ratwall.update.overview import version_in
from ratwall.update.place import Place, Running, keep_attempt, last_attempt, read_running
from ratwall.update.slots import other_slot


def install(
    place: Place, source: str, tell: Callable[[str], None], *, drop: bool = False
) -> Attempt:
    """Write a bundle, a file or what an address holds, into the other slot; RatwallError if not.

    `drop`: what fetches it becomes the page's user without a view of its own.
    """
    running, slot = _ready(place)
    with obtained(source, place.download, tell, drop=drop) as path:
        manifest = rauc.read_bundle(path, source, place.keyring)
        refuse_other_board(manifest, str(running.board), source)
        target = other_slot(slot)
        tell(
            f"version {manifest.version} for {manifest.board} goes into slot {target};"
            f" version {running.version} runs on from slot {slot} meanwhile"
        )
        attempt = _begin(place, running, manifest.version, target)
        try:
            rauc.install(path, tell)
        except RatwallError as error:
            keep_attempt(place, attempt.end(_now(), str(error).removeprefix("update: ")))
            raise
        except KeyboardInterrupt:
            keep_attempt(place, attempt.end(_now(), "stopped by whoever started it"))
            raise
    return _finish(place, attempt)


def roll_back(place: Place) -> Attempt:
    """Have the other slot start next; RatwallError if there is nothing good in it."""
    running, slot = _ready(place)
    target, last = rauc.slots()[other_slot(slot)], last_attempt(place)
    if last is not None and last.is_open and last.slot == target.name:
        raise RatwallError(
            f"update: rollback: slot {target.name} holds version {last.version}, which was never"
            " started: there is nothing to go back from; restart to try it, or install another"
        )
    if not target.good:
        raise RatwallError(
            f"update: rollback: slot {target.name} is not good, there is nothing to go back to;"
            f" version {running.version} in slot {slot} goes on"
        )
    attempt = _begin(place, running, version_in(target, last), target.name)
    try:
        rauc.mark("active", "other")
    except RatwallError as error:
        keep_attempt(place, attempt.end(_now(), str(error).removeprefix("update: ")))
        raise
    return _finish(place, attempt)


def _ready(place: Place) -> tuple[Running, str]:
    """Return what runs, and from which slot; RatwallError where that is no box of ours, or where
    the running version is itself on trial."""
    running = read_running(place)
    if running.board is None or running.slot is None:
        raise RatwallError("update: only a box started from Ratwall's image can be updated so")
    last = last_attempt(place)
    if last is not None and last.is_open and last.slot == running.slot:
        raise RatwallError(
            f"update: version {running.version} is on trial itself; wait until its check is over:"
            " see `ratwall update status`"
        )
    return running, running.slot


def _begin(place: Place, running: Running, version: str, slot: str) -> Attempt:
    attempt = Attempt(version, slot, running.version, _now(), running.boot_id)
    keep_attempt(place, attempt)
    return attempt


def _finish(place: Place, attempt: Attempt) -> Attempt:
    installed = replace(attempt, state=State.INSTALLED)
    keep_attempt(place, installed)
    os.sync()  # the slot, and the boot loader's marks on its own partition
    return installed


def restart() -> None:
    """Restart the box in order; RatwallError if systemd refuses."""
    try:
        run_tool("systemctl", "--no-block", "reboot")
    except ToolError as error:
        raise RatwallError(f"update: installed, but the box does not restart: {error}") from error


def _now() -> int:
    return time.time_ns() // 1000
