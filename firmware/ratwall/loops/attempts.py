"""Attempts to reach one server that failed, and whether they come in a loop.

Pure and bounded: of each device and server the newest attempts are kept, whatever the port. Who is
not answered tries again; honest programs wait longer each time, or at least not the same to the
tenth of a second. These families sleep for a fixed time and know nothing of patience: AsyncRAT and
DcRat five seconds on top of the time that the attempt took, Quasar three and a random part.

Design note: the start of an attempt is the kernel's time stamp of its first packet, so a busy
controller shifts nothing. Gaps are looked at, not a grid: how long an attempt takes to fail is
part of the loop, and is seen where the system asks again by itself, as Windows does. A sleep ends
late and never early, so one gap that is shorter speaks against it for as long as it is remembered;
that is what tells most timers with a jitter.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from ratwall.signatures.evidence import Evidence

SECOND: Final = 1_000_000  # microseconds
ENOUGH: Final = 6  # attempts: five equal gaps in a row
KEPT: Final = 16
STEADY_US: Final = 300_000  # between the longest and the shortest gap: a timer and a round trip
# A gap is a fixed sleep and the time that the attempt took to fail.
SLEEP_US: Final = 5 * SECOND
SLEEP_EARLY_US: Final = 20_000  # a sleep ends late, not early; the way to the box differs by less
# A refusal takes a round trip, by satellite 0.6 s. Where the system asks again (Windows: twice,
# half a second apart) each time is seen, so that only what follows the last is not.
ROUND_TRIP_US: Final = 600_000
ASKS_AGAIN_US: Final = 500_000  # that it may wait for one more answer
FAILS_SOON_US: Final = 3 * SECOND  # without an answer, as where the way there is gone
# Without any answer a system gives up after its own patience: Windows after 21 s.
PATIENCE_US: Final = (19 * SECOND, 24 * SECOND)
SAME_ATTEMPT_US: Final = 3 * SECOND  # Windows asks a server that refuses twice more, from one port
QUASAR_LOW: Final = 3_200_000  # 3 s and 250 to 750 ms; 3.34 to 3.83 s were measured
QUASAR_HIGH: Final = 3_950_000

_FALLBACK: Final = "T1008"  # ATT&CK: Fallback Channels
_PORT: Final = "T1571"  # Non-Standard Port
USUAL_PORTS: Final = frozenset({80, 443})


class Attempt(NamedTuple):
    """One that failed: its start in microseconds, the port, the device's port, whether the
    server refused it, rather than say nothing, and how long after the start the system asked again.
    """

    start: int
    port: int
    source_port: int
    refused: bool
    asked: int = 0


@dataclass(slots=True)
class Attempts:
    """The newest failed attempts of one device to reach one server."""

    tries: deque[Attempt] = field(default_factory=lambda: deque(maxlen=KEPT))

    def failed(self, attempt: Attempt) -> bool:
        """Take in an attempt, in whatever order they are told; False if it is one of the same."""
        for number, other in enumerate(self.tries):
            if _same(attempt, other):
                asked = max(other.asked, attempt.start - other.start)
                self.tries[number] = other._replace(asked=asked)
                return False
        self.tries.append(attempt)
        if len(self.tries) > 1 and self.tries[-2].start > attempt.start:
            self.tries = deque(sorted(self.tries), maxlen=KEPT)
        return True

    def succeeded(self) -> None:
        """Take note that the server answered: the loop, if there was one, is over."""
        self.tries.clear()

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that were tried, each once, in order."""
        return tuple(sorted({one.port for one in self.tries}))


def _same(attempt: Attempt, other: Attempt) -> bool:
    """Say whether the system asked again by itself: all ends alike, soon after."""
    return attempt[1:3] == other[1:3] and 0 <= attempt.start - other.start < SAME_ATTEMPT_US


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop: its rule, its attempts (µs, oldest first), the mean gap in microseconds, and whether
    it was seen when each attempt had failed, so that the rest of the gap is the sleep alone."""

    rule: str
    starts: tuple[int, ...]
    gap: int
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else is known: devices that had to do with the server, and whether it was looked up by
    a name."""

    devices: int | None
    named: bool


