"""Inline tests: a lab of network namespaces with the real box in the middle.

Every test here goes through the kernel's own queue: nothing enters below it. `Box` is `ratwall
run` as a user starts it; what it knows is asked with the command line, as a technician would.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from ratwall.supervisor.children import STEADY_SECONDS
from ratwall_lab.box import READY_LINE, Running
from ratwall_lab.certificates import Identity, Notary, asyncrat_family
from ratwall_lab.endpoint import PATIENCE_SECONDS
from ratwall_lab.topology import Lab, Mode


@pytest.fixture(autouse=True)
def _root_or_skip() -> None:
    if os.geteuid() != 0:
        pytest.skip("inline tests make network namespaces: run as root")


class Box(Running):
    """A running `ratwall run` in the box of a lab."""

    def __init__(self, lab: Lab, state: Path, *options: str) -> None:
        super().__init__(lab, state, ["--web", "127.0.0.1:8443", *options])

    def cli(self, command: str, *arguments: str, check: bool = True) -> str:
        """Run a `ratwall` command against this box; its output."""
        done = self.command(command, *arguments)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, command: str, *arguments: str) -> Any:
        """Run a `ratwall … --json` command; what it printed."""
        return json.loads(self.cli(command, *arguments, "--json"))

    def flows(self, server: str, port: int) -> list[Any]:
        """The flows of an endpoint that are in the ledger, the newest first."""
        found = self.ask("flows", server, "--limit", "50")
        return [one for one in found if one["server_port"] == port]

    def flow(self, server: str, port: int) -> Any:
        """The newest flow of an endpoint, None where the ledger has none."""
        return next(iter(self.flows(server, port)), None)

    def wait_flow(self, server: str, port: int, timeout: float = PATIENCE_SECONDS) -> Any:
        """Wait for a flow of an endpoint to be in the ledger."""
        return wait_for(
            lambda: self.flow(server, port), timeout, lambda: f"no flow {server}:{port}"
        )

    def wait_blocked(self, server: str, port: int, timeout: float = PATIENCE_SECONDS) -> Any:
        """Wait until the ledger says, and conntrack has proved, that a flow was blocked; its
        incident."""

        def incident() -> Any:
            flow = self.flow(server, port)
            if not flow or not flow["proven"]:
                return None
            found = (one for one in self.ask("incidents") if one["server"] == server)
            return next((one for one in found if one["state"] == "blocked"), None)

        return wait_for(
            incident,
            timeout,
            lambda: (
                f"{self.flow(server, port)} is not of a blocked incident:\n" + self.cli("incidents")
            ),
        )

    def wait_passed(self, kind: str, least: int, timeout: float = PATIENCE_SECONDS) -> int:
        """Wait until the status lists that so many passed by design (the controller asks the
        kernel every five seconds); how many it lists."""

        def listed() -> int | None:
            number: int = self.ask("status")["passed"][kind]
            return number if number >= least else None

        return int(wait_for(listed, timeout, lambda: self.cli("status")))

    def wait_steady(self) -> None:
        """Wait until the inspector has run for long enough: one that dies again and again is
        started later each time, which is for others to show."""
        process = psutil.Process(self.worker("ratwall.inspector"))
        wait_for(
            lambda: time.time() - process.create_time() > STEADY_SECONDS + 1,
            PATIENCE_SECONDS,
            lambda: f"the inspector does not live on: {process}",
        )

    def worker(self, module: str) -> int:
        """The process id of the one running a module, such as `ratwall.inspector`."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it has just ended
            if module.encode() in words and str(self.state).encode() in words:
                return int(entry.name)
        raise AssertionError(f"no process runs {module}")


def wait_for(what: Any, timeout: float, otherwise: Any) -> Any:
    """Ask until the answer is true; AssertionError with what `otherwise` says."""
    deadline = time.monotonic() + timeout
    while not (answer := what()):
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.1)
    return answer


def fingerprint(lab: Lab) -> str:
    """Everything of the box's network that Ratwall could have changed, counters left out."""
    commands = (
        ["nft", "--stateless", "list", "ruleset"],
        ["ip", "route", "show", "table", "all"],
        ["ip", "-6", "route", "show", "table", "all"],
        ["ip", "rule"],
        ["ip", "-oneline", "link"],
        ["sh", "-c", "grep . /proc/sys/net/netfilter/nf_conntrack_* | grep -v _count:"],
        ["sh", "-c", "grep . /sys/class/net/*/bridge/nf_call_*"],
    )
    return "\n".join(lab.box.run(argv, check=False).stdout for argv in commands)


# Many tests meet one server on many ports, from one device: what one of them does to both shall not
# be felt by the next.
ALONE = "[response]\nports = 0\nwatch = false\n"


@contextmanager
def running_box(
    lab: Lab, folder: Path, *options: str, workers: int = 1, settings: str = ""
) -> Iterator[Box]:
    """Start a box and wait until it is inline; stopped at the end, whatever happens.

    One inspector unless a test says otherwise: then it knows which one it has to do with.
    """
    if "--config" not in options:
        file = folder / "ratwall.toml"
        kept = "" if "[response]" in settings else ALONE
        file.write_text(f"[kernel]\nworkers = {workers}\n{settings}\n{kept}")
        options = ("--config", str(file), *options)
    try:
        with started_box(lab, folder / "state", *options) as box:
            yield box
    finally:
        shutil.rmtree(folder / "state", ignore_errors=True)


@contextmanager
def started_box(lab: Lab, state: Path, *options: str) -> Iterator[Box]:
    """The same on a state directory that is kept."""
    box = Box(lab, state, *options)
    try:
        box.wait_line(READY_LINE)
        yield box
    finally:
        if box.process.poll() is None:
            box.stop()


@pytest.fixture(scope="session")
def notary() -> Notary:
    return Notary()


@pytest.fixture(scope="session")
def rat(notary: Notary) -> Identity:
    """A certificate of the AsyncRAT routine under a name that nobody has on a list."""
    return notary.rat(asyncrat_family("Acme Printing Ltd"))


@pytest.fixture(scope="module", params=["router", "bridge"])
def mode(request: pytest.FixtureRequest) -> Mode:
    mode: Mode = request.param
    return mode


@pytest.fixture(scope="module")
def lab(mode: Mode) -> Iterator[Lab]:
    with Lab(mode) as lab:
        yield lab


@pytest.fixture(scope="module")
def box(
    request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Box]:
    """One box for the tests of a module; each test takes ports of its own.

    A module that defines WORKERS has as many inspectors, one that defines SETTINGS has those.
    """
    workers = getattr(request.module, "WORKERS", 1)
    settings = getattr(request.module, "SETTINGS", "")
    folder = tmp_path_factory.mktemp("box")
    with running_box(lab, folder, workers=workers, settings=settings) as box:
        yield box
