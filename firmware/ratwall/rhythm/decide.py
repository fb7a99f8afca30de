"""From a rhythm and its circumstances to evidence: what is worth telling, and what may be cut.

Pure. A period alone says nothing: brokers, VPNs and chat programs beat like that all day. Told is a
rhythm with a second fact, and the evidence names which. Only the families' own shape with no server
name and either the TLS version that they hard-code or all the rest of their habits is decisive.

The derivation of the numbers, with what they cost and catch: docs/detection.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ratwall.rhythm.beats import BeatLog
from ratwall.rhythm.fold import SECOND, STOCK_HIGH, STOCK_LOW, Rhythm, constant, redrawn
from ratwall.signatures.evidence import Evidence

STOCK_BEATS: Final = 4  # three equal gaps
REDRAWN_BEATS: Final = 12  # eleven gaps inside the bounds
# Any other constant period: enough that chance is out of the question at the rate of the bursts.
STEADY_BEATS: Final = 6
STEADY_CHANCE: Final = 1e-6  # a flow; an office has some 10,000 long flows a month
STOCK_CHANCE: Final = 1e-2  # the shape and a second fact come on top
REDRAWN_CHANCE: Final = 1e-3
# Half of the beats must have been followed by the client's answer to the server's.
ANSWERED_SHARE: Final = 2

_ENCRYPTED_CHANNEL: Final = "T1573.002"  # ATT&CK: Encrypted Channel: Asymmetric Cryptography
_OLD: Final = ("SSLv3", "TLS 1.0", "TLS 1.1")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else is known of the connection; `devices` and `age` of its server at this site."""

    named: bool | None = None  # whether its hello named a server; None: it was not seen
    tls_version: str | None = None
    devices: int | None = None  # that had to do with the server; None: not known
    age: int | None = None  # microseconds since the first of them

    @property
    def old(self) -> bool:
        """A version that hardly anything but old appliances and these families asks for."""
        return self.tls_version in _OLD

    @property
    def nameless(self) -> bool:
        """Its hello was seen and named no server."""
        return self.named is False

    @property
    def rare(self) -> bool:
        """Few devices know the server, and none for long."""
        return (
            self.devices is not None
            and self.age is not None
            and self.devices <= RARE_DEVICES
            and self.age < RARE_AGE_US
        )


RARE_DEVICES: Final = 2  # a program that a business uses is on more than two of its devices, or ...
RARE_AGE_US: Final = 7 * 86_400 * SECOND  # ... has been there for more than a week


@dataclass(frozen=True, slots=True)
class Decision:
    """A rhythm worth telling of: its rule, and why."""

    rule: str
    rhythm: Rhythm
    shape: bool  # the beats have the families' shape
    evidence: tuple[Evidence, ...]


def decide(log: BeatLog, around: Circumstances) -> Decision | None:
    """Return what the newest burst completes, None if nothing; cheap enough for every burst."""
    # Without a second fact nothing would be told: that is most connections, and costs nothing.
    if len(log.times) < STOCK_BEATS or not (around.nameless or around.old or around.rare):
        return None
    marked = log.marked()
    if len(marked) >= STOCK_BEATS and marked[-1] == log.times[-1]:
        found = constant(marked, STOCK_LOW, STOCK_HIGH)
        if found is not None and len(found.beats) >= STOCK_BEATS and found.chance <= STOCK_CHANCE:
            return _told("rhythm.stock", found, log, around, shape=True)
        found = redrawn(marked) if len(marked) >= REDRAWN_BEATS else None
        if (
            found is not None
            and len(found.beats) >= REDRAWN_BEATS
            and found.chance <= REDRAWN_CHANCE
        ):
            return _told("rhythm.redrawn", found, log, around, shape=True)
    if len(log.times) < STEADY_BEATS or not around.rare:
        return None
    found = constant(log.times)
    if found is None or len(found.beats) < STEADY_BEATS or found.chance > STEADY_CHANCE:
        return None
    shaped = set(found.beats) <= set(marked)
    return _told("rhythm.steady", found, log, around, shape=shaped)


def _told(
    rule: str, rhythm: Rhythm, log: BeatLog, around: Circumstances, *, shape: bool
) -> Decision | None:
    answered = log.answers(rhythm.beats) * ANSWERED_SHARE >= len(rhythm.beats)
    facts = tuple(_second_facts(around, shape=shape, answered=shape and answered))
    # Without the shape it takes both: no name, and a server that is new here.
    if rule == "rhythm.steady" and not (shape or around.nameless):
        return None
    decisive = (
        rule != "rhythm.steady" and around.nameless and (around.old or (around.rare and answered))
    )
    return Decision(rule, rhythm, shape, (_beat_evidence(rule, rhythm, decisive), *facts))


def _beat_evidence(rule: str, rhythm: Rhythm, decisive: bool) -> Evidence:
    beats, seconds = len(rhythm.beats), rhythm.period / SECOND
    if rhythm.redrawn:
        text = (
            f"The device reports in {beats} times in a row, each time after ten to fifteen "
            f"seconds, {seconds:.1f} on average, as remote-control tools do."
        )
    else:
        text = f"The device reports in like a clock: {beats} times, every {seconds:.1f} seconds."
    points = POINTS[rule] + (DECISIVE_POINTS if decisive else 0)
    return Evidence(rule, points, text, _ENCRYPTED_CHANNEL, decisive=decisive)


# Points, with the reasons for them; the sum is compared with the thresholds like any other.
POINTS: Final = {
    "rhythm.stock": 30,  # worth a look: the period and the shape together
    "rhythm.redrawn": 30,
    "rhythm.steady": 20,  # a timer, like many
}
DECISIVE_POINTS: Final = 50  # no honest program of those examined has all of it together
SHAPE_POINTS: Final = 20
NAMELESS_POINTS: Final = 15
OLD_POINTS: Final = 15
RARE_POINTS: Final = 15
ANSWERED_POINTS: Final = 10


def _second_facts(around: Circumstances, *, shape: bool, answered: bool) -> Iterator[Evidence]:
    if shape:
        text = (
            "Each message has its length in a small record of its own in front: AsyncRAT and its "
            "relatives write like that, few others do."
        )
        yield Evidence("rhythm.shape", SHAPE_POINTS, text, _ENCRYPTED_CHANNEL)
    if answered:
        text = "Each report is answered, and the answer acknowledged, as these families do."
        yield Evidence("rhythm.answered", ANSWERED_POINTS, text, _ENCRYPTED_CHANNEL)
    if around.nameless:
        text = "The connection was opened by address: its hello names no server."
        yield Evidence("rhythm.no-name", NAMELESS_POINTS, text, None)
    if around.old:
        text = f"It speaks {around.tls_version}, which hardly any program of today asks for."
        yield Evidence("rhythm.old-tls", OLD_POINTS, text, None)
    if around.rare:
        few = "One device" if around.devices == 1 else f"{around.devices} devices"
        text = f"{few} of this office had to do with the server, and not for longer than a week."
        yield Evidence("rhythm.rare", RARE_POINTS, text, None)
