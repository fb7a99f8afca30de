"""How the box itself fares: two looks at the machine compared, and what is tight.

It hears nothing but the time and decides nothing. The machine is looked at every five seconds,
whoever asks: all who watch, in ten tabs and by the API, are answered from one look.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ratwall.controller.listener import Listener
from ratwall.controller.machine import Port, Reading

# A look costs 5 ms, most of it the search for sensors; figures are of the time between two.
LOOK_US = 5_000_000
BITS = 8
# A Pi slows down by itself from 80 degrees on, a mini PC some later.
HOT = 80.0
# Of memory and disk: what is left then does not last for what comes next.
FULL_PERCENT = 90
# For so long the processor may be busy with an update of the lists.
BUSY_PERCENT = 95


class Health(Listener):
    """The last look at the machine, and the one before it."""

    def __init__(self, look: Callable[[], Reading]) -> None:
        """`look` reads the machine; it must not wait."""
        self._look = look
        self._due = 0
        self._before: Reading | None = None
        self._last: Reading | None = None

    def tick(self, now: int) -> None:
        """Look at the machine when it is time."""
        if now >= self._due:
            self._due = now + LOOK_US
            self._before, self._last = self._last, self._look()

    def clock_set(self, by: int) -> None:
        """Look again as soon as before."""
        self._due += by

    def facts(self) -> dict[str, Any] | None:
        """Return what was found last as a JSON-ready object; None before the first look."""
        if self._last is None:
            return None
        return facts(self._before, self._last)


def facts(before: Reading | None, last: Reading) -> dict[str, Any]:
    """Compare two looks. Rates are None while there is one only; `tight` names what is scarce."""
    earlier = {} if before is None else before.ports
    seconds = 0.0 if before is None else last.at - before.at
    found: dict[str, Any] = {
        "uptime_s": last.uptime_s,
        "cores": last.cores,
        "processor_percent": _processor(before, last),
        "memory_bytes": last.memory_bytes,
        "memory_percent": _used(last.memory_bytes, last.memory_free),
        "temperature": None if last.temperature is None else round(last.temperature, 1),
        "disk_bytes": last.disk_bytes,
        "disk_percent": _used(last.disk_bytes, last.disk_free),
        "ports": [
            {"name": name, **_port(port, earlier.get(name), seconds)}
            for name, port in last.ports.items()
        ],
    }
    return {**found, "tight": tight(found)}


def tight(found: Mapping[str, Any]) -> list[str]:
    """Return what is scarce: of processor, memory, disk, temperature, and links that are down."""
    limits = {
        "processor": ("processor_percent", BUSY_PERCENT),
        "memory": ("memory_percent", FULL_PERCENT),
        "disk": ("disk_percent", FULL_PERCENT),
        "temperature": ("temperature", HOT),
    }
    scarce = [
        name
        for name, (key, limit) in limits.items()
        if found[key] is not None and found[key] >= limit
    ]
    return scarce + ["link"] * any(not port["up"] for port in found["ports"])


def _processor(before: Reading | None, last: Reading) -> int | None:
    if before is None or last.processor_all <= before.processor_all:
        return None
    busy = last.processor_busy - before.processor_busy
    return _percent(busy, last.processor_all - before.processor_all)


def _used(size: int | None, free: int | None) -> int | None:
    return None if not size or free is None else _percent(size - free, size)


def _percent(part: float, whole: float) -> int:
    return max(0, min(100, round(100 * part / whole)))


def _port(port: Port | None, before: Port | None, seconds: float) -> dict[str, Any]:
    """Return a port as others are told of it; throughput in bits a second."""
    rates: dict[str, int | None] = {"received_bps": None, "sent_bps": None}
    if port is None:
        return {"there": False, "up": False, "speed_mbit": None, **rates}
    # A port that was taken out and put back counts from nothing.
    grown = before is not None and port.received >= before.received and port.sent >= before.sent
    if before is not None and grown and seconds > 0:
        rates = {
            "received_bps": round((port.received - before.received) * BITS / seconds),
            "sent_bps": round((port.sent - before.sent) * BITS / seconds),
        }
    return {"there": True, "up": port.up, "speed_mbit": port.speed_mbit, **rates}
