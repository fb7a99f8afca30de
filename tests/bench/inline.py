"""`make bench`: plain forwarding, an accept-all queue, Ratwall and Suricata, side by side.

Every round measures each variant once, so that a drift of the machine meets all alike; the table
shows medians over the rounds, and ratios. Absolute figures of a shared machine are noise: compare
within one run only. The figures go to artifacts/bench.json too. Suricata takes part where it is
installed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from bench.figures import Figures, table  # noqa: E402
from bench.kinds import MANY_PROTOCOLS, Kind, kinds  # noqa: E402
from bench.variants import NAMES, Variant  # noqa: E402
from ratwall_lab.certificates import Notary  # noqa: E402
from ratwall_lab.namespaces import Host  # noqa: E402
from ratwall_lab.topology import Lab  # noqa: E402

HERE = Path(__file__).resolve().parent
ROUNDS = 5
BULK_SECONDS = 2.0
HANDSHAKES = 300
COUNTED = 30  # handshakes of a kind of which only the packets are counted
CLIENTS = 4  # at a time, for the rate
TIMED = ("TLS 1.2", "TLS 1.3")  # kinds that are timed; of the others only packets are counted
SINK_PORT, FIRST_PORT = 5201, 4410
SETTLE_SECONDS = 1.5  # reports and ledger are written within one


def _load(host: Host, *arguments: str) -> "subprocess.Popen[str]":
    argv = [sys.executable, str(HERE / "load.py"), *arguments]
    process: subprocess.Popen[str] = host.popen(argv, stdout=subprocess.PIPE, text=True)
    return process


def _figure(process: "subprocess.Popen[str]") -> object:
    output, _ = process.communicate(timeout=120)
    return json.loads(output)


def _times(process: "subprocess.Popen[str]") -> list[float]:
    times = _figure(process)
    assert isinstance(times, list)
    return times


class Bench:
    """The servers' addresses and the figures that grow."""

    def __init__(
        self, lab: Lab, variant: Variant, offers: list[Kind], handshakes: int, seconds: float
    ) -> None:
        """`seconds` is how long a bulk transfer takes."""
        self.lab, self.variant, self.handshakes, self.seconds = lab, variant, handshakes, seconds
        self.address = lab.internet.address(2)
        self.ports = {kind.name: FIRST_PORT + number for number, kind in enumerate(offers)}
        self.offers = offers

    def servers(self, stack: ExitStack) -> None:
        """Start a server for each kind, and the sink."""
        jobs = [("sink", self.address, str(SINK_PORT))]
        for kind in self.offers:
            files = str(kind.identity.chain_file), str(kind.identity.key_file)
            port = str(self.ports[kind.name])
            jobs.append(("serve", self.address, port, *files, kind.version))
        for job in jobs:
            process = _load(self.lab.internet, *job)
            stack.callback(process.wait)
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()

    def measure(self, name: str, figures: Figures) -> None:
        """One round of one variant."""
        with self.variant.on(name):
            bulk = _figure(self._bulk(self.lab.anna, self.seconds))
            figures.bulk.append(float(str(bulk)))
            for kind in self.offers:
                if kind.name in TIMED:
                    self._time(kind, figures)
                else:
                    self._count(kind, figures)
            beside = self._bulk(self.lab.ben, self.seconds * 2)
            figures.busy += _times(self._shake(self.lab.anna, self.offers[1], self.handshakes // 3))
            _figure(beside)
            figures.resident = self.variant.resident()
            figures.proportional = self.variant.proportional()

    def _time(self, kind: Kind, figures: Figures) -> None:
        cpu, queued = self.variant.cpu_seconds(), self.variant.queued()
        times = _times(self._shake(self.lab.anna, kind, self.handshakes))
        figures.idle.setdefault(kind.name, []).extend(times)
        time.sleep(SETTLE_SECONDS)
        used = (self.variant.cpu_seconds() - cpu) / self.handshakes * 1000
        figures.cpu.setdefault(kind.name, []).append(used)
        per_handshake = (self.variant.queued() - queued) / self.handshakes
        figures.queued.setdefault(kind.name, []).append(per_handshake)
        share = self.handshakes // CLIENTS
        hosts = (self.lab.anna, self.lab.ben)
        clients = [self._shake(hosts[number % 2], kind, share) for number in range(CLIENTS)]
        # Each client's own time: starting Python is not part of it.
        rate = sum(share / sum(_times(client)) for client in clients)
        figures.rate.setdefault(kind.name, []).append(rate)

    def _count(self, kind: Kind, figures: Figures) -> None:
        queued = self.variant.queued()
        _figure(self._shake(self.lab.anna, kind, COUNTED))
        per_handshake = (self.variant.queued() - queued) / COUNTED
        figures.queued.setdefault(kind.name, []).append(per_handshake)

    def _bulk(self, host: Host, seconds: float) -> "subprocess.Popen[str]":
        return _load(host, "bulk", self.address, str(SINK_PORT), str(seconds))

    def _shake(self, host: Host, kind: Kind, number: int) -> "subprocess.Popen[str]":
        protocols = [",".join(MANY_PROTOCOLS)] if kind.long_hello else []
        return _load(
            host, "shake", self.address, str(self.ports[kind.name]), str(number), *protocols
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--handshakes", type=int, default=HANDSHAKES)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="ways to measure")
    parser.add_argument("--seconds", type=float, default=BULK_SECONDS, help="of a bulk transfer")
    parser.add_argument("--output", type=Path, default=ROOT / "artifacts" / "bench.json")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: the lab makes network namespaces: run it as root")
    names = [one for one in options.only if one != "suricata" or shutil.which("suricata")]
    results = {name: Figures() for name in names}
    with (
        tempfile.TemporaryDirectory(prefix="ratwall-bench-") as folder,
        Lab("router") as lab,
        ExitStack() as stack,
    ):
        Path(folder).chmod(0o755)
        offers = list(kinds(Notary()))
        bench = Bench(lab, Variant(lab, Path(folder)), offers, options.handshakes, options.seconds)
        bench.servers(stack)
        for number in range(options.rounds):
            for name in names:
                print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
                bench.measure(name, results[name])
    print(_suricata_version())
    print(table(results))
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps({name: vars(f) for name, f in results.items()}, indent=1))
    print(f"all figures: {options.output}")


def _suricata_version() -> str:
    if shutil.which("suricata") is None:
        return "Suricata is not installed: no comparison with it"
    done = subprocess.run(["suricata", "-V"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
