"""The self-test: a handshake that must be cut, sent through the box's own forward hook.

Two hosts that exist only for the test are attached to the box by cables with the names that the
rules count as LAN and WAN. It works in bridge mode too: the test hosts are routed, not bridged.

    client 192.0.2.2 ── rwtest-lan [ box ] rwtest-wan ── server 192.0.2.6

It never touches an interface, route or setting of the office: forwarding is switched on for the two
cables only, and all of it is gone afterwards. 192.0.2.0/24 is for documentation (RFC 5737), no
real network has it; by it the controller knows a self-test from an attack.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ratwall.controller.selftest import CLIENT, SERVER, SERVER_PORT
from ratwall.errors import RatwallError
from ratwall.kernel.command import ToolError, require, run
from ratwall.kernel.ruleset import SELFTEST_LAN, SELFTEST_WAN
from ratwall.kernel.sets import Sets
from ratwall.selftest.exchange import Outcome, exchange
from ratwall.selftest.flight import canned_handshake
from ratwall.selftest.namespace import Namespace

BOX_LAN, BOX_WAN = "192.0.2.1", "192.0.2.5"
PREFIX_LENGTH = 30  # two hosts a cable
INSIDE = "eth0"  # the far end of each cable
# Out of the block for documentation (RFC 9542 section 2.1.4), and constant: to the controller the
# test's client is the same device every time.
CLIENT_HARDWARE, SERVER_HARDWARE = "00:00:5e:00:53:02", "00:00:5e:00:53:06"
FORWARDING = "/proc/sys/net/ipv4/conf/{port}/forwarding"


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """What the self-test found."""

    ok: bool
    cause: str  # the reason in one word, see `ratwall.selftest.exchange.Outcome`
    reason: str
    duration_ms: int

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def run_selftest() -> SelfTestResult:
    """Send the canned handshake through the box; RatwallError when it cannot even be tried."""
    require("ip", "nft")
    started = time.monotonic()
    outcome = _attempt()
    took = round((time.monotonic() - started) * 1000)
    return SelfTestResult(outcome.ok, outcome.cause, outcome.reason, took)


def _attempt() -> Outcome:
    try:
        _forget_block()
    except ToolError:
        return Outcome(
            False, "no_rules", "Ratwall's rules are not in the kernel: start it with `ratwall run`"
        )
    with ExitStack() as stack:
        client, server = Namespace(), Namespace()
        stack.callback(client.close)
        stack.callback(server.close)
        stack.enter_context(_cable(SELFTEST_LAN, BOX_LAN, client, CLIENT, CLIENT_HARDWARE))
        stack.enter_context(_cable(SELFTEST_WAN, BOX_WAN, server, SERVER, SERVER_HARDWARE))
        stack.callback(_forget_block)
        return exchange(canned_handshake(), client.entered, server.entered, (SERVER, SERVER_PORT))


@contextmanager
def _cable(port: str, box: str, namespace: Namespace, host: str, hardware: str) -> Iterator[None]:
    """Attach a namespace to the box, the box being its gateway."""
    try:
        inside = (INSIDE, "address", hardware, "netns", namespace.path)
        run("ip", "link", "add", port, "type", "veth", "peer", "name", *inside)
    except ToolError as error:
        if "exists" in str(error):
            raise RatwallError(
                f"selftest: interface {port} exists: another self-test is running"
            ) from error
        raise
    try:
        run("ip", "address", "add", f"{box}/{PREFIX_LENGTH}", "dev", port)
        run("ip", "link", "set", port, "up")
        Path(FORWARDING.format(port=port)).write_text("1")
        with namespace.entered():
            run("ip", "address", "add", f"{host}/{PREFIX_LENGTH}", "dev", INSIDE)
            run("ip", "link", "set", INSIDE, "up")
            run("ip", "route", "add", "default", "via", box)
        yield
    finally:
        run("ip", "link", "delete", port)


def _forget_block() -> None:
    """Take the block away that a self-test leaves in the kernel, or the next one is refused."""
    Sets().unblock(SERVER, SERVER_PORT)
