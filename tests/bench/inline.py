"""`make bench`: plain forwarding, an accept-all queue and Ratwall, in turn, on the same namespaces.

Every round measures each variant once, so that a drift of the machine meets all alike; the table
shows medians over the rounds and ratios to plain forwarding. Absolute figures of a shared machine
are noise: compare within one run only. The figures go to artifacts/bench.json too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from ratwall_lab.certificates import Notary  # noqa: E402
from ratwall_lab.contexts import server_context  # noqa: E402
from ratwall_lab.namespaces import Host  # noqa: E402
from ratwall_lab.servers import Server, web_handler  # noqa: E402
from ratwall_lab.topology import Lab  # noqa: E402

HERE = Path(__file__).resolve().parent
ROUNDS = 5
BULK_SECONDS = 2.0
HANDSHAKES = 300
SINK_PORT, TLS12_PORT, TLS13_PORT = 5201, 4412, 4413
READY_SECONDS = 40.0
ACCEPT_ALL_RULE = ("FORWARD", "-j", "NFQUEUE", "--queue-num", "100", "--queue-bypass")
VARIANTS = ("plain", "accept-all", "ratwall")


@dataclass
class Figures:
    """What one variant gave, one entry a round."""

    bulk: list[float] = field(default_factory=list)  # bytes per second
    idle: dict[str, list[float]] = field(default_factory=dict)  # seconds, all handshakes
    busy: list[float] = field(default_factory=list)  # TLS 1.3 beside a bulk transfer
    cpu: dict[str, list[float]] = field(default_factory=dict)  # seconds per 1,000 handshakes
    queued: dict[str, list[float]] = field(default_factory=dict)  # packets per handshake
    resident: dict[str, float] = field(default_factory=dict)  # MB by process


class Variant:
    """One way of forwarding, switched on for a measurement."""

    def __init__(self, lab: Lab, state: Path) -> None:
        self.lab = lab
        self.state = state
        self.processes: list[psutil.Process] = []

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Put the variant in the path, and take it out."""
        with ExitStack() as stack:
            if name == "accept-all":
                self._accept_all(stack)
            elif name == "ratwall":
                self._ratwall(stack)
            yield
            self.processes = []

    def _accept_all(self, stack: ExitStack) -> None:
        process = self._start([sys.executable, str(HERE / "accept_all.py")], "ready")
        stack.callback(_stop, process)
        for tool in ("iptables", "ip6tables"):
            self.lab.box.run([tool, "-t", "mangle", "-I", *ACCEPT_ALL_RULE])
            stack.callback(self.lab.box.run, [tool, "-t", "mangle", "-D", *ACCEPT_ALL_RULE])
        self.processes = [psutil.Process(process.pid)]

    def _ratwall(self, stack: ExitStack) -> None:
        argv = [sys.executable, "-m", "ratwall", "run", "--state-dir", str(self.state)]
        argv += ["--lan", "lan", "--wan", "wan", "--mode", "router", "--web", "127.0.0.1:8443"]
        process = self._start(argv, "ratwall: ready")
        stack.callback(_stop, process)
        self.processes = psutil.Process(process.pid).children(recursive=True)

    def _start(self, argv: list[str], line: str) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = self.lab.box.popen(argv, stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + READY_SECONDS
        assert process.stdout is not None
        while line not in (said := process.stdout.readline()):
            if not said or time.monotonic() > deadline:
                raise RuntimeError(f"{argv[:4]} was not ready")
        return process

    def cpu_seconds(self) -> float:
        """CPU used so far by the variant's processes."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)

    def queued(self) -> int:
        """Packets that Ratwall's inspectors have seen so far."""
        argv = [sys.executable, "-m", "ratwall", "status", "--state-dir", str(self.state), "--json"]
        status = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
        return sum(worker["queued"] for worker in status["inspectors"])


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate(timeout=READY_SECONDS)


def _client(host: Host, *arguments: str) -> subprocess.Popen[str]:
    argv = [sys.executable, str(HERE / "load.py"), *arguments]
    process: subprocess.Popen[str] = host.popen(argv, stdout=subprocess.PIPE, text=True)
    return process


def _figure(process: subprocess.Popen[str]) -> object:
    output, _ = process.communicate(timeout=120)
    return json.loads(output)


def measure(
    name: str, variant: Variant, figures: Figures, address: str, options: argparse.Namespace
) -> None:
    """One round of one variant."""
    lab, handshakes, seconds = variant.lab, options.handshakes, options.seconds
    with variant.on(name):
        bulk = _figure(_client(lab.anna, "bulk", address, str(SINK_PORT), str(seconds)))
        figures.bulk.append(float(str(bulk)))
        for version, port in (("TLS 1.2", TLS12_PORT), ("TLS 1.3", TLS13_PORT)):
            cpu = variant.cpu_seconds()
            queued = variant.queued() if name == "ratwall" else 0
            times = _figure(_client(lab.anna, "shake", address, str(port), str(handshakes)))
            assert isinstance(times, list)
            figures.idle.setdefault(version, []).extend(times)
            if name == "ratwall":
                time.sleep(1.2)  # the inspector tells its counters once a second
                per_handshake = (variant.queued() - queued) / handshakes
                figures.queued.setdefault(version, []).append(per_handshake)
            used = (variant.cpu_seconds() - cpu) / handshakes * 1000
            figures.cpu.setdefault(version, []).append(used)
        beside = _client(lab.ben, "bulk", address, str(SINK_PORT), str(seconds * 2))
        busy = _figure(_client(lab.anna, "shake", address, str(TLS13_PORT), str(handshakes // 3)))
        assert isinstance(busy, list)
        figures.busy.extend(busy)
        _figure(beside)
        for process in variant.processes:
            module = next((word for word in process.cmdline() if word.startswith("ratwall")), name)
            figures.resident[module] = process.memory_info().rss / 1e6


def table(results: dict[str, Figures]) -> str:
    """The figures as lines for a person."""

    def quantile(times: list[float], part: float) -> float:
        return sorted(times)[int(len(times) * part)] * 1000

    rows: list[tuple[str, dict[str, float], str]] = []
    rows.append(
        ("bulk, Gbit/s", {n: statistics.median(f.bulk) * 8e-9 for n, f in results.items()}, ".2f")
    )
    for version in ("TLS 1.2", "TLS 1.3"):
        for label, part in (("p50", 0.5), ("p99", 0.99)):
            values = {n: quantile(f.idle[version], part) for n, f in results.items()}
            rows.append((f"{version} handshake {label}, ms", values, ".2f"))
    for label, part in (("p50", 0.5), ("p99", 0.99)):
        values = {n: quantile(f.busy, part) for n, f in results.items()}
        rows.append((f"TLS 1.3 during bulk {label}, ms", values, ".2f"))
    for version in ("TLS 1.2", "TLS 1.3"):
        values = {n: statistics.median(f.cpu[version]) for n, f in results.items()}
        rows.append((f"our CPU, s per 1,000 {version}", values, ".3f"))
        queued = {n: statistics.median(f.queued[version]) for n, f in results.items() if f.queued}
        rows.append((f"packets queued per {version}", queued, ".1f"))
    width = max(len(label) for label, _, _ in rows)
    lines = [" " * width + "".join(f"{name:>14}" for name in results) + "   ratwall/plain"]
    for label, values, style in rows:
        cells = "".join(
            f"{values[name]:>14{style}}" if name in values else f"{'-':>14}" for name in results
        )
        plain, ours = values.get("plain"), values.get("ratwall")
        ratio = f"{ours / plain:>16.2f}" if plain and ours else ""
        lines.append(f"{label:<{width}}{cells}{ratio}")
    resident = ", ".join(f"{k} {v:.0f} MB" for k, v in results["ratwall"].resident.items())
    return "\n".join([*lines, f"resident: {resident}"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--handshakes", type=int, default=HANDSHAKES)
    parser.add_argument("--seconds", type=float, default=BULK_SECONDS, help="of a bulk transfer")
    parser.add_argument("--output", type=Path, default=ROOT / "artifacts" / "bench.json")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: the lab makes network namespaces: run it as root")
    results = {name: Figures() for name in VARIANTS}
    notary = Notary()
    identity = notary.web_site("shop.example")
    with tempfile.TemporaryDirectory(prefix="ratwall-bench-") as folder, Lab("router") as lab:
        Path(folder).chmod(0o755)
        address = lab.internet.address(2)
        sink = lab.internet.popen(
            [sys.executable, str(HERE / "load.py"), "sink", address, str(SINK_PORT)],
            stdout=subprocess.PIPE,
        )
        assert sink.stdout is not None
        sink.stdout.readline()
        with ExitStack() as stack:
            for port, version in ((TLS12_PORT, "1.2"), (TLS13_PORT, "1.3")):
                context = server_context(identity, version, version)  # type: ignore[arg-type]
                server = Server(lab.internet, address, port, context, web_handler(b"ok"))
                stack.enter_context(server)
            variant = Variant(lab, Path(folder) / "state")
            for number in range(options.rounds):
                for name in VARIANTS:
                    print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
                    measure(name, variant, results[name], address, options)
    print(table(results))
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps({name: vars(f) for name, f in results.items()}, indent=1))
    print(f"all figures: {options.output}")


if __name__ == "__main__":
    main()
