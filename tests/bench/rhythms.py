"""The rhythm code against simulated connections: RATs found when, who else is told of.

The connections are drawn by `ratwall_lab.rhythms` from its own parameters and seed. Honest ones of
which nothing could be told whatever their rhythm (named, today's TLS, a server that is known) are
counted and not folded: that is what `decide` says of them by its second facts, and a unit test
holds it to that. A share of all is folded once more as if everything else spoke against it.

Prints the figures; `--json` and `--plots` write them and the charts. `--hours` and `--rats` make it
shorter.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / name) for name in ("scripts", "tests", "firmware")]

from bench.chart import shares  # noqa: E402
from ratwall.rhythm.beats import BeatLog  # noqa: E402
from ratwall.rhythm.decide import Circumstances, decide  # noqa: E402
from ratwall.rhythm.records import RecordTrail  # noqa: E402
from ratwall.verdict.judge import Thresholds, Verdict, weigh  # noqa: E402
from ratwall_lab.rhythms import Simulated, honest, load, rat  # noqa: E402

RATS, HOURS = 2000, 30_000.0
AGAINST_SHARE = 0.03  # of the honest, folded with everything else against them
MICROSECONDS = 1e6
TOLD = (Verdict.ALERT, Verdict.BLOCK)
CHUNK = 40  # connections that a process takes at a time
LATEST = {"stock": 4, "redrawn": 12}  # the beat by which it is to be found
AGAINST = Circumstances(named=False, tls_version="TLS 1.0", devices=1, age=0)
# As if its hello had named nobody and its server were new here; its TLS is its own.
UNKNOWN = {"named": False, "devices": 1, "age": 0}


@dataclass(frozen=True, slots=True)
class Found:
    """The first that is told of a connection: its rule, verdict and facts, and when."""

    rule: str
    verdict: str
    facts: tuple[str, ...]
    at: float  # seconds on the connection's clock


def around(one: Simulated) -> Circumstances:
    """Return what a box would know of it."""
    return Circumstances(
        named=one.named,
        tls_version=one.version,
        devices=one.devices,
        age=round(one.age * MICROSECONDS),
    )


def tellable(known: Circumstances) -> bool:
    """Say whether there is any second fact; without one nothing is told of any rhythm."""
    return known.nameless or known.old or known.rare


def first_told(one: Simulated, known: Circumstances) -> Found | None:
    """Return the first that is told of a connection, None if nothing ever is."""
    trail, log, limits = RecordTrail(), BeatLog(), Thresholds()
    for copy in one.copies:
        seen = trail.take(copy.sequence, copy.copied, copy.length)
        if not seen or not log.take(round(copy.at * MICROSECONDS), seen):
            continue
        decision = decide(log, known)
        if decision is not None:
            verdict = weigh(decision.evidence, limits).verdict
            if verdict in TOLD:
                facts = tuple(fact.id for fact in decision.evidence)
                return Found(decision.rule, verdict, facts, copy.at)
    return None


def play_rat(job: tuple[str, int, bool]) -> dict[str, Any]:
    """Simulate one RAT; its beat number is that of the last ping sent when it was found."""
    seed, number, redrawn = job
    one = rat(f"{seed} rat {redrawn} {number}", load(), redrawn=redrawn)
    found = first_told(one, around(one))
    if found is None:
        return {"kind": one.kind, "version": one.version, "rule": None}
    beat = sum(ping <= found.at for ping in one.pings)
    return {
        "kind": one.kind,
        "version": one.version,
        "rule": found.rule,
        "verdict": found.verdict,
        "beat": beat,
        "seconds": found.at - one.copies[0].at,
    }


def play_honest(job: tuple[str, int]) -> dict[str, Any]:
    """Simulate one honest connection."""
    seed, number = job
    one = honest(f"{seed} honest {number}", load())
    known = around(one)
    told = first_told(one, known) if tellable(known) else None
    row: dict[str, Any] = {
        "kind": one.kind,
        "near": one.near,
        "hours": one.seconds / 3600,
        "folded": tellable(known),
        "told": None if told is None else (told.verdict, *told.facts),
        "against": None,
    }
    if number % round(1 / AGAINST_SHARE) == 0:
        against = first_told(one, replace(known, **UNKNOWN))
        row["against"] = ["nothing"] if against is None else [against.rule, against.verdict]
    return row


def rats(seed: str, number: int, pool: "multiprocessing.pool.Pool") -> list[dict[str, Any]]:
    """Return a row for each of `number` RATs, half of them redrawn."""
    jobs = [(seed, each, each % 2 == 1) for each in range(number)]
    return pool.map(play_rat, jobs, CHUNK)


def honests(seed: str, hours: float, pool: "multiprocessing.pool.Pool") -> list[dict[str, Any]]:
    """Return rows of honest connections until they are so many hours."""
    rows: list[dict[str, Any]] = []
    done = 0.0
    for row in pool.imap(play_honest, _numbers(seed), CHUNK):
        rows.append(row)
        done += row["hours"]
        if done >= hours:
            break
    return rows


def _numbers(seed: str) -> Iterator[tuple[str, int]]:
    for number in range(10_000_000):
        yield seed, number


def delays(rows: Sequence[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return how many of a kind were found by which beat, and when."""
    mine = [row for row in rows if row["kind"] == kind]
    found = [row for row in mine if row["rule"] is not None]
    beats = Counter(row["beat"] for row in found)
    by_latest = sum(count for beat, count in beats.items() if beat <= LATEST[kind])
    seconds = sorted(row["seconds"] for row in found)
    return {
        "simulated": len(mine),
        "found": len(found),
        f"by_beat_{LATEST[kind]}": by_latest / len(mine),
        "blocked": sum(row["verdict"] == Verdict.BLOCK for row in found) / len(mine),
        "beats": dict(sorted(beats.items())),
        "rules": dict(Counter(row["rule"] for row in found)),
        "seconds_median": statistics.median(seconds),
        "seconds_99": seconds[int(0.99 * (len(seconds) - 1))],
    }


