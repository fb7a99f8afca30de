"""The state of the box as Prometheus reads it: text format 0.0.4, made by hand.

Pure: what the controller says goes in, lines come out. No label grows with traffic: none holds an
address, a device or a name from the wire; the longest list is that of the feeds in the settings.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ratwall_web.wording import PROTECTION

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MICROSECONDS = 1_000_000
# Inspectors' counters: key in the status, and what is counted. Each starts anew with its process.
WORKER_COUNTERS = {
    "queued": ("queued_packets", "Packets that the kernel gave to this inspector."),
    "flows": ("inspected_connections", "Connections that this inspector judged."),
    "blocked": ("cut_connections", "Connections that this inspector cut."),
    "reports_lost": ("lost_reports", "Reports that the controller was too slow to take."),
    "failures": ("failures", "Packets at which this inspector failed; they passed."),
    "evicted": ("evicted_connections", "Connections given up for lack of room."),
}
TODAY = ("blocked", "would_block", "inspected", "uninspected", "alerts")

Labels = Mapping[str, str]
Sample = tuple[Labels, float]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with its samples; `kind` is `gauge` or `counter`."""

    name: str
    kind: str
    about: str
    samples: list[Sample]


def exposition(status: dict[str, Any] | None, figures: dict[str, Any] | None) -> str:
    """Return all metrics as text; None is a controller or a ledger that does not answer."""
    families = [
        _one("up", "gauge", "Whether the controller answers.", float(status is not None)),
        _one("ledger_up", "gauge", "Whether the ledger can be read.", float(figures is not None)),
    ]
    if status is not None:
        families += [*_state(status), *_workers(status), *_kernel(status), *_lists(status)]
        families += _exports(status.get("export") or {})
    if figures is not None:
        families += _figures(figures)
    return "".join(line for family in families if family.samples for line in _lines(family))


def _state(status: dict[str, Any]) -> Iterator[Family]:
    about = {"version": str(status.get("version")), "mode": str(status.get("mode"))}
    yield _one("info", "gauge", "Version and mode of the box; always 1.", 1, about)
    states: list[Sample] = [
        ({"state": state}, float(status["state"] == state)) for state in PROTECTION
    ]
    yield Family("state", "gauge", "The state of protection: 1 for the one that holds.", states)
    enforcing = float(bool(status.get("enforce")))
    yield _one("enforcing", "gauge", "Whether guilty connections are cut.", enforcing)
    pauses = len(status.get("pauses") or [])
    yield _one("pauses", "gauge", "Pauses in force.", pauses)
    yield _one("blocks", "gauge", "Servers refused at this moment.", status.get("blocks", 0))
    problem = float(bool(status.get("kernel_problem")))
    yield _one("kernel_problem", "gauge", "Whether the kernel refuses changes.", problem)
    ledger = status.get("ledger") or {}
    yield _one("ledger_bytes", "gauge", "Size of the ledger.", ledger.get("bytes", 0))
    waiting = ledger.get("waiting", 0)
    yield _one("ledger_waiting_rows", "gauge", "Rows that wait to be written.", waiting)
    lost = ledger.get("lost", 0)
    yield _one("ledger_lost_rows_total", "counter", "Rows that could not be written.", lost)
    tested = status.get("selftest")
    if tested:
        passed = float(tested.get("ok") is True)
        yield _one("selftest_passed", "gauge", "Whether the last self-test was cut.", passed)
        when = _seconds(tested.get("time"))
        yield _one("selftest_timestamp_seconds", "gauge", "When the last self-test ran.", when)


def _workers(status: dict[str, Any]) -> Iterator[Family]:
    inspectors = [each for each in status.get("inspectors") or [] if each["worker"] is not None]
    alive: list[Sample] = [
        ({"worker": str(each["worker"])}, float(each["alive"])) for each in inspectors
    ]
    yield Family("inspector_alive", "gauge", "Whether an inspector was heard of lately.", alive)
    for key, (name, about) in WORKER_COUNTERS.items():
        samples: list[Sample] = [
            ({"worker": str(each["worker"])}, float(each[key]))
            for each in inspectors
            if key in each
        ]
        yield Family(f"inspector_{name}_total", "counter", about, samples)
    uptime: list[Sample] = [
        ({"worker": str(each["worker"])}, float(each["uptime_s"]))
        for each in inspectors
        if "uptime_s" in each
    ]
    yield Family("inspector_uptime_seconds", "gauge", "How long an inspector runs.", uptime)


