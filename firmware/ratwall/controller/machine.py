"""One look at the machine: processor, memory, temperature, disk, ports; all of it as counters.

Only reads what the kernel says, through psutil, and never compares: what a figure means is
`ratwall.controller.health`'s. Here and not in the admin page, because the page's unit hides
/proc but for processes, and has a network of its own without the box's ports. What the kernel
does not say, such as the temperature of a virtual machine, is None.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

# Where the processor's own sensor is called one of these, it is taken; else the hottest of all.
PROCESSOR_SENSORS = ("cpu_thermal", "coretemp", "k10temp", "zenpower", "soc_thermal")


@dataclass(frozen=True, slots=True)
class Port:
    """A network port: whether its link is up, its speed, and bytes since it came up."""

    up: bool
    speed_mbit: int | None
    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look found; `at` and `uptime_s` by a clock that nobody sets."""

    at: float
    uptime_s: int
    processor_busy: float  # seconds since the start, of all cores together
    processor_all: float
    cores: int
    memory_bytes: int
    memory_free: int  # what programs may still take
    temperature: float | None  # degrees Celsius
    disk_bytes: int | None
    disk_free: int | None
    ports: dict[str, Port | None]  # None: there is no such port


def look(ports: Sequence[str], directory: Path) -> Reading:
    """Return how the machine fares; `directory` is on the disk that is looked at."""
    times = psutil.cpu_times()
    whole = sum(times)
    # Counted in user and nice already: Linux counts a guest's time twice.
    whole -= getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    memory = psutil.virtual_memory()
    size, free = _disk(directory)
    return Reading(
        at=time.monotonic(),
        uptime_s=int(time.clock_gettime(time.CLOCK_BOOTTIME)),
        processor_busy=whole - times.idle - getattr(times, "iowait", 0.0),
        processor_all=whole,
        cores=psutil.cpu_count() or 1,
        memory_bytes=memory.total,
        memory_free=memory.available,
        temperature=_temperature(),
        disk_bytes=size,
        disk_free=free,
        ports=_ports(ports),
    )


def _disk(directory: Path) -> tuple[int | None, int | None]:
    try:
        usage = psutil.disk_usage(str(directory))
    except OSError:
        return None, None
    return usage.total, usage.free


def _temperature() -> float | None:
    try:
        sensors = psutil.sensors_temperatures()
    except OSError:  # a sensor that went away while it was read
        return None
    of_processor = [sensors[name] for name in PROCESSOR_SENSORS if sensors.get(name)]
    found = [one.current for group in of_processor or sensors.values() for one in group]
    return max(found, default=None)


def _ports(names: Sequence[str]) -> dict[str, Port | None]:
    """Return each port; one that is taken away while it is looked at is not there."""
    try:
        states, counts = psutil.net_if_stats(), psutil.net_io_counters(pernic=True, nowrap=False)
    except OSError:
        return dict.fromkeys(names)
    found: dict[str, Port | None] = {}
    for name in names:
        state, count = states.get(name), counts.get(name)
        if state is None or count is None:
            found[name] = None
        else:
            # A port that does not say, as a virtual one, says 0, or 65535 for "unknown".
            speed = state.speed if 0 < state.speed < 0xFFFF else None
            found[name] = Port(state.isup, speed, count.bytes_recv, count.bytes_sent)
    return found