def mistakes(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what was told of honest connections."""
    hours = sum(row["hours"] for row in rows)
    against = [row for row in rows if row["against"] is not None]
    return {
        "connections": len(rows),
        "hours": hours,
        "hours_near": sum(row["hours"] for row in rows if row["near"]),
        "hours_folded": sum(row["hours"] for row in rows if row["folded"]),
        "told": _kinds(row for row in rows if row["told"] is not None),
        "against_hours": sum(row["hours"] for row in against),
        "against_connections": len(against),
        "against_told": dict(Counter(" ".join(row["against"]) for row in against)),
        "against_stock": dict(
            Counter(
                row["kind"]
                for row in against
                if row["against"][0] in ("rhythm.stock", "rhythm.redrawn")
            )
        ),
    }


def _kinds(rows: Iterator[dict[str, Any]]) -> dict[str, int]:
    return dict(Counter(" ".join((row["kind"], *row["told"])) for row in rows))


def plots(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the charts by the name of their file."""
    beats, seconds = [], []
    for kind in LATEST:
        mine = [row for row in rows if row["kind"] == kind]
        found = [row for row in mine if row["rule"] is not None]
        for unit, lines in (("beat", beats), ("seconds", seconds)):
            values = sorted(row[unit] for row in found)
            points = [(at, (number + 1) / len(mine)) for number, at in enumerate(values)]
            lines.append((kind, [(0.0, 0.0), *points]))
    return {
        "rhythm-beats.svg": shares(
            "Found by which beat", "keep-alives sent", beats, (0, 4, 8, 12, 16, 20)
        ),
        "rhythm-seconds.svg": shares(
            "Found after how long", "seconds", seconds, (0, 60, 120, 180, 240, 300)
        ),
    }


def simulate(
    seed: str, number: int, hours: float, processes: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return figures and charts."""
    started = time.monotonic()
    with multiprocessing.Pool(processes) as pool:
        of_rats = rats(seed, number, pool)
        figures: dict[str, Any] = {kind: delays(of_rats, kind) for kind in LATEST}
        figures["honest"] = mistakes(honests(seed, hours, pool))
        pool.terminate()
    figures["seed"] = seed
    figures["took_seconds"] = round(time.monotonic() - started)
    return figures, plots(of_rats)


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rats", type=int, default=RATS, help="half of them redrawn")
    parser.add_argument("--hours", type=float, default=HOURS, help="of honest connections")
    parser.add_argument("--seed", default=str(load()["seed"]), help="another draw of the same")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--plots", type=Path, help="write the charts into this folder")
    options = parser.parse_args()
    figures, charts = simulate(options.seed, options.rats, options.hours, options.processes)
    print(json.dumps(figures, indent=1))
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.plots is not None:
        options.plots.mkdir(parents=True, exist_ok=True)
        for name, chart in charts.items():
            (options.plots / name).write_text(chart)


if __name__ == "__main__":
    main()
