"""What `ratwall run` and the keeper of the rules have in common: settings, rules, signals, words.

Never starts a process. `ratwall run` keeps the processes alive as well; in the image a service
manager does that, and `ratwall.supervisor.keeper` does the rest.
"""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network

from ratwall.errors import UsageError
from ratwall.kernel.command import ToolError
from ratwall.kernel.install import Installation
from ratwall.kernel.marks import Marks
from ratwall.kernel.ruleset import RulesetConfig
from ratwall.settings.load import read_settings
from ratwall.settings.rules import is_listen
from ratwall.settings.schema import Settings

LOOK_SECONDS = 3.0  # how long protection may be missing before anybody notices


def rules_of(settings: Settings) -> RulesetConfig:
    """Return what the kernel's rules take from the settings."""
    network, kernel = settings.network, settings.kernel
    return RulesetConfig(
        str(network.lan),
        str(network.wan),
        marks=Marks(kernel.mark_mask),
        queue=kernel.queue,
        workers=kernel.workers,
        log_group=kernel.log_group,
        connections=kernel.connections,
        refuse_quic=settings.detection.refuse_udp_443,
        block_seconds=settings.block.seconds,
        never_block=[ip_network(address) for address in settings.never_block.addresses],
    )


def effective_settings(options: argparse.Namespace) -> tuple[Settings, bytes]:
    """Return the file's settings with the command line's on top, and the file's bytes."""
    settings, text = Settings(), b""
    if options.config is not None:
        settings, text = read_settings(options.config)
    given = {key: getattr(options, key) for key in ("lan", "wan", "mode")}
    network = replace(
        settings.network, **{key: value for key, value in given.items() if value is not None}
    )
    web = settings.web
    if options.web is not None:
        if not is_listen(options.web):
            raise UsageError(f"--web: expected HOST:PORT with an address, found {options.web!r}")
        web = replace(web, listen=options.web)
    return replace(settings, network=network, web=web), text


def keep_rules(installation: Installation) -> None:
    """Put the rules in again when somebody has flushed them; says so, and says if it failed."""
    try:
        if not installation.is_intact():
            say("the rules were taken out of the kernel: nothing was inspected since")
            installation.repair()
            say("the rules are in place again")
    except ToolError as error:
        say(f"the rules cannot be put in again: {error}")


@contextmanager
def collected(*signals: signal.Signals) -> Iterator[list[int]]:
    """Collect these signals in a list instead of dying of them."""
    received: list[int] = []
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
