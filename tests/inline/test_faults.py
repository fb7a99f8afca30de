"""Whatever happens to Ratwall, the office goes on; whatever is the machine's own is left alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inline.conftest import Box, running_box, wait_for
from ratwall_lab.bulk import BulkClient, bulk_handler
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import IdleClient
from ratwall_lab.contexts import (
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.endpoint import End
from ratwall_lab.servers import Server, idle_handler
from ratwall_lab.shapes import rat_shape
from ratwall_lab.topology import Lab, Mode

BULK_BYTES, BULK_RATE = 40_000_000, 10_000_000
BACK_SECONDS = 5.0  # from the end of the cause to the next RAT cut


@contextmanager
def transfer(lab: Lab, notary: Notary, port: int) -> Iterator[BulkClient]:
    """A download of four seconds that must come whole."""
    address = lab.internet.address(2)
    context = server_context(notary.web_site("shop.example"))
    with (
        Server(lab.internet, address, port, context, bulk_handler(BULK_BYTES, BULK_RATE)),
        BulkClient(lab.anna, address, port, client_context()) as client,
    ):
        client.wait_received(1_000_000)
        yield client
        assert client.result().whole(BULK_BYTES)


def meets(lab: Lab, rat: Identity, port: int) -> End:
    """Let a look-alike connect once; how it ended (a second without an end counts as passed)."""
    address = lab.internet.address(3)
    server_side, shape = rat_server_context(rat, "1.0"), rat_shape("1.0")
    with (
        Server(lab.internet, address, port, server_side, idle_handler(shape)),
        IdleClient(
            lab.anna, [address], [port], rat_client_context("1.0"), shape, attempts=1
        ) as client,
    ):
        (attempt,) = client.wait_attempts(1)
        attempt.over.wait(1.0)
    end = attempt.end
    assert end is not None
    return end


def test_a_killed_inspector_takes_nothing_down_and_is_soon_back(
    lab: Lab, box: Box, notary: Notary, rat: Identity
) -> None:
    before = box.worker("ratwall.inspector")
    with transfer(lab, notary, 6000):
        os.kill(before, signal.SIGKILL)
        killed = time.monotonic()
        assert meets(lab, rat, 6001) in (End.STOPPED, End.RESET), "passed, or already inspected"
        port = 6002
        while meets(lab, rat, port) is not End.RESET:
            assert time.monotonic() - killed < BACK_SECONDS
            port += 1
    box.wait_line("the inspector was ended by SIGKILL")
    assert box.worker("ratwall.inspector") != before


def test_a_killed_controller_leaves_blocks_and_inspection(
    lab: Lab, box: Box, notary: Notary, rat: Identity
) -> None:
    assert meets(lab, rat, 6100) is End.RESET
    box.wait_blocked(lab.internet.address(3), 6100)
    with transfer(lab, notary, 6101):
        os.kill(box.worker("ratwall.controller"), signal.SIGKILL)
        assert meets(lab, rat, 6100) is End.REFUSED
        assert meets(lab, rat, 6102) is End.RESET
    wait_for(
        lambda: box.cli("status", check=False),
        10.0,
        lambda: "the controller is not back:\n" + "\n".join(box.output),
    )
    box.wait_blocked(lab.internet.address(3), 6102, timeout=10.0)


def test_what_passes_while_nobody_inspects_is_counted_and_said(
    lab: Lab, box: Box, notary: Notary, rat: Identity
) -> None:
    before = box.ask("status")["uninspected"]["packets"]
    with transfer(lab, notary, 6200):
        os.kill(box.worker("ratwall.inspector"), signal.SIGKILL)
        meets(lab, rat, 6201)
    after = wait_for(
        lambda: (
            status if (status := box.ask("status"))["uninspected"]["packets"] > before else None
        ),
        5.0,
        lambda: f"not counted: {box.ask('status')}",
    )
    assert after["uninspected"]["last"] is not None


@pytest.fixture
def shared_machine(mode: Mode) -> Iterator[Lab]:
    """A lab whose box has rules, tables, marks and bridges of somebody else too."""
    setup = (
        [
            "nft",
            "add table inet other { chain forward { type filter hook forward priority 5; "
            "meta mark set meta mark | 0x00000010; } ; }",
        ],
        ["iptables", "-t", "mangle", "-A", "FORWARD", "-p", "udp", "-j", "MARK", "--or-mark", "2"],
        ["ip", "link", "add", "br-other", "type", "bridge"],
    )
    with Lab(mode) as lab:
        for argv in setup:
            lab.box.run(argv)
        yield lab


def fingerprint(lab: Lab) -> str:
    """Everything of the box's network that Ratwall could have changed, counters left out."""
    commands = (
        ["nft", "--stateless", "list", "ruleset"],
        ["ip", "route"],
        ["ip", "-6", "route", "show", "table", "all"],
        ["ip", "-details", "-brief", "link"],
        ["sh", "-c", "cd /proc/sys/net/netfilter; cat *_acct *_events *_timestamp"],
        ["sh", "-c", "grep . /sys/class/net/*/bridge/nf_call_*"],
    )
    return "\n".join(lab.box.run(argv, check=False).stdout for argv in commands)


def test_coming_and_going_leaves_connections_alive_and_nothing_behind(
    shared_machine: Lab, notary: Notary, rat: Identity, tmp_path: Path
) -> None:
    lab = shared_machine
    before = fingerprint(lab)
    with transfer(lab, notary, 6300):
        with running_box(lab, tmp_path) as box:
            assert meets(lab, rat, 6301) is End.RESET
            assert box.stop() == 0
        assert fingerprint(lab) == before
        assert meets(lab, rat, 6302) is End.STOPPED, "without Ratwall it passes"


def test_a_second_instance_is_refused_and_harms_nothing(
    lab: Lab, box: Box, rat: Identity, tmp_path: Path
) -> None:
    for state, complaint in ((box.state, "another ratwall"), (tmp_path / "s", "packet queue 0")):
        second = Box(lab, state, "--web", "127.0.0.1:8444")
        assert second.process.wait(20) == 2
        assert any(complaint in line for line in second.output), second.output
        assert not any("Traceback" in line for line in second.output)
    assert meets(lab, rat, 6400) is End.RESET


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--lan", "nosuch", "--wan", "wan"], "--lan: no interface 'nosuch' here; there are:"),
        (["--lan", "lan", "--wan", "lan"], "two different interfaces are needed"),
        (["--lan", "lan", "--wan", "wan", "--web", "nonsense"], "--web: expected HOST:PORT"),
        (["--lan", "lan", "--wan", "wan", "--web", "127.0.0.1:6500"], "cannot listen there"),
        (
            ["--lan", "lan", "--wan", "wan", "--create-bridge", "--mode", "router"],
            "--create-bridge",
        ),
    ],
)
def test_bad_arguments_are_one_line_and_change_nothing(
    lab: Lab, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    before = fingerprint(lab)
    holder = lab.box.popen(["python3", "-c", HOLD_PORT], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    done = lab.box.run(
        [sys.executable, "-m", "ratwall", "run", "--state-dir", str(tmp_path / "state")]
        + arguments,
        check=False,
    )
    holder.kill()
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert complaint in line
    assert fingerprint(lab) == before


HOLD_PORT = """
import socket, time
listener = socket.create_server(("127.0.0.1", 6500))
print("ready", flush=True)
time.sleep(60)
"""
