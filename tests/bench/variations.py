"""Ten families of variation, twenty seeds each, live through the box: caught by what, and when.

All of them beat side by side in real time; nothing is compressed. Every rule is set to enforce,
so that the last column says what got out before the connection was cut. Prints a table and writes
JSON. `--families` and `--seeds` make it shorter, `--seconds` or Ctrl-C ends it. On a busy machine
its certificates alone take minutes before anything beats.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "firmware")]

from ratwall_lab.box import Ratwall, listen  # noqa: E402
from ratwall_lab.certificates import Notary  # noqa: E402
from ratwall_lab.endpoint import End  # noqa: E402
from ratwall_lab.servers import Server  # noqa: E402
from ratwall_lab.topology import Lab  # noqa: E402
from ratwall_lab.variations import FAMILIES, Variation, draw  # noqa: E402
from ratwall_lab.varied import VariedClient, server  # noqa: E402

SEEDS = 20
SECONDS = 300.0  # five beats of the longest period, and spare
STAGGER = 0.05  # seconds between two starts: a morning in an office, not a burst
POLL_SECONDS = 2.0
FIRST_HOST = 20  # the lab's own servers are below
PER_NETWORK = 220  # addresses used of each documentation network
NETWORKS = ("198.51.100.", "203.0.113.")
LISTED = "1000"
CUT = (End.RESET, End.REFUSED, End.TIMEOUT, End.UNREACHABLE)

SETTINGS = '[rules]\nenforce = ["*"]\n'


@dataclass(slots=True)
class Case:
    """One varied RAT in the lab, and what became of it."""

    variation: Variation
    address: str
    client: VariedClient
    server: Server | None
    noticed: float | None = None  # monotonic, when its incident was first seen
    rules: tuple[str, ...] = ()

    @property
    def cut(self) -> float | None:
        """Seconds from its first packet to the end that the box gave it, None if it got none."""
        first = self.client.attempts[0]
        if self.variation.down:  # refused by its own server from the start
            return None
        if first.end in CUT and first.ended is not None:
            return first.ended - first.started
        return None

    @property
    def alerted(self) -> float | None:
        """Seconds from its first packet to its incident."""
        return None if self.noticed is None else self.noticed - self.client.attempts[0].started

    @property
    def bytes_out(self) -> int:
        """Bytes of application data that reached its server."""
        if self.server is None:
            return 0
        return sum(visit.application_bytes for visit in self.server.visits)


def cases(lab: Lab, notary: Notary, families: list[str], seeds: int, seconds: float) -> list[Case]:
    """Return every case, its servers not yet started."""
    places = addresses()
    made = []
    for family in families:
        for seed in range(seeds):
            variation = draw(family, seed)
            address = next(places)
            device = (lab.anna, lab.ben)[seed % 2]
            there = None if variation.down else server(lab.internet, address, notary, variation)
            client = VariedClient(device, address, variation, seconds=seconds)
            made.append(Case(variation, address, client, there))
    return made


def addresses() -> Iterator[str]:
    """Yield the addresses of the servers, each used once: a block must not stop its neighbour."""
    for network in NETWORKS:
        for host in range(FIRST_HOST, FIRST_HOST + PER_NETWORK):
            yield f"{network}{host}"


def run(options: argparse.Namespace) -> list[Case]:
    """Play every case through a box and watch what it says."""
    notary = Notary()
    with (
        ExitStack() as stack,
        tempfile.TemporaryDirectory() as folder,
        listen("127.0.0.1", 0) as page,
        Lab(options.mode) as lab,
    ):
        settings = Path(folder) / "ratwall.toml"
        settings.write_text(SETTINGS)
        state = Path(folder) / "state"
        played = cases(lab, notary, options.families, options.seeds, options.seconds)
        for case in played:
            lab.internet.run(["ip", "address", "add", f"{case.address}/32", "dev", "lo"])
            if case.server is not None:
                stack.enter_context(case.server)
        box = Ratwall(
            lab, state, page, arguments=("--config", str(settings)), say=lambda line: None
        )
        with box:
            for case in played:
                stack.enter_context(case.client)
                time.sleep(STAGGER)
            with suppress(KeyboardInterrupt):  # what was found by then is told
                watch(box, played, options.seconds)
            for case in played:
                case.client.stop()
            notice(played, box.ask("incidents", "--limit", LISTED))
        stack.close()
    return played


def watch(box: Ratwall, played: list[Case], seconds: float) -> None:
    """Take in what the box says until there is nothing more to learn, or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not all(done(case) for case in played):
        time.sleep(POLL_SECONDS)
        notice(played, box.ask("incidents", "--limit", LISTED))


def done(case: Case) -> bool:
    """Say whether there is nothing more to learn of a case."""
    return case.noticed is not None and (case.variation.down or case.cut is not None)


def notice(played: list[Case], incidents: list[dict[str, Any]]) -> None:
    """Take in what the box says of the servers."""
    by_server = {incident["server"]: incident for incident in incidents}
    now = time.monotonic()
    for case in played:
        incident = by_server.get(case.address)
        if incident is None:
            continue
        case.noticed = case.noticed or now
        facts = sorted(incident["evidence"], key=lambda fact: -fact["points"])
        case.rules = tuple(fact["id"] for fact in facts if fact["points"])


def rows(played: list[Case]) -> Iterator[dict[str, Any]]:
    """Yield one row a family."""
    for family in dict.fromkeys(case.variation.family for case in played):
        mine = [case for case in played if case.variation.family == family]
        cut = [case.cut for case in mine if case.cut is not None]
        alerted = [case.alerted for case in mine if case.alerted is not None]
        times = cut or alerted
        first = Counter(case.rules[0] for case in mine if case.rules)
        yield {
            "family": family,
            "seeds": len(mine),
            "cut": len(cut),
            "incident": len(alerted),
            "missed": [
                case.variation.seed for case in mine if case.cut is None and case.alerted is None
            ],
            "by": dict(first.most_common()),
            "median_s": statistics.median(times) if times else None,
            "longest_s": max(times) if times else None,
            "bytes_median": statistics.median(case.bytes_out for case in mine),
            "bytes_most": max(case.bytes_out for case in mine),
        }


def table(found: list[dict[str, Any]]) -> str:
    """Return the rows as text."""
    lines = [
        f"{'family':24} {'seeds':>5} {'cut':>4} {'told':>5} {'median':>8} {'longest':>8} "
        f"{'bytes out':>10} {'most':>6}  first reason"
    ]
    for row in found:
        median, longest = (
            "-" if row[key] is None else f"{row[key]:.2f} s" for key in ("median_s", "longest_s")
        )
        by = ", ".join(f"{rule} {count}" for rule, count in row["by"].items()) or "-"
        lines.append(
            f"{row['family']:24} {row['seeds']:>5} {row['cut']:>4} {row['incident']:>5} "
            f"{median:>8} {longest:>8} {row['bytes_median']:>10.0f} {row['bytes_most']:>6}  {by}"
        )
    return "\n".join(lines)


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=("router", "bridge"), default="bridge")
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Play, print, and exit with 1 if anything was missed."""
    options = parse(argv)
    found = list(rows(run(options)))
    print(table(found))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return 1 if any(row["missed"] for row in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
