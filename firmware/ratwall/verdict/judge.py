"""The judge: evidence in, verdict out.

It is pure: the same facts and packs give the same judgement at any time, and it blocks nothing
itself.

Design note: points are added, but weak facts are not allowed to add up to a block. Without one
decisive fact (a family's certificate, a remembered verdict) the score stops one short of the block
threshold, whatever the packs or the settings say.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ratwall.errors import UsageError
from ratwall.feeds.match import FINGERPRINT
from ratwall.settings.schema import Detection, Rules
from ratwall.signatures.endpoint import Endpoint
from ratwall.signatures.evidence import Evidence
from ratwall.signatures.match import match
from ratwall.signatures.pack import Pack
from ratwall.wire.tls.facts import Anomaly, TlsFacts

SCORE_LIMIT = 100
_RULES = Rules()
MONITORED_ID = "rule.monitored"  # the evidence that says why nothing was cut
_DEFAULTS = Detection()  # the settings say what holds where nobody set anything, and why

# ATT&CK "Encrypted Channel: Asymmetric Cryptography": what a resumed session belongs to.
_MEMORY_TECHNIQUE = "T1573.002"


class Verdict(StrEnum):
    """What is to be done, mildest first."""

    CLEAN = "clean"
    WATCH = "watch"
    ALERT = "alert"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Scores from which on a connection is watched, reported, blocked."""

    watch: int = _DEFAULTS.watch
    alert: int = _DEFAULTS.alert
    block: int = _DEFAULTS.block

    def __post_init__(self) -> None:
        if not 1 <= self.watch < self.alert < self.block <= SCORE_LIMIT:
            raise UsageError(
                "thresholds: allowed is 1 ≤ watch < alert < block ≤ 100, "
                f"found watch {self.watch}, alert {self.alert}, block {self.block}"
            )

    def lowered(self, points: int) -> "Thresholds":
        """Return lower ones for watching and alerting; what is cut stays what it is."""
        watch = max(1, self.watch - points)
        return Thresholds(watch, max(watch + 1, self.alert - points), self.block)


@dataclass(frozen=True, slots=True)
class Remembered:
    """An earlier verdict on a server: when (UTC µs), on which of its ports, by which certificate.

    The certificate lets an allow for it hold on connections that do not show it again.
    """

    family: str | None
    score: int
    learned: int
    port: int
    certificate_sha256: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its score (0 to 100), the family if one is named, and the reasons."""

    verdict: Verdict
    score: int
    family: str | None
    evidence: tuple[Evidence, ...]
    enforced: bool = True  # False: rules that may only tell are needed for this verdict


def judge(
    packs: Sequence[Pack],
    thresholds: Thresholds,
    facts: TlsFacts,
    endpoint: Endpoint,
    remembered: Remembered | None,
    as_of: int,
    rules: Rules = _RULES,
    listed: tuple[Evidence, ...] = (),
) -> Judgement:
    """Judge one connection as of a moment (UTC µs); `listed` is what feeds say of it.

    Pass `remembered` only when the certificate is hidden; a certificate in view speaks for itself.
    A rule that is off says nothing. What one in monitor mode says is told and counted, but when it
    takes that to reach the block threshold, the judgement says that nothing is to be cut.
    """
    matched = match(packs, facts, endpoint)
    if listed:
        matched = _strongest_hello((*matched, *listed), packs)
    evidence = (*matched, *_from_course(facts))
    if remembered is not None:
        evidence = (_from_memory(remembered, endpoint, as_of), *evidence)
    modes = [(rules.mode_of(item.id), item) for item in evidence]
    judgement = weigh(tuple(item for mode, item in modes if mode != "off"), thresholds)
    if judgement.verdict is not Verdict.BLOCK:
        return judgement
    acting = tuple(item for mode, item in modes if mode == "enforce")
    if weigh(acting, thresholds).verdict is Verdict.BLOCK:
        return judgement
    names = ", ".join(item.id for mode, item in modes if mode == "monitor")
    note = Evidence(MONITORED_ID, 0, f"Not cut: set to tell only ({names}).", None)
    return replace(judgement, evidence=(*judgement.evidence, note), enforced=False)


def _strongest_hello(evidence: tuple[Evidence, ...], packs: Sequence[Pack]) -> tuple[Evidence, ...]:
    """Count what packs and feeds say of the hello once, by the stronger of them."""
    if all(item.id != FINGERPRINT for item in evidence):
        return evidence
    hello = {rule.id for pack in packs for rule in pack.rules if rule.group == "hello"}
    said = [item for item in evidence if item.id == FINGERPRINT or item.id in hello]
    strongest = max(said, key=lambda item: item.points)
    return tuple(item for item in evidence if item is strongest or item not in said)


def weigh(evidence: tuple[Evidence, ...], thresholds: Thresholds) -> Judgement:
    """Turn evidence into a judgement: the sum of its points, capped, against the thresholds."""
    decisive = [item for item in evidence if item.decisive]
    limit = SCORE_LIMIT if decisive else thresholds.block - 1
    score = min(sum(item.points for item in evidence), limit)
    verdict = Verdict.CLEAN
    if score >= thresholds.block:
        verdict = Verdict.BLOCK
    elif score >= thresholds.alert:
        verdict = Verdict.ALERT
    elif score >= thresholds.watch:
        verdict = Verdict.WATCH
    ordered = tuple(sorted(evidence, key=lambda item: (not item.decisive, -item.points)))
    family = next((item.family for item in ordered if item.family), None)
    return Judgement(verdict, score, family if decisive else None, ordered)


def _from_memory(remembered: Remembered, endpoint: Endpoint, as_of: int) -> Evidence:
    family = remembered.family or "a remote-control server"
    ago = _duration(as_of - remembered.learned)
    if remembered.port == endpoint.port:
        text = (
            f"This server was recognised as {family} by its certificate {ago} ago; "
            "this connection hides the certificate, so the earlier verdict holds."
        )
    else:
        text = (
            f"This server was recognised as {family} on port {remembered.port} {ago} ago; "
            "this connection resumes a session without showing a certificate."
        )
    return Evidence(
        id="memory.server",
        points=remembered.score,
        text=text,
        technique=_MEMORY_TECHNIQUE,
        decisive=True,
        family=remembered.family,
    )


def _from_course(facts: TlsFacts) -> Iterator[Evidence]:
    """Yield what the course of a connection says: worth no points, but to be read with the rest."""
    if facts.picked_up:
        text = (
            "The connection was running already when Ratwall began to read it: picked up "
            "mid-stream, its certificate not seen."
        )
        yield Evidence("flow.picked-up", 0, text, None)
    if Anomaly.OVERLAP_CONFLICT in facts.anomalies:
        text = (
            "The server sent two versions of the same bytes. Where connections are cut, its client "
            "gets the first and never the other: this one was held to the first, and not reset."
        )
        yield Evidence("flow.held", 0, text, None)
    if Anomaly.OUT_OF_TURN in facts.anomalies:
        text = (
            "The server answered in TLS before its client had asked. Where connections are cut, no "
            "more of it gets through: this one was held, and not reset."
        )
        yield Evidence("flow.held", 0, text, None)
    if facts.preamble is not None:
        text = f"The encrypted part began behind a dialogue in clear text ({facts.preamble})."
        yield Evidence("flow.preamble", 0, text, None)


def _duration(microseconds: int) -> str:
    """Say a time span in its largest whole unit, as "2 hours"."""
    seconds = max(0, microseconds // 1_000_000)
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}" + ("s" if count > 1 else "")
    return "less than a minute"
