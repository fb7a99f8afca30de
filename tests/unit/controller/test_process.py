"""The real process with the real kernel: in a network namespace, with Ratwall's own table in it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ratwall.controller.client import Client
from ratwall.kernel.ruleset import RulesetConfig, ruleset
from unit.controller.box import SERVER, WAIT_SECONDS, FakeInspector, eventually, report

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network namespace"),
]


@dataclass
class Namespace:
    """A network namespace with two ports and Ratwall's rules between them."""

    name: str
    state: Path

    def command(self, *argv: str, stdin: str | None = None) -> str:
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *argv],
            input=stdin, capture_output=True, text=True, check=True, timeout=WAIT_SECONDS * 3,
        ).stdout  # fmt: skip

    def install(self) -> None:
        # The queue statement is left out: this is about sets, and not every kernel has it.
        rules = ruleset(RulesetConfig("lan0", "wan0", nft_queue=False))
        self.command("nft", "-f", "-", stdin=rules)

    def blocked(self) -> str:
        return self.command("nft", "list", "set", "inet", "ratwall", "blocked4")

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [
                "ip", "netns", "exec", self.name, sys.executable, "-m", "ratwall.controller",
                "--state-dir", str(self.state), "--lan", "lan0", "--wan", "wan0",
                "--mode", "router", *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    made = Namespace(f"ratwall-test-{os.getpid()}", tmp_path)
    subprocess.run(["ip", "netns", "add", made.name], check=True)
    for port in ("lan0", "wan0"):
        made.command("ip", "link", "add", port, "type", "veth", "peer", f"{port}-peer")
    made.install()
    yield made
    subprocess.run(["ip", "netns", "del", made.name], check=True)


def until_ready(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()[1]


def ended(process: "subprocess.Popen[str]", number: signal.Signals) -> int:
    process.send_signal(number)
    process.communicate(timeout=WAIT_SECONDS)
    return process.returncode


def test_blocks_are_in_the_kernel_outlive_a_kill_and_come_back_after_a_reboot(
    namespace: Namespace,
) -> None:
    process = namespace.start()
    until_ready(process)
    inspector = FakeInspector(namespace.state)
    inspector.send(report())
    eventually(lambda: f"{SERVER} . 6606" in namespace.blocked())
    inspector.close()
    client = Client(namespace.state / "run" / "control.sock")
    client.call("block", server=SERVER, server_port=7707, author="root", reason="mine")
    ended(process, signal.SIGKILL)
    assert f"{SERVER} . 7707" in namespace.blocked()

    namespace.install()  # as after a reboot: a fresh table, nothing in it
    assert SERVER not in namespace.blocked()
    process = namespace.start()
    until_ready(process)
    blocked = namespace.blocked()
    assert f"{SERVER} . 6606" in blocked
    assert f"{SERVER} . 7707" in blocked
    assert client.call("status")["blocks"] == 2

    assert ended(process, signal.SIGTERM) == 0
    assert f"{SERVER} . 6606" in namespace.blocked()  # the rules are not the controller's
    assert not list((namespace.state / "run").iterdir())


def test_a_second_controller_is_refused_in_one_line_and_the_first_goes_on(
    namespace: Namespace,
) -> None:
    first = namespace.start()
    until_ready(first)
    second = namespace.start()
    _, complaint = second.communicate(timeout=WAIT_SECONDS)
    assert second.returncode == 2
    assert complaint.count("\n") == 1
    assert "another controller answers there" in complaint
    assert Client(namespace.state / "run" / "control.sock").call("status")["version"]
    assert ended(first, signal.SIGTERM) == 0


def test_bad_settings_are_one_line_and_nothing_is_made(
    namespace: Namespace, tmp_path: Path
) -> None:
    settings = tmp_path / "bad.toml"
    settings.write_text('[block]\nseconds = "soon"\n')
    process = namespace.start("--config", str(settings))
    _, complaint = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 2
    assert complaint == (
        f"ratwall: controller: {settings}: [block] seconds: "
        'expected an integer from 60 to 2592000, found "soon"\n'
    )
    assert list(tmp_path.iterdir()) == [settings]


def test_without_a_table_it_runs_and_says_what_is_wrong(namespace: Namespace) -> None:
    namespace.command("nft", "delete", "table", "inet", "ratwall")
    process = namespace.start()
    until_ready(process)
    client = Client(namespace.state / "run" / "control.sock")
    eventually(lambda: client.call("status")["kernel_problem"])
    assert "nft" in client.call("status")["kernel_problem"]
    assert ended(process, signal.SIGTERM) == 0
