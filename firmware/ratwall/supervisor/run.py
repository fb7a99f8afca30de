"""`ratwall run`: puts the box inline, keeps its processes alive, takes everything out again.

Order of coming up: the inspector binds the queue, then the rules go in, then controller and page.
Going down is the reverse, rules first. At every moment in between traffic flows: the queue rule
has `bypass`.
"""

import argparse
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from ratwall.errors import ExitCode, NotPermittedError, RatwallError, UsageError
from ratwall.kernel.command import ToolError, require
from ratwall.kernel.install import Installation
from ratwall.kernel.links import check_ports
from ratwall.kernel.marks import Marks
from ratwall.kernel.ruleset import RulesetConfig
from ratwall.settings.load import load_settings
from ratwall.settings.rules import is_listen
from ratwall.settings.schema import Settings
from ratwall.supervisor.children import Child
from ratwall.supervisor.state import StateDirectory, listening_socket, sole_instance

READY_SECONDS = 30.0  # for one process to come up: a Pi with a slow card and a cold cache
POLL_SECONDS = 0.5
LOOK_SECONDS = 3.0  # how long protection may be missing before anybody notices


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
    settings = _effective_settings(options)
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
    rules = RulesetConfig(
        network.lan,
        network.wan,
        marks=Marks(settings.kernel.mark_mask),
        queue=settings.kernel.queue,
        block_seconds=settings.block.seconds,
        never_block=[ip_network(address) for address in settings.never_block.addresses],
    )
    try:
        _supervise(rules, settings, options)
    except ChildRefusedError as refused:
        return refused.exit_code
    return ExitCode.OK


def _supervise(rules: RulesetConfig, settings: Settings, options: argparse.Namespace) -> None:
    """Bring everything up, watch over it, take everything down."""
    bridge_mode = settings.network.mode == "bridge"
    state = StateDirectory(options.state_dir)
    with ExitStack() as stack, _stop_signals() as stop:
        page = stack.enter_context(listening_socket(settings.web.address))
        refused = stack.enter_context(ExitStack())
        refused.callback(state.discard)
        state.prepare()
        stack.enter_context(sole_instance(state))
        state.write_settings(options.config)
        children = Children(stop)
        stack.callback(children.end)
        children.start(state.inspector(monitor_only=options.monitor_only))
        installation = Installation(
            rules, bridge_mode=bridge_mode, create_bridge=options.create_bridge
        )
        with installation:
            children.start(state.controller(settings, monitor_only=options.monitor_only))
            children.start(state.web(settings, page))
            refused.pop_all()
            if not stop:
                say_on_stdout("ratwall: ready")
            children.watch(lambda: _keep_rules(installation))
        for failure in installation.failures:
            say(failure)


def _effective_settings(options: argparse.Namespace) -> Settings:
    """Return the file's settings with the command line's on top."""
    settings = load_settings(options.config)
    given = {key: getattr(options, key) for key in ("lan", "wan", "mode")}
    network = replace(
        settings.network, **{key: value for key, value in given.items() if value is not None}
    )
    web = settings.web
    if options.web is not None:
        if not is_listen(options.web):
            raise UsageError(f"--web: expected HOST:PORT with an address, found {options.web!r}")
        web = replace(web, listen=options.web)
    return replace(settings, network=network, web=web)


class ChildRefusedError(RatwallError):
    """A process could not start and has said why, in a line of its own."""


class Children:
    """The supervised processes, started in order and ended in reverse."""

    def __init__(self, stop: list[int]) -> None:
        """`stop` gets an entry when a signal asks to end."""
        self._stop = stop
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()

    def start(self, child: Child) -> None:
        """Start a process and wait until it says that it is ready; RatwallError if it does not."""
        deadline = time.monotonic() + READY_SECONDS
        self._children.append(child)
        self._launch(child)
        while not child.ready and not self._stop:
            if time.monotonic() > deadline:
                raise RatwallError(f"{child.name} was not ready within {READY_SECONDS:.0f} s")
            self._turn()
            if child.restart_at is not None:
                raise _refusal(child)

    def watch(self, look: Callable[[], None]) -> None:
        """Keep every process alive until asked to stop, and `look` after the rest now and then."""
        look_at = 0.0
        while not self._stop:
            self._turn()
            now = time.monotonic()
            if now >= look_at:
                look_at = now + LOOK_SECONDS
                look()
            for child in self._children:
                if child.restart_at is not None and child.restart_at <= now:
                    say(f"starting {child.name} again")
                    self._launch(child)

    def end(self) -> None:
        """End all, the last started first."""
        for child in reversed(self._children):
            child.terminate()
        for child in reversed(self._children):
            child.finish()

    def _launch(self, child: Child) -> None:
        child.start(time.monotonic())
        self._selector.register(child, selectors.EVENT_READ, child)

    def _turn(self) -> None:
        for key, _ in self._selector.select(POLL_SECONDS):
            child: Child = key.data
            lines = child.read()
            if lines is None:
                self._selector.unregister(child)
                started = child.ready
                how = child.reap(time.monotonic())
                if started and not self._stop:
                    say(f"{child.name} {how}; traffic keeps flowing")
                continue
            for line in lines:
                if line != "ready":
                    say_on_stdout(line)


def _keep_rules(installation: Installation) -> None:
    """Put the rules in again when somebody has flushed them; says so, and says if it failed."""
    try:
        if not installation.is_intact():
            say("the rules were taken out of the kernel: nothing was inspected since")
            installation.repair()
            say("the rules are in place again")
    except ToolError as error:
        say(f"the rules cannot be put in again: {error}")


def _refusal(child: Child) -> RatwallError:
    """Return why a process did not start; silent where it has said so itself."""
    if child.exit_status in (ExitCode.USAGE, ExitCode.NOT_PERMITTED):
        refused = ChildRefusedError()
        refused.exit_code = ExitCode(child.exit_status)
        return refused
    return RatwallError(f"{child.name} could not start: it ended with {child.exit_status}")


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collect SIGTERM and SIGINT in a list instead of dying of them, and wake the selector."""
    received: list[int] = []
    signals = (signal.SIGTERM, signal.SIGINT)
    before = [
        signal.signal(number, lambda number, _: received.append(number)) for number in signals
    ]
    try:
        yield received
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def say(line: str) -> None:
    """Tell the person at the console."""
    print(f"ratwall: {line}", file=sys.stderr, flush=True)


def say_on_stdout(line: str) -> None:
    """Tell whoever waits for us; a reader that has left is no reason to end."""
    with suppress(BrokenPipeError):
        print(line, flush=True)
