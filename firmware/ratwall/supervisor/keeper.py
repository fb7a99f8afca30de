"""`python -m ratwall.supervisor.keeper`: the rules, where a service manager runs the processes.

What is left of `ratwall run` when systemd starts, watches and restarts inspectors, controller and
page: it puts the rules in, puts them in again when somebody flushes them, takes changed settings,
and takes everything out at its end. It starts no process and reads no packet.

Killed, it leaves the rules where they are: traffic flows, blocks hold, inspectors go on. Started
again it takes what was left back by the journal and lays the rules anew.
"""

import argparse
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from ratwall.errors import RatwallError, UsageError
from ratwall.inspector.heartbeat import Heartbeat
from ratwall.kernel.command import require
from ratwall.kernel.install import Installation
from ratwall.kernel.links import check_ports
from ratwall.kernel.undo import Journal, take_back
from ratwall.replacing import replace_file
from ratwall.settings.schema import Settings
from ratwall.supervisor.inline import (
    LOOK_SECONDS,
    collected,
    effective_settings,
    keep_rules,
    rules_of,
    say,
)
from ratwall.supervisor.reload import Door, Reload
from ratwall.supervisor.saving import Saving, SettingsFile
from ratwall.supervisor.state import StateDirectory, sole_instance

POLL_SECONDS = 0.5
# Who reads its settings again on SIGHUP; inspectors that are not needed are not running.
REREADING = ("ratwall-controller.service", "ratwall-inspector@*.service")
EXPORTER = "ratwall-export.service"  # its own condition says whether the settings ask for it
PORTS_NAME = "network"  # beside the settings; see `ratwall.seed.apply` and the image's ports script
SYSTEMCTL_SECONDS = 10.0  # it answers in milliseconds; a service manager that hangs is no reason


class Keeper:
    """The loop between laying the rules and taking them out."""

    def __init__(
        self, reload: Reload, saving: Saving, door: Door, look: Callable[[], None]
    ) -> None:
        """`look` sees to it that the rules are there."""
        self._reload, self._saving, self._door, self._look = reload, saving, door, look
        self._selector = selectors.DefaultSelector()
        self._selector.register(door, selectors.EVENT_READ)

    def keep(self, stop: Sequence[int], hangups: list[int], heartbeat: Heartbeat) -> None:
        """Keep the rules until `stop` has an entry; `hangups` and the door ask for a reload."""
        look_at = 0.0
        while not stop:
            if self._selector.select(POLL_SECONDS):
                self._door.accept()
            if hangups or self._door.waiting:
                waiting = self._door.take()
                packs_only = self._door.packs_only and not hangups
                if self._door.answer_letters(self._saving):
                    say("settings changed on the admin page or by command")
                    if silent := hang_up():
                        say(f"{', '.join(silent)}: not told of changed settings")
                if waiting or hangups:
                    hangups.clear()
                    self._door.answer(waiting, self._take(packs_only=packs_only))
            now = time.monotonic()
            if now >= look_at:
                look_at = now + LOOK_SECONDS
                self._look()
            heartbeat.beat(now)

    def _take(self, *, packs_only: bool) -> RatwallError | None:
        try:
            (self._reload.apply_packs if packs_only else self._reload.apply)(hang_up)
        except RatwallError as error:
            say(f"{'packs' if packs_only else 'settings'} not taken: {error}")
            return error
        say(f"{'' if packs_only else 'settings and '}signature packs taken anew")
        return None


def hang_up() -> list[str]:
    """Have systemd send SIGHUP to who reads settings again; the names where that failed."""
    try:
        done = subprocess.run(
            ["systemctl", "kill", "--signal=SIGHUP", *REREADING],
            capture_output=True,
            timeout=SYSTEMCTL_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return list(REREADING)
    _restart_exporter()
    return [] if done.returncode == 0 else list(REREADING)


def _restart_exporter() -> None:
    """Have systemd start the exporter by the changed settings, or leave it ended."""
    argv = ["systemctl", "restart", "--no-block", EXPORTER]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=SYSTEMCTL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        say(f"{EXPORTER}: not started again: {error}")
        return
    if done.returncode:
        say(f"{EXPORTER}: not started again: {done.stderr.decode(errors='replace').strip()}")


def keep_ports(options: argparse.Namespace, settings: Settings) -> None:
    """Tell the ports script, which runs before everything else at a start, what was chosen.

    A file that the owner has not, because nothing was ever said of ports, is not made for defaults.
    """
    path = options.config.with_name(PORTS_NAME)
    network, before = settings.network, Settings().network
    if not path.exists() and network == before:
        return
    said = {"MODE": network.mode, "WAN": network.wan, "LAN": network.lan}
    try:
        replace_file(path, "".join(f"{key}={value}\n" for key, value in said.items() if value))
    except OSError as error:
        say(f"{path}: the ports chosen cannot be kept: {error.strerror}")


def run(options: argparse.Namespace) -> None:
    """Keep the rules until SIGTERM or SIGINT; RatwallError if they cannot be laid."""
    require("nft", "ip")
    state = StateDirectory(options.state_dir)
    settings = _in_force(options, state)
    check_ports(str(settings.network.lan), str(settings.network.wan))
    heartbeat = Heartbeat()
    with (
        collected(signal.SIGTERM, signal.SIGINT) as stop,
        collected(signal.SIGHUP) as hangups,
        sole_instance(state),
    ):
        for line in take_back(state.journal) or ():
            say(line)
        installation = Installation(
            rules_of(settings),
            bridge_mode=settings.network.mode == "bridge",
            create_bridge=False,
            journal=Journal(state.journal, "keeper"),
        )
        with installation:
            if installation.problem is not None:
                say(f"going on without a complete journal: {installation.problem}")
            with closing(Door(state.run / "reload.sock", state.controller_account)) as door:
                reload = Reload(
                    settings, lambda: effective_settings(options), rules_of, installation, state
                )
                heartbeat.ready()
                file = SettingsFile(options.config, state.secrets_group)
                saving = reload.saving(file, lambda settings: keep_ports(options, settings))
                keeper = Keeper(reload, saving, door, lambda: keep_rules(installation))
                keeper.keep(stop, hangups, heartbeat)
            heartbeat.stopping()
        for failure in installation.failures:
            say(failure)
    heartbeat.close()


def _in_force(options: argparse.Namespace, state: StateDirectory) -> Settings:
    """Return the settings that `prepare` has laid down, with the ports of the command line."""
    at_start = argparse.Namespace(**{**vars(options), "config": state.settings})
    settings, _ = effective_settings(at_start)
    if settings.network.lan is None or settings.network.wan is None:
        raise UsageError("keeper: --lan and --wan are needed: this box has no two network ports")
    return settings


def main() -> None:
    """Run in the foreground."""
    parser = argparse.ArgumentParser(prog="ratwall.supervisor.keeper")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--config", type=Path, help="the owner's settings, read at a reload")
    parser.add_argument("--lan")
    parser.add_argument("--wan")
    parser.add_argument("--mode", choices=("router", "bridge"))
    parser.set_defaults(web=None)
    run(parser.parse_args())


if __name__ == "__main__":
    try:
        main()
    except RatwallError as error:
        print(f"ratwall: keeper: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
