"""What observing a thousand connections costs the others: paired runs.

A thousand connections beat through the box all the time, as `beating.py` makes them. What is paired
is only whether the kernel copies what they say (the chain `copy` of the rules emptied, and filled
again): all else, their traffic too, is alike on both sides. Meanwhile connections that are not
observed are measured in slices: one bulk transfer that goes on throughout, then handshakes. A slice
without copies is compared with the mean of the two with copies around it, so that a drift of the
machine meets both alike. Slices within one transfer, because two transfers differ by more than what
is looked for.

Prints the median of the ratios with a 95 % interval (bootstrap), and the CPU that the controller
uses, which says more than throughput on a busy machine. Writes JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / name) for name in ("scripts", "tests", "firmware")]

import psutil  # noqa: E402

from bench.beating import COPIES_PER_BEAT, PERIOD_SECONDS  # noqa: E402
from bench.slices import Slice, interval, ratios  # noqa: E402
from bench.variants import Variant  # noqa: E402
from ratwall.controller.client import Client  # noqa: E402
from ratwall_lab.certificates import Identity, Notary  # noqa: E402
from ratwall_lab.namespaces import Host  # noqa: E402
from ratwall_lab.topology import Lab  # noqa: E402

HERE = Path(__file__).resolve().parent
FLOWS = 1000
BULK_PAIRS, HAND_PAIRS = 90, 40
SLICE_SECONDS = 1.0
SETTLE_SECONDS = 0.35  # copies wait a tenth of a second in the kernel, then for the controller
WARM_SECONDS = 75.0  # five beats of the longest period: what is to be found has been found
STEADY_SECONDS = 30.0  # two beats of each, all copied: what the controller needs once all is found
WATCHED_SECONDS = 5.0  # of the warm-up at a time, to find the most that was used
LONGEST_SECONDS = 3600.0  # of a transfer: it is ended with the last of its slices
BEAT_PORT, SINK_PORT, SHAKE_PORT = 4460, 5201, 4461
OTHERS = 0  # the internet's address that bulk and handshakes go to; the beats go to the rest
SEED = 20261124  # of periods and phases
LISTED = 100  # incidents: more than there are servers
CHAIN = ("inet", "ratwall", "copy")
LEAST = 0.98  # of the throughput without: what observing may cost
PLAUSIBLE = 0.5  # of the copies due: with fewer, or with that many where none are due, no result


class Copying:
    """The rules that copy, taken out and put back."""

    def __init__(self, box: Host) -> None:
        self._box = box
        self._filled = box.run(["nft", "list", "chain", *CHAIN]).stdout
        self._empty = f"flush chain {' '.join(CHAIN)}\n"

    def switch(self, *, on: bool) -> None:
        """Copy, or do not; one transaction."""
        text = self._empty + (self._filled if on else "")
        subprocess.run(self._box.argv(["nft", "-f", "-"]), input=text, text=True, check=True)


class Bench:
    """The lab with a box in its path, many connections beating and others to be measured."""

    def __init__(self, lab: Lab, variant: Variant, state: Path, stack: ExitStack) -> None:
        self.lab, self.variant, self.stack = lab, variant, stack
        self.client = Client(state / "run" / "control.sock")
        self.others = lab.internet.ipv4[OTHERS]
        self.beaten = ",".join(lab.internet.ipv4[OTHERS + 1 :])

    def serve(self, identity: Identity) -> None:
        """Start the servers: one for those that beat, two for the others."""
        files = (str(identity.chain_file), str(identity.key_file))
        self._serve("load.py", "sink", self.others, str(SINK_PORT))
        self._serve("load.py", "serve", self.others, str(SHAKE_PORT), *files, "1.2")
        self._serve("beating.py", "serve", self.beaten, str(BEAT_PORT), *files)

    def beat(self, number: int) -> "list[subprocess.Popen[str]]":
        """Open the connections that beat, half of them from each device."""
        shares = (self.lab.anna, number - number // 2), (self.lab.ben, number // 2)
        begun = []
        for seed, (host, share) in enumerate(shares, SEED):
            job = ("beat", self.beaten, str(BEAT_PORT), str(share), str(seed))
            begun.append(self._start(host, "beating.py", *job))
            self._await_ready(begun[-1])
        return begun

    def free_the_bulk(self) -> None:
        """Have the bulk transfer let go: it is no TLS, and would be observed itself."""
        self.ratwall("allow", f"{self.others}:{SINK_PORT}")

    def warm(self, seconds: float) -> dict[str, float]:
        """Let beat until what is to be found has been found; return what that cost meanwhile."""
        shares = []
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            shares.append(self.share(min(WATCHED_SECONDS, left)))
        told = len(self.ratwall("incidents", "--limit", str(LISTED)))
        return {"cpu": statistics.mean(shares), "cpu_most": max(shares), "incidents": told}

    def share(self, seconds: float) -> float:
        """Return what share of a core the controller uses for some seconds from now."""
        used, before = self.used(), time.monotonic()
        time.sleep(seconds)
        return (self.used() - used) / (time.monotonic() - before)

    def slices(self, pairs: int, copying: Copying, done: Callable[[], float]) -> list[Slice]:
        """Measure with, without, with, without … with; `done` counts what got through."""
        found = []
        for number in range(2 * pairs + 1):
            copying.switch(on=number % 2 == 0)
            time.sleep(SETTLE_SECONDS)
            started, count, copies, used = time.monotonic(), done(), self.copies(), self.used()
            time.sleep(SLICE_SECONDS)
            ended, reached, spent = time.monotonic(), done(), self.used()
            took = ended - started
            found.append(
                Slice(
                    number % 2 == 0,
                    started,
                    ended,
                    (reached - count) / took,
                    (spent - used) / took,
                    (self.copies() - copies) / took,
                )
            )
        return found

    def bulk(self, pairs: int, copying: Copying) -> list[Slice]:
        """Slices of one transfer, by the bytes that left the box."""
        load = self._start(
            self.lab.anna, "load.py", "bulk", self.others, str(SINK_PORT), str(LONGEST_SECONDS)
        )
        time.sleep(SLICE_SECONDS)  # its window opens
        found = self.slices(pairs, copying, self._sent)
        assert load.poll() is None, "the transfer ended before its slices"
        load.kill()
        return found

    def hands(self, pairs: int, copying: Copying) -> list[Slice]:
        """Slices of handshakes one after the other, by their ends."""
        ends: list[float] = []
        load = self._start(self.lab.anna, "load.py", "hands", self.others, str(SHAKE_PORT))
        assert load.stdout is not None
        said = load.stdout
        # Its pipe is read all the time: a full one would hold it up.
        reader = threading.Thread(target=lambda: ends.extend(map(float, said)))
        reader.start()
        time.sleep(SLICE_SECONDS)
        found = self.slices(pairs, copying, lambda: float(len(ends)))
        ended = load.poll() is not None
        load.kill()
        reader.join()
        assert not ended, "the handshakes ended before their slices"
        # A line may be read late: what counts is the time that it names.
        for one in found:
            within = bisect_left(ends, one.ended) - bisect_left(ends, one.started)
            one.rate = within / (one.ended - one.started)
        return found

    def used(self) -> float:
        """CPU seconds of the controller so far, by the scheduler's own count."""
        tasks = Path(f"/proc/{self._controller().pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def copies(self) -> int:
        """Return how many copies the controller has read so far."""
        return int(self.client.call("status")["observed"]["copies"])

    def ratwall(self, *command: str) -> Any:
        """Return what a command of Ratwall prints."""
        argv = [sys.executable, "-m", "ratwall", *command, "--json"]
        argv += ["--state-dir", str(self.client.path.parents[1])]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    def _controller(self) -> psutil.Process:
        return next(
            process
            for process in self.variant.processes
            if "ratwall.controller" in process.cmdline()
        )

    def _sent(self) -> float:
        """Bytes that have left the box towards the internet."""
        rows = Path(f"/proc/{self._controller().pid}/net/dev").read_text().splitlines()
        row = next(row for row in rows if row.strip().startswith("wan:"))
        return float(row.split(":")[1].split()[8])

    def _serve(self, script: str, *arguments: str) -> None:
        self._await_ready(self._start(self.lab.internet, script, *arguments))

    def _start(self, host: Host, script: str, *arguments: str) -> "subprocess.Popen[str]":
        argv = [sys.executable, str(HERE / script), *arguments]
        process: subprocess.Popen[str] = host.popen(argv, stdout=subprocess.PIPE, text=True)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def _await_ready(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"{process.args} was not ready")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Lay out the lab, beat, and measure."""
    with (
        tempfile.TemporaryDirectory(prefix="ratwall-bench-") as folder,
        Lab("router") as lab,
        ExitStack() as stack,
    ):
        Path(folder).chmod(0o755)
        variant = Variant(lab, Path(folder))
        bench = Bench(lab, variant, Path(folder) / "state", stack)
        bench.serve(Notary().web_site("shop.example", intermediates=0))
        with variant.on("ratwall"):
            bench.free_the_bulk()
            beating = bench.beat(options.flows)
            found: dict[str, Any] = {"flows": options.flows, "warm": bench.warm(options.warm)}
            copying = Copying(lab.box)
            found["steady"] = bench.share(options.steady)
            copying.switch(on=False)
            time.sleep(SETTLE_SECONDS)
            found["idle"] = bench.share(options.steady)
            found["bulk"] = [asdict(one) for one in bench.bulk(options.bulk_pairs, copying)]
            found["hands"] = [asdict(one) for one in bench.hands(options.hand_pairs, copying)]
            ended = [process.pid for process in beating if process.poll() is not None]
            observed = bench.client.call("status")["observed"]
            if ended or observed["flows"] < options.flows:
                raise SystemExit(
                    f"of {options.flows} connections {observed['flows']} are observed at the end, "
                    f"{len(ended)} of {len(beating)} processes that beat have ended: no result"
                )
    return found


def check(found: dict[str, Any]) -> None:
    """Raise SystemExit if the two kinds of slice were not what they are called."""
    due = found["flows"] * COPIES_PER_BEAT / statistics.mean(PERIOD_SECONDS)
    for kind in ("bulk", "hands"):
        on, off = (
            statistics.mean(one["copies"] for one in found[kind] if one["copied"] is copied)
            for copied in (True, False)
        )
        if on < due * PLAUSIBLE or off > due * PLAUSIBLE:
            raise SystemExit(
                f"{kind}: {due:.0f} copies a second were due with, none without; there were "
                f"{on:.0f} and {off:.0f}: no result"
            )


def table(found: dict[str, Any]) -> str:
    """Return the figures as text for a person."""
    lines = [f"{'of the others':24}{'with':>10}{'without':>10}{'ratio':>9}   95 % interval"]
    for kind, label, scale, style in (
        ("bulk", "bulk, Gbit/s", 8e-9, ".2f"),
        ("hands", "TLS 1.2 handshakes/s", 1, ".0f"),
    ):
        slices = [Slice(**one) for one in found[kind]]
        pairs = ratios(slices)
        low, high = interval(pairs)
        cells = ""
        for copied in (True, False):
            middle = statistics.median(one.rate for one in slices if one.copied is copied)
            cells += f"{middle * scale:>10{style}}"
        shown = "shown" if low >= LEAST else "MISSED" if high < LEAST else "not shown"
        lines.append(
            f"{label:24}{cells}{statistics.median(pairs):>9.3f}   {low:.3f} to {high:.3f}, "
            f"{len(pairs)} pairs (at least {LEAST}: {shown})"
        )
    warm = found["warm"]
    lines += [
        f"controller, of a core: {found['idle']:.2%} without copies, {found['steady']:.2%} with",
        f"while rhythms were found: {warm['cpu']:.2%}, at most {warm['cpu_most']:.2%} in "
        f"{WATCHED_SECONDS:.0f} s; incidents told: {warm['incidents']}",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flows", type=int, default=FLOWS)
    parser.add_argument("--bulk-pairs", type=int, default=BULK_PAIRS)
    parser.add_argument("--hand-pairs", type=int, default=HAND_PAIRS)
    parser.add_argument("--warm", type=float, default=WARM_SECONDS, help="seconds before the first")
    parser.add_argument("--steady", type=float, default=STEADY_SECONDS, help="seconds of CPU alone")
    parser.add_argument("--output", type=Path, default=ROOT / "artifacts" / "observed.json")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: the lab makes network namespaces: run it as root")
    found = measure(options)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    check(found)
    print(f"{options.flows} observed connections that beat")
    print(table(found))
    print(f"all figures: {options.output}")


if __name__ == "__main__":
    main()
