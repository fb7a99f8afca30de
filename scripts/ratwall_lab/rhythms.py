"""Connections for the rhythm simulation: RATs of the families' timing, and honest programs.

Everything is drawn from `rhythms.toml` by a dice of its own seed, apart from whatever a detector is
tuned to. A connection is a list of copies, as `line` makes them, and what a box would know of it.
"""

from __future__ import annotations

import heapq
import random
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratwall_lab.line import Copy, Line, Write, copies

PARAMETERS = Path(__file__).with_name("rhythms.toml")
PREFIX = 4  # bytes of a message's length, in a write of its own
DAY = 86_400.0


def load() -> dict[str, Any]:
    """Return the parameters."""
    return tomllib.loads(PARAMETERS.read_text())


@dataclass(frozen=True, slots=True)
class Simulated:
    """One connection: its copies, its hello, how known its server is; times in seconds."""

    kind: str
    version: str
    named: bool
    devices: int
    age: float  # seconds since the site met the server, as the connection begins
    copies: list[Copy]
    pings: tuple[float, ...] = ()  # of a RAT, as it sent them
    near: bool = False  # an honest timer in the families' range
    seconds: float = 0.0


def _pick(dice: random.Random, shares: dict[str, float]) -> str:
    return dice.choices(list(shares), weights=list(shares.values()))[0]


def rat(seed: str, table: dict[str, Any], *, redrawn: bool) -> Simulated:
    """Return one RAT's connection to a server that the site never met."""
    dice = random.Random(seed)
    own = table["rat"]
    version = _pick(dice, own["versions"])
    line = Line.draw(dice, table["line"])
    writes: list[Write] = []
    end = own["minutes"] * 60.0

    def message(at: float, low_high: list[int]) -> None:
        writes.append(Write(at, PREFIX))
        writes.append(Write(at, dice.randint(*low_high), apart=True))

    first = dice.uniform(0.05, 3.0)
    message(first, own["hello_bytes"])
    period = dice.uniform(*own["period_s"])
    deviation = dice.uniform(*own["timer_ms"]) / 1000
    due = first + period
    if dice.random() < own["share_first_apart"]:
        due = first + dice.uniform(*own["period_s"])
    pings = []
    while due < end:
        at = due + abs(dice.gauss(0, deviation))  # a timer is late, never early
        pings.append(at)
        message(at, own["ping_bytes"])
        message(at + 2 * line.round_trip + 0.02, own["answer_bytes"])
        due += dice.uniform(*own["period_s"]) if redrawn else period
    if dice.random() < own["share_commanded"]:
        mean = dice.uniform(*own["command_gap_s"])
        at = first + dice.expovariate(1 / mean)
        while at < end:
            for number in range(dice.randint(*own["results"])):
                message(at + number * 0.3, [own["result_bytes"][0], _skewed(dice, own)])
            at += dice.expovariate(1 / mean)
    writes.sort(key=lambda write: write.at)
    found = copies(writes, version, line, dice)
    kind = "redrawn" if redrawn else "stock"
    return Simulated(kind, version, False, 1, 0.0, found, tuple(pings), seconds=end)


def _skewed(dice: random.Random, own: dict[str, Any]) -> int:
    low, high = own["result_bytes"]
    return int(low * (high / low) ** dice.random())


def honest(seed: str, table: dict[str, Any]) -> Simulated:
    """Return one honest program's connection."""
    dice = random.Random(seed)
    own = table["honest"]
    near = dice.random() < own["near"]
    weights = {kind: one["weight"] for kind, one in own["kinds"].items()}
    kind = _pick(dice, weights)
    program = own["kinds"][kind]
    if near:
        common = dice.random() < own["share_near_common"]
        timer = dice.choice(own["near_common_s"]) if common else dice.uniform(*own["near_s"])
    else:
        timer = float(dice.choice(program["timer_s"]))
    deviation = dice.uniform(*program["jitter_ms"]) / 1000
    seconds = dice.uniform(*own["hours"]) * 3600
    first = dice.randint(*program["first"])
    second = dice.randint(*program["second"]) if "second" in program else 0
    low, high = program["talk_s"]
    talk = low * (high / low) ** dice.random()
    writes = list(
        heapq.merge(
            _keep_alives(dice, timer, deviation, (first, second), seconds),
            _talk(dice, talk, second, first, seconds),
            key=lambda write: write.at,
        )
    )
    version = _pick(dice, own["versions"])
    return Simulated(
        kind,
        version,
        dice.random() < program["named"],
        int(_pick(dice, own["devices"])),
        dice.uniform(*own["days_known"]) * DAY,
        copies(writes, version, Line.draw(dice, table["line"]), dice),
        near=near,
        seconds=seconds,
    )


def _keep_alives(
    dice: random.Random, timer: float, deviation: float, sizes: tuple[int, int], seconds: float
) -> list[Write]:
    first, second = sizes
    writes = []
    due = dice.uniform(0, timer)
    while timer and due < seconds:
        at = due + abs(dice.gauss(0, deviation))
        writes.append(Write(at, first))
        if second:
            writes.append(Write(at, second, apart=True))
        due += timer
    writes.sort(key=lambda write: write.at)
    return writes


def _talk(dice: random.Random, mean: float, second: int, first: int, seconds: float) -> list[Write]:
    """Return other messages: some in bursts of several, each at least a header and a body."""
    writes = []
    at = dice.expovariate(1 / mean)
    while at < seconds:
        moment = at
        for _ in range(dice.choice((1, 1, 2, 5))):
            if second:
                writes.append(Write(moment, first))
                writes.append(Write(moment, dice.randint(20, 3000), apart=True))
            else:
                writes.append(Write(moment, dice.randint(20, 3000)))
            moment += dice.expovariate(5)
        at = moment + dice.expovariate(1 / mean)
    return writes
