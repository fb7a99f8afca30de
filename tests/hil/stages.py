"""How a box gets from power-on to protecting: when each stage was reached, what passed meanwhile.

A thread looks at the console and pings through the box, from the office to the internet's router;
what it writes down is read when the box protects.
"""

import json
import threading
import time
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Self

from ratwall_lab.qemu.machine import Machine
from ratwall_lab.qemu.office import Office
from ratwall_lab.topology import GATEWAY, OFFICE_IPV4

# A stage, and what the console shows when it is reached.
MARKS = {
    "boot loader": r"ratwall: slot [AB], try \d",
    "kernel": r"Linux version",
    "root file system": r"Welcome to ",
    "network": r"Started .*(systemd-networkd|Network Configuration)",
}
# The most memory that each unit ever had, in bytes.
PEAKS = "systemctl show --property=Id,MemoryPeak 'ratwall-*.service' --state=active"
# What the box is asked once it protects.
QUESTIONS = {
    "failed units": "systemctl --failed --plain --no-legend",
    "state": "systemctl is-system-running || true",
    "ordering cycles": "journalctl -b --no-pager | grep -i 'ordering cycle' || true",
    "taint": "cat /proc/sys/kernel/tainted",
    "writable root": "touch /usr/written 2>&1 && echo yes || true",
    "memory": "grep -E '^Mem(Total|Available)' /proc/meminfo",
    "root file system": 'python3 -c \'import os; s = os.statvfs("/");'
    " print(s.f_frsize * s.f_blocks)'",
    "peaks": PEAKS,
    "libraries": "python3 -c 'import importlib.metadata as m;"
    ' print(*sorted({d.name + " " + d.version for d in m.distributions()}), sep="\\n")\'',
    "units": "systemd-analyze time 2>&1 | head -1; systemd-analyze blame --no-pager | head -20",
}
PASSES = "office traffic passes"
PROTECTS = "protecting"


@dataclass(slots=True)
class Report:
    """How a boot went."""

    seconds: dict[str, float] = field(default_factory=dict)  # since power-on, by stage
    lost: int = 0  # pings that did not come back after the first one that did
    facts: dict[str, str] = field(default_factory=dict)  # what the box itself says of its boot

    def text(self) -> str:
        """Return one line a stage."""
        lines = [f"{when:7.1f} s  {stage}" for stage, when in self.seconds.items()]
        return "\n".join([*lines, f"{self.lost} pings lost", self.facts.get("memory", "")])


class Stages:
    """Writes the report of one boot; a context manager around it."""

    def __init__(self, machine: Machine, office: Office) -> None:
        self.report = Report()
        self._machine, self._office = machine, office
        self._began = time.monotonic()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._look), threading.Thread(target=self._ping)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def reach(self, stage: str) -> None:
        """Write down that a stage is reached now."""
        self.report.seconds.setdefault(stage, time.monotonic() - self._began)

    def ask(self) -> None:
        """Ask the box itself how its boot went."""
        for name, command in QUESTIONS.items():
            self.report.facts[name] = self._machine.succeed(command).strip()

    def dump(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self.report))

    def _look(self) -> None:
        while not self._over.wait(0.2):
            text = self._machine.console
            for stage, pattern in MARKS.items():
                if stage not in self.report.seconds and text.find(pattern):
                    self.reach(stage)

    def _ping(self) -> None:
        argv = ["ping", "-n", "-q", "-c", "1", "-W", "2", f"{OFFICE_IPV4}{GATEWAY}"]
        while not self._over.wait(0.3):
            done = self._office.lab.anna.run(argv, check=False)
            if done.returncode == 0:
                self.reach(PASSES)
            elif PASSES in self.report.seconds:
                self.report.lost += 1
