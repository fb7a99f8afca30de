"""What the bench found, and how it is shown: medians over the rounds, ratios within one run."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

RATIOS = (("ratwall", "plain"), ("ratwall", "suricata"))


@dataclass
class Figures:
    """What one variant gave, one entry a round, all by the kind of handshake where it matters."""

    bulk: list[float] = field(default_factory=list)  # bytes per second
    rate: dict[str, list[float]] = field(default_factory=dict)  # connections per second
    idle: dict[str, list[float]] = field(default_factory=dict)  # seconds, all handshakes
    busy: list[float] = field(default_factory=list)  # TLS 1.3 beside a bulk transfer
    cpu: dict[str, list[float]] = field(default_factory=dict)  # seconds per 1,000 handshakes
    queued: dict[str, list[float]] = field(default_factory=dict)  # packets per handshake
    resident: dict[str, float] = field(default_factory=dict)  # MB by process
    proportional: float = 0.0  # MB of all processes, what they share counted once


Row = tuple[str, dict[str, float], str]


def quantile(times: list[float], part: float) -> float:
    """A quantile in milliseconds."""
    return sorted(times)[int(len(times) * part)] * 1000


def rows(results: dict[str, Figures]) -> list[Row]:
    """Label, value by variant, and format of each line."""
    found: list[Row] = []

    def row(label: str, value: Callable[[Figures], float], style: str, *, queue: bool) -> None:
        """Add a line; plain forwarding has no value where the queue is what is measured."""
        names = [name for name in results if not (queue and name == "plain")]
        found.append((label, {name: value(results[name]) for name in names}, style))

    def medians(values: dict[str, list[float]], kind: str) -> float:
        return statistics.median(values[kind])

    plain = results["plain"]
    row("bulk, Gbit/s", lambda f: statistics.median(f.bulk) * 8e-9, ".2f", queue=False)
    for kind in plain.rate:
        row(f"{kind} connections/s", lambda f, k=kind: medians(f.rate, k), ".0f", queue=False)
    for kind in plain.idle:
        base = quantile(plain.idle[kind], 0.5)
        for name, part in (("p50", 0.5), ("p99", 0.99)):
            label = f"{kind} handshake {name}, ms"
            row(label, lambda f, k=kind, p=part: quantile(f.idle[k], p), ".2f", queue=False)
        label = f"{kind} added at p50, ms"
        row(label, lambda f, k=kind, b=base: quantile(f.idle[k], 0.5) - b, ".2f", queue=True)
    for name, part in (("p50", 0.5), ("p99", 0.99)):
        label = f"TLS 1.3 during bulk {name}, ms"
        row(label, lambda f, p=part: quantile(f.busy, p), ".2f", queue=False)
    for kind in plain.cpu:
        row(f"{kind}: CPU s per 1,000", lambda f, k=kind: medians(f.cpu, k), ".3f", queue=True)
    for kind in plain.queued:
        row(f"{kind}: packets queued", lambda f, k=kind: medians(f.queued, k), ".1f", queue=True)
    return found


def table(results: dict[str, Figures]) -> str:
    """The figures as lines for a person."""
    shown = rows(results)
    width = max(len(label) for label, _, _ in shown)
    ratios = [(one, other) for one, other in RATIOS if other in results]
    heads = "".join(f"{name:>12}" for name in results)
    heads += "".join(f"{f'{one}/{other}':>18}" for one, other in ratios)
    lines = [" " * width + heads]
    for label, values, style in shown:
        cells = "".join(
            f"{values[name]:>12{style}}" if name in values else f"{'-':>12}" for name in results
        )
        for one, other in ratios:
            below = values.get(other)
            cells += f"{values[one] / below:>18.2f}" if below else f"{'-':>18}"
        lines.append(f"{label:<{width}}{cells}")
    for name, figures in results.items():
        if figures.resident:
            each = ", ".join(f"{key} {value:.0f}" for key, value in figures.resident.items())
            total = sum(figures.resident.values())
            shared = f"{figures.proportional:.0f} with what they share counted once"
            lines.append(f"resident, MB: {name}: {total:.0f}, {shared} ({each})")
    return "\n".join(lines)