def _kernel(status: dict[str, Any]) -> Iterator[Family]:
    uninspected = status.get("uninspected") or {}
    yield _one(
        "uninspected_packets_total",
        "counter",
        "Packets that passed because no inspector took them in time.",
        uninspected.get("packets", 0),
    )
    yield _one(
        "uninspected_connections_total",
        "counter",
        "Connections that passed without a look.",
        uninspected.get("flows", 0),
    )
    passed: list[Sample] = [
        ({"kind": kind}, number) for kind, number in (status.get("passed") or {}).items()
    ]
    yield Family("passed_total", "counter", "What passes uninspected by design.", passed)
    observed = status.get("observed") or {}
    if observed:
        now, most = observed["flows"], observed["capacity"]
        yield _one("observed_connections", "gauge", "Connections observed at this moment.", now)
        yield _one("observed_limit", "gauge", "Connections that can be observed.", most)
        evicted, unread = observed["evicted"], observed.get("uncopied", 0) + observed["lost"]
        yield _one("observed_evicted_total", "counter", "Those that made room.", evicted)
        yield _one("observed_unread_total", "counter", "Segments that nobody read.", unread)
    table = status.get("conntrack")
    if table:
        tracked = table["tracked"]
        yield _one("conntrack_entries", "gauge", "Connections in the kernel's table.", tracked)
        yield _one("conntrack_limit", "gauge", "Room in the kernel's table.", table["limit"])


def _lists(status: dict[str, Any]) -> Iterator[Family]:
    feeds = status.get("feeds") or {}
    lists = feeds.get("lists") or []
    held: list[Sample] = [({"feed": each["name"]}, each["indicators"]) for each in lists]
    yield Family("feed_indicators", "gauge", "Indicators of a list in force.", held)
    taken: list[Sample] = [
        ({"feed": each["name"]}, _seconds(each["taken"])) for each in lists if each["taken"]
    ]
    yield Family("feed_taken_timestamp_seconds", "gauge", "When a list was last taken.", taken)
    failed: list[Sample] = [
        ({"feed": each["name"]}, float(each["error"] is not None)) for each in lists
    ]
    yield Family("feed_failed", "gauge", "Whether the last look at a list brought nothing.", failed)
    packs = status.get("signatures") or {}
    number = len(packs.get("packs") or [])
    yield _one("signature_packs", "gauge", "Signature packs in force.", number)
    problems = len(packs.get("problems") or [])
    yield _one("signature_problems", "gauge", "Signature packs left out.", problems)


def _exports(told: dict[str, Any]) -> Iterator[Family]:
    about = {"sent": "Messages a receiver took.", "backlog": "Messages that wait for a receiver."}
    for key, kind in (("sent", "counter"), ("backlog", "gauge")):
        samples: list[Sample] = [
            ({"receiver": name}, each[key]) for name, each in told.items() if each[key] is not None
        ]
        suffix = "_total" if kind == "counter" else ""
        yield Family(f"export_{key}{suffix}", kind, about[key], samples)
    failing: list[Sample] = [
        ({"receiver": name}, float(each["error"] is not None)) for name, each in told.items()
    ]
    yield Family("export_failing", "gauge", "Whether a receiver takes nothing.", failing)


def _figures(figures: dict[str, Any]) -> Iterator[Family]:
    today: list[Sample] = [({"outcome": name}, float(figures[f"{name}_today"])) for name in TODAY]
    yield Family("connections_today", "gauge", "Connections since midnight, by outcome.", today)
    yield _one("devices", "gauge", "Devices seen.", figures["devices"])


def _one(name: str, kind: str, about: str, value: float, labels: Labels | None = None) -> Family:
    return Family(name, kind, about, [(labels or {}, value)])


def _seconds(moment: int | None) -> float:
    return 0.0 if moment is None else moment / MICROSECONDS


def _lines(family: Family) -> Iterable[str]:
    name = f"ratwall_{family.name}"
    yield f"# HELP {name} {family.about}\n# TYPE {name} {family.kind}\n"
    for labels, value in family.samples:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{inside}}} {value!r}\n" if inside else f"{name} {value!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
