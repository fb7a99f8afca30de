"""What the units start, started one by one: the same command lines, users and rights, no systemd.

systemd itself is the matter of tests/hil. Here a small stand-in reads the unit files, starts what
they say in the lab's box and takes their notices, so that the processes are known to work without
`ratwall run` around them.
"""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from image.conftest import UNITS
from inline.conftest import wait_for
from inline.traffic import RAT_HOST, meets
from ratwall.controller.client import Client
from ratwall.errors import RatwallError
from ratwall.supervisor.confine import account, confined
from ratwall_lab.certificates import Identity, Notary, asyncrat_family
from ratwall_lab.endpoint import End
from ratwall_lab.topology import Lab

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: run as root")

Processes = dict[str, "subprocess.Popen[bytes]"]

PATIENCE = 40.0  # seconds for a process to be ready on a loaded machine
SETTINGS = "[kernel]\nworkers = 1\n[response]\nports = 0\nwatch = false\n"
CUT, AFTER_KILL, AFTER_RESTART, AT_END = 7400, 7401, 7402, 7403


class Manager:
    """Starts what a unit file says, with its paths moved into a folder of the test."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.state, self.settings, self.run = (folder / name for name in ("state", "etc", "run"))
        self.settings.mkdir()
        (self.settings / "settings.toml").write_text(SETTINGS)
        self._name = f"ratwall-test-{os.getpid()}"
        # Abstract names belong to a network namespace: to that of the processes.
        with lab.box.enter():
            self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind(f"\0{self._name}")
        self.notices.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def start(self, unit: str) -> "subprocess.Popen[bytes]":
        """Start a unit's process and wait until it says that it is ready."""
        process = self.lab.box.popen(
            self.command(unit), env={**os.environ, "NOTIFY_SOCKET": f"@{self._name}"}
        )
        text = (UNITS / unit).read_text()
        if "Type=oneshot" in text:
            assert process.wait(PATIENCE) == 0
        else:
            assert "Type=notify" in text
            self.wait_ready(process)
        return process

    def command(self, unit: str) -> list[str]:
        """The command line of a unit, confined to its user and capabilities."""
        text = (UNITS / unit).read_text()
        (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
        values = {"RATWALL_LAN": "lan", "RATWALL_WAN": "wan", "RATWALL_MODE": "bridge"}
        for key, value in values.items():
            line = line.replace(f"${{{key}}}", value)
        for there, here in (
            ("/usr/bin/python3", sys.executable),
            ("/var/lib/ratwall", str(self.state)),
            ("/etc/ratwall", str(self.settings)),
            ("/run/ratwall", str(self.run)),
            ("%i", "0"),
        ):
            line = line.replace(there, here)
        argv = shlex.split(line)
        # No such groups on a machine that only tries Ratwall.
        for option in ("--web-group", "--inspector-group"):
            if option in argv:
                place = argv.index(option) + 1
                argv[place] = str(account(argv[place]).gid)
        user = re.search(r"^User=(.*)$", text, re.MULTILINE)
        if user is None:
            return argv
        groups = re.search(r"^SupplementaryGroups=(.*)$", text, re.MULTILINE)
        rights = re.search(r"^AmbientCapabilities=(.*)$", text, re.MULTILINE)
        return confined(
            argv,
            account(user[1]),
            groups=[account(name).gid for name in (groups[1].split() if groups else [])],
            capabilities=[
                name.removeprefix("CAP_").lower() for name in (rights[1].split() if rights else [])
            ],
            state_dir=self.state,
        )

    def wait_ready(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            pid, notice = self.notice(deadline - time.monotonic())
            if pid == process.pid and b"READY=1" in notice:
                return

    def notice(self, patience: float) -> tuple[int, bytes]:
        """The next notice and who sent it."""
        self.notices.settimeout(max(patience, 0.001))
        data, ancillary, _, _ = self.notices.recvmsg(4096, socket.CMSG_SPACE(12))
        return int.from_bytes(ancillary[0][2][:4], sys.byteorder), data

    def drain(self) -> None:
        self.notices.setblocking(False)
        try:
            while True:
                self.notices.recv(4096)
        except BlockingIOError:
            return


@pytest.fixture(scope="module")
def rat() -> Identity:
    return Notary().rat(asyncrat_family("Acme Printing Ltd"))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab("bridge") as lab:
        yield lab


@contextmanager
def _started(
    lab: Lab, folder: Path
) -> Iterator[tuple[Manager, dict[str, "subprocess.Popen[bytes]"]]]:
    manager = Manager(lab, folder)
    processes: Processes = {}
    try:
        manager.start("ratwall-prepare.service")
        for unit in ("ratwall-inspector@", "ratwall-rules", "ratwall-controller"):
            processes[unit] = manager.start(f"{unit}.service")
        yield manager, processes
    finally:
        for process in reversed(processes.values()):
            process.terminate()
        for process in processes.values():
            process.wait(20)
        manager.notices.close()


def rules(lab: Lab) -> str:
    return lab.box.run(["nft", "list", "ruleset"]).stdout


def test_the_box_works_and_recovers_without_ratwall_run(
    lab: Lab, rat: Identity, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("units")
    folder.chmod(0o755)
    before = rules(lab)
    with _started(lab, folder) as (manager, processes):
        assert (manager.run / "workers").read_text() == "RATWALL_WORKERS=1\n"
        assert meets(lab, rat, CUT) is End.RESET
        controller = Client(manager.state / "run" / "control.sock")
        wait_for(
            lambda: controller.call("status")["state"] == "protecting",
            PATIENCE,
            lambda: str(controller.call("status")),
        )

        # The keeper is killed: rules and protection stay.
        keeper = processes["ratwall-rules"]
        keeper.send_signal(signal.SIGKILL)
        keeper.wait(10)
        assert "table inet ratwall " in rules(lab)
        assert meets(lab, rat, AFTER_KILL) is End.RESET
        manager.drain()
        processes["ratwall-rules"] = manager.start("ratwall-rules.service")
        assert meets(lab, rat, AFTER_RESTART) is End.RESET

        # Everybody feeds a watchdog.
        manager.drain()
        feeding: set[int] = set()
        wanted = {process.pid for process in processes.values()}
        deadline = time.monotonic() + PATIENCE
        while not feeding >= wanted:
            pid, notice = manager.notice(deadline - time.monotonic())
            if b"WATCHDOG=1" in notice:
                feeding.add(pid)

        # Changed settings are taken by the kernel; where there is no systemd, that is said.
        changed = f"{SETTINGS}[detection]\nenforce = false\n"
        (manager.settings / "settings.toml").write_text(changed)
        try:
            Client(manager.state / "run" / "reload.sock").call("reload")
        except RatwallError as error:
            assert "did not take them" in str(error)
        assert (manager.state / "run" / "settings.toml").read_text() == changed

        processes["ratwall-rules"].terminate()
        assert processes["ratwall-rules"].wait(20) == 0
        assert rules(lab) == before
        assert meets(lab, rat, AT_END) is End.STOPPED, "nothing is inline"
        history = manager.lab.box.run(
            [sys.executable, "-m", "ratwall", "incidents", "--json"]
            + ["--state-dir", str(manager.state)]
        )
        servers = {incident["server"] for incident in json.loads(history.stdout)}
        assert servers == {lab.internet.address(RAT_HOST)}