def find_loop(attempts: Attempts) -> Loop | None:
    """Return the loop that the newest attempts form, None if they form none."""
    tries = list(attempts.tries)
    if len(tries) < ENOUGH:
        return None
    all_gaps = [later.start - one.start for one, later in pairwise(tries)]
    # From when the system asked last: the sleep, and a round trip.
    all_sleeps = [gap - one.asked for one, gap in zip(tries, all_gaps, strict=False)]
    newest = tries[-ENOUGH:]
    gaps, sleeps = all_gaps[1 - ENOUGH :], all_sleeps[1 - ENOUGH :]
    starts = tuple(one.start for one in newest)
    mean = sum(gaps) // len(gaps)
    measured = all(one.asked for one in newest[:-1])
    if min(sleeps) >= QUASAR_LOW and max(sleeps) <= QUASAR_HIGH:
        return Loop("loop.three-seconds", starts, mean, measured)
    slept = all(map(_is_sleep, newest, sleeps))
    steady = max(gaps) - min(gaps) <= STEADY_US
    if slept and steady and min(all_sleeps) >= SLEEP_US - SLEEP_EARLY_US:
        return Loop("loop.five-seconds", starts, mean, measured)
    return None


def _is_sleep(attempt: Attempt, rest: int) -> bool:
    """Say whether what follows an attempt is the fixed sleep, and what was not seen of its end."""
    unseen = rest - SLEEP_US
    if attempt.refused:
        most = ROUND_TRIP_US + (ASKS_AGAIN_US if attempt.asked else 0)
        return -SLEEP_EARLY_US <= unseen <= most
    low, high = PATIENCE_US
    return -SLEEP_EARLY_US <= unseen <= FAILS_SOON_US or low <= unseen <= high


# Points with their reasons; the sum is compared with the thresholds, and never blocks.
# Worth a look: fixed sleeps are rare, but drivers and agents have them too. An alert takes 60: a
# lone server without a name is none while it is tried at a port that everybody uses, unless the
# sleep itself was seen.
LOOP_POINTS: Final = 30
RARE_POINTS: Final = 15
NAMELESS_POINTS: Final = 10
# Windows asked again each time, and the program began to sleep only then: a page's or driver's
# timer does not wait for that. With a lone server without a name it is an alert at any port.
MEASURED_POINTS: Final = 10
PORTS_POINTS: Final = 20  # honest programs do not go through a list of ports
PORT_POINTS: Final = 10
ODD_POINTS: Final = 10  # what pages and most agents use is not odd
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
    if loop.measured:
        text = (
            "It sleeps for the same time after each attempt has failed, however long that took: a "
            "timer would go on meanwhile."
        )
        yield Evidence("loop.sleep", MEASURED_POINTS, text, _FALLBACK)
    if len(ports) > 1:
        listed = ", ".join(str(port) for port in ports)
        yield Evidence("loop.ports", PORTS_POINTS, f"It tries several ports: {listed}.", _FALLBACK)
    typical = sorted(family_ports & set(ports) - USUAL_PORTS)
    if typical:
        text = f"Port {typical[0]} is one that such tools use by default."
        yield Evidence("loop.port", PORT_POINTS, text, _PORT)
    if odd := sorted(set(ports) - USUAL_PORTS):
        text = f"Port {odd[0]} is not one that web sites and most programs use."
        yield Evidence("loop.odd-port", ODD_POINTS, text, _PORT)
    if not around.named:
        text = "Nobody here looked the server up by a name: the program knows its address."
        yield Evidence("loop.no-name", NAMELESS_POINTS, text, None)
    if around.devices is not None and around.devices <= RARE_DEVICES:
        text = "No other device of this office has to do with the server."
        if around.devices == RARE_DEVICES:
            text = "Only one other device of this office has to do with the server."
        yield Evidence("loop.rare", RARE_POINTS, text, None)
