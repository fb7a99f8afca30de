"""The ways of forwarding that the bench compares, each switched on for a measurement.

All stand in the same namespaces and see the same traffic. Every process and rule of a variant is
gone when its turn is over.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from bench import suricata
from ratwall_lab.topology import Lab

HERE = Path(__file__).resolve().parent
READY_SECONDS = 40.0
ACCEPT_ALL_RULE = ("FORWARD", "-j", "NFQUEUE", "--queue-num", "100", "--queue-bypass")
QUEUES = "/proc/net/netfilter/nfnetlink_queue"
PACKETS_COLUMN = 7  # of its lines: the id of the last packet queued
NAMES = ("plain", "accept-all", "ratwall", "suricata")


class Variant:
    """One way of forwarding at a time."""

    def __init__(self, lab: Lab, scratch: Path) -> None:
        self.lab = lab
        self.scratch = scratch
        self.processes: list[psutil.Process] = []

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Put the variant in the path, and take it out."""
        with ExitStack() as stack:
            match name:
                case "accept-all":
                    self._accept_all(stack)
                case "ratwall":
                    self._ratwall(stack)
                case "suricata":
                    self._suricata(stack)
            yield
            self.processes = []

    def cpu_seconds(self) -> float:
        """CPU used so far by the variant's processes, by the scheduler's own count."""
        nanoseconds = 0
        for process in self.processes:
            with suppress(OSError):  # started for a moment, and gone
                for thread in Path(f"/proc/{process.pid}/task").iterdir():
                    nanoseconds += int((thread / "schedstat").read_text().split()[0])
        return nanoseconds / 1e9

    def queued(self) -> int:
        """Packets that the kernel has put into queues of the box so far."""
        rows = self.lab.box.run(["cat", QUEUES], check=False).stdout.splitlines()
        return sum(int(row.split()[PACKETS_COLUMN]) for row in rows)

    def resident(self) -> dict[str, float]:
        """Resident memory in MB by process."""
        found: dict[str, float] = {}
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                words = [word for word in process.cmdline() if word.startswith("ratwall")]
                name = words[0] if words else process.name()
                if name in found:
                    name += f" {sum(key.startswith(name) for key in found)}"
                found[name] = process.memory_info().rss / 1e6
        return found

    def proportional(self) -> float:
        """Memory of all processes in MB, what they share counted once."""
        total = 0
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total / 1e6

    def _accept_all(self, stack: ExitStack) -> None:
        process = self._start(stack, [sys.executable, str(HERE / "accept_all.py")], "ready")
        self._queue_by(stack, ACCEPT_ALL_RULE)
        self.processes = [psutil.Process(process.pid)]

    def _ratwall(self, stack: ExitStack) -> None:
        argv = [sys.executable, "-m", "ratwall", "run", "--state-dir", str(self.scratch / "state")]
        argv += ["--lan", "lan", "--wan", "wan", "--mode", "router", "--web", "127.0.0.1:8443"]
        process = self._start(stack, argv, "ratwall: ready")
        supervisor = psutil.Process(process.pid)
        self.processes = [supervisor, *supervisor.children(recursive=True)]

    def _suricata(self, stack: ExitStack) -> None:
        folder = self.scratch / "suricata"
        folder.mkdir(exist_ok=True)
        process = self._start(stack, suricata.command(folder), suricata.READY_LINE)
        box = self.lab.box
        subprocess.run(box.argv(["nft", "-f", "-"]), input=suricata.MARKS, text=True, check=True)
        stack.callback(box.run, ["nft", "delete", "table", "inet", "bench"])
        self._queue_by(stack, suricata.UNMARKED_RULE)
        self.processes = [psutil.Process(process.pid)]

    def _queue_by(self, stack: ExitStack, rule: tuple[str, ...]) -> None:
        for tool in ("iptables", "ip6tables"):
            self.lab.box.run([tool, "-t", "mangle", "-I", *rule])
            stack.callback(self.lab.box.run, [tool, "-t", "mangle", "-D", *rule])

    def _start(self, stack: ExitStack, argv: list[str], line: str) -> "subprocess.Popen[str]":
        process: subprocess.Popen[str] = self.lab.box.popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        stack.callback(_stop, process)
        said = []
        deadline = time.monotonic() + READY_SECONDS
        assert process.stdout is not None
        while line not in (last := process.stdout.readline()):
            said.append(last)
            if not last or time.monotonic() > deadline:
                raise RuntimeError(f"{argv[0]} was not ready:\n{''.join(said)}")
        return process


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    process.communicate(timeout=READY_SECONDS)
