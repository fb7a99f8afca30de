"""From a rhythm and its circumstances to evidence: what is worth telling, and what may be cut.

Pure. A period alone says nothing: brokers, VPNs and chat programs beat like that all day. Told is a
rhythm with other facts, and the evidence names which. Only the families' own shape with no server
name and two of their other habits (TLS 1.0, a server that is new here, answers that are answered)
is decisive.

The derivation of the numbers, with what they cost and catch: docs/detection.md.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ratwall.rhythm.answers import NO_ANSWERS, Answered, answered
from ratwall.rhythm.beats import ANSWER_US, PREFIX_LENGTHS, BeatLog
from ratwall.rhythm.fold import SECOND, STOCK_HIGH, STOCK_LOW, Rhythm, beats_faster, constant
from ratwall.signatures.evidence import Evidence

# Each number's derivation is in docs/detection.md; a chance is that of events without a rhythm.
STOCK_BEATS: Final = 4  # three equal gaps; one beat may have come late
LEAST_BURSTS: Final = 3  # of a connection: a ping in the results of a command begins none
REDRAWN_BEATS: Final = 12  # eleven gaps inside the bounds
# Any other constant period: enough that chance is out of the question at the rate of the bursts.
STEADY_BEATS: Final = 6
SETTLED_BEATS: Final = 12
STOCK_CHANCE: Final = 1e-2  # with the answers; the shape and a second fact come on top
UNANSWERED_CHANCE: Final = 1e-3  # without: on a bad line some are lost, or there are none
REDRAWN_CHANCE: Final = 1e-7  # with the answers: of gaps of any length too many lie in its bounds
STEADY_CHANCE: Final = 1e-6  # a flow; an office has some 10,000 long flows a month
# Bursts after which any other period is looked for less often: what beats is found by then, and
# what begins to beat later, a little later.
EAGER, EVERY = 48, 4
PING_MOST: Final = 640  # bytes of its record: a window's title and a few words; 80 was measured
LONGER_MOST: Final = 1
# A third of the beats, and two at least, must have been followed by the client's answer to the
# server's: its first message is not answered, and on a bad line one or two are lost.
ANSWERED_SHARE, ANSWERED_LEAST = 3, 2

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

    @property
    def decisive(self) -> bool:
        """Whether it may be cut for it, where its rule is enforced."""
        return any(one.decisive for one in self.evidence)

    @property
    def settled(self) -> bool:
        """Whether more beats would add nothing to it."""
        return self.decisive or (self.shape and len(self.rhythm.beats) >= SETTLED_BEATS)


def decide(log: BeatLog, around: Circumstances) -> Decision | None:
    """Return what the newest burst or message completes, None if nothing."""
    # Without a second fact nothing would be told: that is most connections, and costs nothing.
    if not (around.nameless or around.old or around.rare):
        return None
    if log.messages and _fits(log.prefix, around.tls_version):
        found = _stock(log, around) or _redrawn(log, around)
        if found is not None:
            return found
    return _steady(log, around)


def _fits(prefix: int, version: str | None) -> bool:
    """Say whether a length's record is as long as this version makes it."""
    return version is None or PREFIX_LENGTHS[prefix] == version


def _stock(log: BeatLog, around: Circumstances) -> Decision | None:
    sent = log.sent
    if len(sent) < STOCK_BEATS:
        return None
    # What follows a message that soon may be the answer to the server's answer to it.
    newest = len(sent) - 1
    if sent[newest] - sent[newest - 1] < ANSWER_US:
        newest -= 1
    rhythm = constant(sent, STOCK_LOW, STOCK_HIGH, newest, skips=True)
    if rhythm is None or len(rhythm.beats) < STOCK_BEATS:
        return None
    if not _are_pings(rhythm.beats, log):
        return None
    answers = answered(rhythm.beats, sent, log.sizes)
    rhythm = replace(rhythm, chance=rhythm.chance * answers.chance)
    allowed = STOCK_CHANCE if _acknowledged(answers) else UNANSWERED_CHANCE
    if rhythm.chance > allowed or beats_faster(sent, rhythm):
        return None
    return _told("rhythm.stock", rhythm, answers, around, shape=True)


def _redrawn(log: BeatLog, around: Circumstances) -> Decision | None:
    if log.events.length < REDRAWN_BEATS:
        return None
    rhythm = log.events.redrawn()
    if rhythm is None or len(rhythm.beats) < REDRAWN_BEATS or not _are_pings(rhythm.beats, log):
        return None
    answers = answered(rhythm.beats, log.sent, log.sizes)
    rhythm = replace(rhythm, chance=rhythm.chance * answers.chance)
    if rhythm.chance > REDRAWN_CHANCE or not _acknowledged(answers):
        return None
    return _told("rhythm.redrawn", rhythm, answers, around, shape=True)


def _are_pings(beats: Sequence[int], log: BeatLog) -> bool:
    """Say whether the beats are as short as a ping is, but for one: the first message is longer."""
    longer = 0
    for beat in beats:
        place = bisect_left(log.sent, beat)
        longer += place < len(log.sent) and log.sizes[place] > PING_MOST
    return longer <= LONGER_MOST


def _steady(log: BeatLog, around: Circumstances) -> Decision | None:
    if len(log.times) < STEADY_BEATS or not around.rare:
        return None
    if log.bursts > EAGER and log.bursts % EVERY:
        return None
    rhythm = constant(log.times)
    if rhythm is None or len(rhythm.beats) < STEADY_BEATS or rhythm.chance > STEADY_CHANCE:
        return None
    shape = (
        log.messages > 0
        and _fits(log.prefix, around.tls_version)
        and set(rhythm.beats) <= set(log.sent)
    )
    if not (shape or around.nameless):  # without the shape it takes both
        return None
    answers = answered(rhythm.beats, log.sent, log.sizes) if shape else NO_ANSWERS
    return _told("rhythm.steady", rhythm, answers, around, shape=shape)


def _acknowledged(answers: Answered) -> bool:
    return answers.beats >= ANSWERED_LEAST and answers.beats * ANSWERED_SHARE >= answers.of


def _told(
    rule: str, rhythm: Rhythm, answers: Answered, around: Circumstances, *, shape: bool
) -> Decision:
    acknowledged = shape and _acknowledged(answers)
    facts = tuple(_second_facts(around, shape=shape, answered=acknowledged))
    decisive = (
        rule != "rhythm.steady"
        and around.nameless
        and sum((acknowledged, around.old, around.rare)) >= 2
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
# An alert takes 60: with the shape three facts of four, or the answers and one of the others. A
# honest program may have the shape, a timer, and any one.
POINTS: Final = {"rhythm.stock": 5, "rhythm.redrawn": 5, "rhythm.steady": 5}  # timers, like many
DECISIVE_POINTS: Final = 50  # no honest program of those examined has all of it together
SHAPE_POINTS: Final = 20
ANSWERED_POINTS: Final = 20  # of the honest ones examined none has it together with the shape
NAMELESS_POINTS: Final = 15
OLD_POINTS: Final = 15
RARE_POINTS: Final = 15


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
