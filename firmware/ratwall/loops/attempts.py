"""Attempts to reach one server that failed, and whether they come in a loop.

Pure and bounded: of each device and server the newest attempts are kept, whatever the port. Who is
not answered tries again; honest programs wait longer each time, or at least not the same to the
tenth of a second. These families sleep for a fixed time and know nothing of patience: AsyncRAT and
DcRat five seconds on top of the time that the attempt took, Quasar three and a random part.

Design note: the start of an attempt is the kernel's time stamp of its first packet, so a busy
controller shifts nothing. Gaps are looked at, not a grid: how long an attempt takes to fail is
part of the loop.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from ratwall.signatures.evidence import Evidence

SECOND: Final = 1_000_000  # microseconds
ENOUGH: Final = 6  # attempts: five equal gaps in a row
KEPT: Final = 16
STEADY_US: Final = 300_000  # between the longest and the shortest gap: a timer and a round trip
# A gap is a fixed sleep and the time that the attempt took to fail, up to a system's own patience.
SLEEP_US: Final = 5 * SECOND
SLEEP_EARLY_US: Final = 50_000  # a sleep ends late, not early; clocks differ by less
FAILS_WITHIN_US: Final = 30 * SECOND  # Windows gives a SYN up after 21 s
QUASAR_LOW: Final = 3_200_000  # 3 s and 250 to 750 ms; 3.34 to 3.83 s were measured
QUASAR_HIGH: Final = 3_950_000

_FALLBACK: Final = "T1008"  # ATT&CK: Fallback Channels
_PORT: Final = "T1571"  # Non-Standard Port
USUAL_PORTS: Final = frozenset({80, 443})


@dataclass(slots=True)
class Attempts:
    """The newest failed attempts of one device to reach one server: start (µs) and port."""

    tries: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def failed(self, start: int, port: int) -> None:
        """Take in an attempt; the order in which they are told need not be that of their starts."""
        self.tries.append((start, port))
        if len(self.tries) > 1 and self.tries[-2][0] > start:
            self.tries = deque(sorted(self.tries), maxlen=KEPT)

    def succeeded(self) -> None:
        """Take note that the server answered: the loop, if there was one, is over."""
        self.tries.clear()

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that were tried, each once, in order."""
        return tuple(sorted({port for _, port in self.tries}))


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop: its rule, its attempts (µs, oldest first) and the mean gap in microseconds."""

    rule: str
    starts: tuple[int, ...]
    gap: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else is known: devices that had to do with the server, and whether it was looked up by
    a name."""

    devices: int | None
    named: bool


def find_loop(attempts: Attempts) -> Loop | None:
    """Return the loop that the newest attempts form, None if they form none."""
    starts = [start for start, _ in attempts.tries][-ENOUGH:]
    if len(starts) < ENOUGH:
        return None
    gaps = [later - one for one, later in pairwise(starts)]
    low, high = min(gaps), max(gaps)
    mean = sum(gaps) // len(gaps)
    if low >= QUASAR_LOW and high <= QUASAR_HIGH:
        return Loop("loop.three-seconds", tuple(starts), mean)
    within = low >= SLEEP_US - SLEEP_EARLY_US and high <= SLEEP_US + FAILS_WITHIN_US
    if within and high - low <= STEADY_US:
        return Loop("loop.five-seconds", tuple(starts), mean)
    return None


# Points with their reasons; the sum is compared with the thresholds, and never blocks.
LOOP_POINTS: Final = 35  # worth a look: fixed sleeps are rare, but drivers and agents have them too
RARE_POINTS: Final = 15
NAMELESS_POINTS: Final = 10
PORTS_POINTS: Final = 20  # honest programs do not go through a list of ports
PORT_POINTS: Final = 10
RARE_DEVICES: Final = 2


def loop_evidence(
    loop: Loop, ports: tuple[int, ...], around: Surroundings, family_ports: frozenset[int]
) -> Iterator[Evidence]:
    """Yield the loop and what goes with it; `family_ports` are those that families use."""
    text = (
        f"The device tries to reach this server again and again, every {loop.gap / SECOND:.1f} "
        "seconds and never more slowly, as remote-control tools do whose server is away."
    )
    yield Evidence(loop.rule, LOOP_POINTS, text, _FALLBACK)
    if len(ports) > 1:
        listed = ", ".join(str(port) for port in ports)
        yield Evidence("loop.ports", PORTS_POINTS, f"It tries several ports: {listed}.", _FALLBACK)
    typical = sorted(family_ports & set(ports) - USUAL_PORTS)
    if typical:
        text = f"Port {typical[0]} is one that such tools use by default."
        yield Evidence("loop.port", PORT_POINTS, text, _PORT)
    if not around.named:
        text = "Nobody here looked the server up by a name: the program knows its address."
        yield Evidence("loop.no-name", NAMELESS_POINTS, text, None)
    if around.devices is not None and around.devices <= RARE_DEVICES:
        text = "No other device of this office has to do with the server."
        if around.devices == RARE_DEVICES:
            text = "Only one other device of this office has to do with the server."
        yield Evidence("loop.rare", RARE_POINTS, text, None)
