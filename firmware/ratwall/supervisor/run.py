"""`ratwall run`: puts the box inline, keeps its processes alive, takes everything out again.

Order of coming up: the inspectors bind their queues, then the rules go in, then controller and
page.
SIGHUP has changed settings and packs taken in place; see `ratwall.supervisor.reload`.
Going down is the reverse, rules first. At every moment in between traffic flows: the queue rule
has `bypass`.
"""

import argparse
import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from ratwall.errors import ExitCode, NotPermittedError, RatwallError, UsageError
from ratwall.kernel.command import require
from ratwall.kernel.install import Installation
from ratwall.kernel.links import check_ports
from ratwall.kernel.undo import take_back
from ratwall.settings.schema import Settings
from ratwall.supervisor.children import Child
from ratwall.supervisor.guarding import Guarding
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
from ratwall.supervisor.state import StateDirectory, listening_socket, sole_instance
from ratwall.supervisor.testing import SelfTester

READY_SECONDS = 30.0  # for one process to come up: a Pi with a slow card and a cold cache
RELOAD_SECONDS = 10.0  # for running processes to read their settings again: milliseconds mostly
POLL_SECONDS = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ratwall run`."""
    parser.add_argument("--lan", metavar="IF", help="the interface towards the office")
    parser.add_argument("--wan", metavar="IF", help="the interface towards the internet")
    parser.add_argument("--mode", choices=("router", "bridge"), help="default: from the settings")
    parser.add_argument(
        "--create-bridge", action="store_true", help="bridge the two interfaces, undone at the end"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML)")
    parser.add_argument(
        "--monitor-only", action="store_true", help="cut nothing, say what would have been cut"
    )
    parser.add_argument("--web", metavar="HOST:PORT", help="where the admin page answers")


def run(options: argparse.Namespace) -> int:
    """Run the box until SIGTERM or SIGINT; 0 when everything it made is gone again."""
    settings, text = effective_settings(options)
    network = settings.network
    if network.lan is None or network.wan is None:
        raise UsageError(
            "run: --lan and --wan are needed, as arguments or as [network] lan and wan"
        )
    if options.create_bridge and network.mode != "bridge":
        raise UsageError("--create-bridge: goes with --mode bridge, found mode router")
    if os.geteuid() != 0:
        raise NotPermittedError("run: must be root to go inline; try: sudo ratwall run …")
    require("nft", "ip", "setpriv", "unshare", "mount", "openssl")
    check_ports(network.lan, network.wan)
    try:
        _supervise(settings, text, options)
    except ChildRefusedError as refused:
        return refused.exit_code
    return ExitCode.OK


def _supervise(settings: Settings, text: bytes, options: argparse.Namespace) -> None:
    """Bring everything up, watch over it, take everything down."""
    state = StateDirectory(options.state_dir)
    with (
        ExitStack() as stack,
        collected(signal.SIGTERM, signal.SIGINT) as stop,
        collected(signal.SIGHUP) as hangups,
    ):
        page = stack.enter_context(listening_socket(settings.web.address))
        refused = stack.enter_context(ExitStack())
        refused.callback(state.discard)
        state.prepare()
        stack.enter_context(sole_instance(state))
        state.write_settings(text)
        for line in take_back(state.journal) or ():
            say(line)
        guarding = Guarding(state.journal)
        children = Children(stop, guarding)
        stack.callback(children.end)
        children.start(guarding.guard())
        # One first: what keeps it from starting is then said once.
        first, *others = state.inspectors(
            settings, guarding.environment, monitor_only=options.monitor_only
        )
        children.start(first)
        children.start(*others)
        installation = Installation(
            rules_of(settings),
            bridge_mode=settings.network.mode == "bridge",
            create_bridge=options.create_bridge,
            journal=guarding.journal,
        )
        with installation:
            if installation.problem is not None:
                say(f"going on without a complete journal: {installation.problem}")
            children.start(state.controller(settings, monitor_only=options.monitor_only))
            children.start(state.web(settings, page))
            # Not waited for: what others are told of the box is no reason for it not to start.
            children.fit(state.exporter(), settings.export.wanted)
            children.heed(stack.enter_context(closing(state.selftester())))
            door = stack.enter_context(
                closing(Door(state.run / "reload.sock", state.controller_account))
            )
            reload = Reload(
                settings, lambda: effective_settings(options), rules_of, installation, state
            )
            refused.pop_all()
            if not stop:
                say_on_stdout("ratwall: ready")
            children.watch(
                reload,
                reload.saving(SettingsFile(options.config, state.secrets_group)),
                door,
                hangups,
                lambda: keep_rules(installation),
                lambda: children.fit(state.exporter(), reload.settings.export.wanted),
            )
        for failure in installation.failures:
            say(failure)


class ChildRefusedError(RatwallError):
    """A process could not start and has said why, in a line of its own."""


class Children:
    """The supervised processes, started in order and ended in reverse; the guard is the first."""

    def __init__(self, stop: list[int], guarding: Guarding) -> None:
        """`stop` gets an entry when a signal asks to end."""
        self._stop = stop
        self._guarding = guarding
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()

    def start(self, *children: Child) -> None:
        """Start processes and wait until each says that it is ready; RatwallError if one fails."""
        deadline = time.monotonic() + READY_SECONDS
        self._children += children
        for child in children:
            self._launch(child)
        while not self._stop and (waiting := [child for child in children if not child.ready]):
            if time.monotonic() > deadline:
                raise RatwallError(f"{waiting[0].name} was not ready within {READY_SECONDS:.0f} s")
            self._turn()
            for child in waiting:
                if child.restart_at is not None:
                    raise _refusal(child)

    def fit(self, child: Child, wanted: bool) -> None:
        """Start a process that the settings ask for, end one that they do not ask for any more."""
        there = next((one for one in self._children if one.name == child.name), None)
        if wanted and there is None:
            self._children.append(child)
            self._launch(child)
        elif there is not None and there.wanted and not wanted:
            there.wanted = False
            if there.pid is None:
                self._children.remove(there)
            else:
                there.terminate()

    def heed(self, tester: SelfTester) -> None:
        """Have a self-test run when somebody knocks for one."""
        self._selector.register(tester, selectors.EVENT_READ, tester)

    def watch(
        self,
        reload: Reload,
        saving: Saving,
        door: Door,
        hangups: list[int],
        look: Callable[[], None],
        reloaded: Callable[[], None],
    ) -> None:
        """Keep every process alive, reload when somebody asks, with `reloaded` after it, `look`
        after the rest now and then, until told to stop."""
        self._selector.register(door, selectors.EVENT_READ, door)
        look_at = 0.0
        while not self._stop:
            self._turn()
            if hangups or door.waiting:
                waiting = door.take()
                packs_only = door.packs_only and not hangups
                if door.answer_letters(saving):
                    say("settings changed on the admin page or by command")
                    if silent := self._hang_up():
                        say(f"{', '.join(silent)} did not take the settings in time")
                    reloaded()
                if waiting or hangups:
                    hangups.clear()
                    answer = self._reload(reload, packs_only=packs_only)
                    reloaded()
                    door.answer(waiting, answer)
            now = time.monotonic()
            if now >= look_at:
                look_at = now + LOOK_SECONDS
                look()
            for child in self._children:
                if child.restart_at is not None and child.restart_at <= now:
                    say(f"starting {child.name} again")
                    self._launch(child)

    def _reload(self, reload: Reload, *, packs_only: bool) -> RatwallError | None:
        what = "signature packs" if packs_only else "settings and signature packs"
        try:
            (reload.apply_packs if packs_only else reload.apply)(self._hang_up)
        except RatwallError as error:
            say(f"{'packs' if packs_only else 'settings'} not taken: {error}")
            return error
        say(f"{what} taken anew")
        return None

    def _hang_up(self) -> list[str]:
        """Have the processes that can read their settings again; the names of those that did not.

        One that is just starting may have read them before the change, so it is waited for first.
        """
        children = [child for child in self._children if child.rereads]
        self._wait(children)
        for child in children:
            child.hang_up()
        self._wait(children)
        return [child.name for child in children if child.pid is not None and not child.ready]

    def _wait(self, children: Sequence[Child]) -> None:
        """Wait until each is ready, or gone; but not for ever."""
        deadline = time.monotonic() + RELOAD_SECONDS
        while any(child.pid is not None and not child.ready for child in children):
            if self._stop or time.monotonic() > deadline:
                return
            self._turn()

    def end(self) -> None:
        """End all, the last started first."""
        for child in reversed(self._children):
            child.terminate()
        for child in reversed(self._children):
            if child is self._guard:
                self._guarding.leave()
            child.finish()

    @property
    def _guard(self) -> Child | None:
        return self._children[0] if self._children else None

    def _launch(self, child: Child) -> None:
        child.start(time.monotonic())
        self._selector.register(child, selectors.EVENT_READ, child)
        for ward in self._children if child is self._guard else (child,):
            if ward is not self._guard:
                self._guarding.hand_over(ward)

    def _turn(self) -> None:
        for key, _ in self._selector.select(POLL_SECONDS):
            if isinstance(key.data, Door | SelfTester):
                key.data.accept()
                continue
            child: Child = key.data
            lines = child.read()
            if lines is None:
                self._selector.unregister(child)
                started = child.ready
                how = child.reap(time.monotonic())
                if not child.wanted:
                    self._children.remove(child)
                    continue
                if started and not self._stop:
                    say(f"{child.name} {how}; traffic keeps flowing")
                continue
            for line in lines:
                if line != "ready":
                    say_on_stdout(line)


def _refusal(child: Child) -> RatwallError:
    """Return why a process did not start; silent where it has said so itself."""
    if child.exit_status in (ExitCode.USAGE, ExitCode.NOT_PERMITTED):
        refused = ChildRefusedError()
        refused.exit_code = ExitCode(child.exit_status)
        return refused
    return RatwallError(f"{child.name} could not start: it ended with {child.exit_status}")


def say_on_stdout(line: str) -> None:
    """Tell whoever waits for us; a reader that has left is no reason to end."""
    with suppress(BrokenPipeError):
        print(line, flush=True)
