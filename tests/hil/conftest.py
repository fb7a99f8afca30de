"""The image as hardware: one boot for all, then each test takes up the box where that boot ended.

`make hil IMAGE=…` runs these; `make test` does not. A test gets a box of its own: a copy-on-write
disk and the saved state of processors and memory, a few seconds instead of a boot.
"""

import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from hil.card import make_card
from hil.figures import Figures
from hil.stages import PROTECTS, Report, Stages
from ratwall_lab.certificates import Identity, Notary, asyncrat_family
from ratwall_lab.namespaces import LabError
from ratwall_lab.qemu.machine import MEMORY_MB, Machine, Saved
from ratwall_lab.qemu.office import Office
from web.conftest import Site, Visitor

IMAGE = Path(os.environ.get("IMAGE") or "build/lab-image/disk.img")
PASSWORD = "a fine day for a swim"
# From power-on to "inline and protecting": a minute on a quiet machine with two cores, five on one
# with ten others at work.
PROTECTING_SECONDS = 900.0
POLL_SECONDS = 1.0
REPORT = "boot.json"
FIGURES = pytest.StashKey[Figures]()
PowerOn = Callable[..., "Box"]


class Box:
    """An emulated box in its office."""

    def __init__(self, machine: Machine, office: Office) -> None:
        self.machine, self.office, self.lab = machine, office, office.lab

    def ask(self, *command: str) -> Any:
        """What `ratwall COMMAND --json` prints on the box."""
        return json.loads(self.machine.succeed(f"ratwall {' '.join(command)} --json"))

    def wait_for(self, what: str, condition: Callable[[], Any], timeout: float = 300.0) -> Any:
        """Wait until a condition holds; its value."""
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise self.machine.failure(f"{what}: not within {timeout:.0f} s")
            time.sleep(POLL_SECONDS)
        return value

    def state(self) -> str | None:
        """What the box says of itself; None while it cannot say."""
        answer = self.machine.execute("ratwall status --json")
        return json.loads(answer.output)["state"] if answer.status == 0 else None

    def wait_protecting(self, timeout: float = PROTECTING_SECONDS) -> None:
        """Wait until the box says that it protects."""
        self.machine.wait_for_shell()
        try:
            self.wait_for("protecting", lambda: self.state() == "protecting", timeout)
        except LabError as error:
            seen = self.machine.execute("systemctl --failed; ratwall status; journalctl -b -p 4")
            raise LabError(f"{error}\n--- on the box ---\n{seen.output[-6000:]}") from error

    def address(self) -> str:
        """The box's own IPv4 address in the office, once DHCP has given it one.

        Asked of the box: the leases are of the boxes before it, too.
        """
        asked = "ip -json -4 address show dev br0 scope global"

        def given() -> str | None:
            links = json.loads(self.machine.succeed(asked))
            found = [one["local"] for link in links for one in link.get("addr_info", ())]
            return found[0] if found else None

        return str(self.wait_for("an address by DHCP", given))

    def visitor(self) -> Visitor:
        """Somebody in the office who opens the admin page; enter `lab.anna` to use it."""
        code = self.machine.execute("cat /var/lib/ratwall/web/setup-code").output.strip()
        return Visitor(_site(f"https://{self.address()}", code))


def _site(url: str, code: str) -> Site:
    # The page's process is on the box; this one stands for none.
    nobody = subprocess.Popen([sys.executable, "-c", ""], text=True)
    nobody.wait()
    return Site(url, 443, "", code, nobody, Path())


@dataclass(frozen=True, slots=True)
class Booted:
    """The box after its first boot, held still, and how it got there."""

    saved: Saved
    report: Report


def _kept() -> Booted | None:
    """The newest box held still of an earlier run, for whoever writes tests; None without one."""
    for report in sorted(Path("build/hil").resolve().glob(f"*/saved/{REPORT}"), reverse=True):
        if report.stat().st_mtime > IMAGE.stat().st_mtime:
            disk, state = report.with_name("disk.qcow2"), report.with_name("state")
            return Booted(Saved(disk, state), Report(**json.loads(report.read_text())))
    return None


@pytest.fixture(scope="session")
def folder() -> Path:
    """Where disks, consoles and sockets go; a socket's path may have 107 characters."""
    folder = Path("build/hil").resolve() / time.strftime("%H%M%S")
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def office(folder: Path) -> Iterator[Office]:
    with Office(folder / "office") as office:
        yield office


@pytest.fixture(scope="session")
def notary() -> Notary:
    return Notary()


@pytest.fixture(scope="session")
def rat(notary: Notary) -> Identity:
    return notary.rat(asyncrat_family())


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> Figures:
    """What is measured on the way: printed at the end, and kept."""
    return request.config.stash.setdefault(FIGURES, Figures(IMAGE))


@pytest.fixture(scope="session")
def booted(folder: Path, office: Office, figures: Figures) -> Booted:
    if os.environ.get("HIL_REUSE") and (kept := _kept()):
        figures.boot(kept.report)
        return kept
    with Machine(make_card(IMAGE, folder), folder / "first", office.lab.box) as machine:
        box = Box(machine, office)
        with Stages(machine, office) as stages:
            box.wait_protecting()
            stages.reach(PROTECTS)
        stages.ask()
        figures.boot(stages.report)
        saved = machine.save(folder / "saved")
        (folder / "saved" / REPORT).write_text(stages.dump())
        return Booted(saved, stages.report)


def _name(request: pytest.FixtureRequest) -> str:
    """A name for a test's folder: short, since sockets lie in it, and no other test's.

    Tests of many cases begin alike; two that shared a disk would find each other's traces on it.
    """
    number = zlib.crc32(request.node.nodeid.encode())
    return f"{request.node.name.removeprefix('test_')[:18]}-{number:08x}"


@pytest.fixture
def box(
    booted: Booted, folder: Path, office: Office, request: pytest.FixtureRequest
) -> Iterator[Box]:
    """A box of this test's own that protects."""
    place = folder / _name(request)
    with Machine(IMAGE, place, office.lab.box, saved=booted.saved) as machine:
        box = Box(machine, office)
        box.wait_protecting()  # it was held still: who was waited for may have been missed
        yield box


@pytest.fixture
def power_on(
    booted: Booted, folder: Path, office: Office, request: pytest.FixtureRequest
) -> Iterator[PowerOn]:
    """Switch on a box of this test's own, whose disk is as it was after the first boot.

    `memory_mb` and `units` as for Machine; `image` boots another disk; a `name` used before has the
    box of that name, off by now, switched on again.
    """
    with ExitStack() as machines:

        def power_on(
            name: str = "box",
            *,
            image: Path | None = None,
            memory_mb: int = MEMORY_MB,
            units: Mapping[str, str] = MappingProxyType({}),
        ) -> Box:
            where = folder / f"{_name(request)}-{name}"
            machine = Machine(
                image or booted.saved.disk, where, office.lab.box, memory_mb=memory_mb, units=units
            )
            return Box(machines.enter_context(machine), office)

        yield power_on


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    figures = config.stash.get(FIGURES, None)
    if figures is not None:
        terminalreporter.section(f"what was measured (kept in {figures.keep()})")
        terminalreporter.line(figures.text())
