"""Listens to the beats of what is observed, and says when they are a rhythm worth telling.

Between the kernel's copies and `ratwall.rhythm`: one trail of records and one log of bursts for
each observed connection, dropped with it. It never delays or cuts anything.

Design note: most connections are neither nameless nor old nor rare, or end after a page; their
bursts cost a few comparisons, and what is settled is not folded again at every beat. How rare a
server is takes a query, so it is asked at most once in `ASK_AGAIN` bursts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ratwall.controller.messages import FlowReport
from ratwall.controller.proofs import Connection
from ratwall.rhythm.beats import BeatLog
from ratwall.rhythm.decide import LEAST_BURSTS, Circumstances, Decision, decide
from ratwall.rhythm.records import RecordTrail
from ratwall.verdict.finding import Finding
from ratwall.wire.packet import Segment

ASK_AGAIN = 64  # bursts, a quarter of an hour of beats: a server gets known, or stays rare
# Bursts after which what is settled is looked at again: more beats add nothing to it, so this is
# only how old the listing may be, three to six minutes. With 8 it was most of what beats cost.
SETTLED = 32
TOLD_AGAIN = 50  # beats, ten minutes: what goes on is told again, with its newest beats
# A log is worth writing again when it has grown by a quarter, at most by this: a quarter of what it
# holds. So a kill loses one beat of four and two of twelve.
GROWN_PART, GROWN_MOST = 4, 16
LASTING_BURSTS = 2  # a gap, the least that is worth keeping; nearly every page has fewer

Rarity = tuple[int, int]  # devices that had to do with a server, microseconds since the first


@dataclass(slots=True)
class _Listened:
    trail: RecordTrail = field(default_factory=RecordTrail)
    log: BeatLog = field(default_factory=BeatLog)
    around: Circumstances = field(default_factory=Circumstances)
    asked_at: int | None = None  # as of which burst the rarity is
    decision: Decision | None = None
    decided_at: int = 0  # as of which burst the decision is
    # Rule, with the shape or not, decisive or not, and at which burst.
    told: tuple[str, bool, bool, int] | None = None
    written: int | None = None  # as of which burst it is in the ledger
    earlier: bool = False  # it was heard in an earlier life of the controller

    @property
    def speaks(self) -> bool:
        """Whether anything may ever be told of it: most connections have no such fact."""
        around = self.around
        return self.log.bursts >= LASTING_BURSTS and (around.nameless or around.old or around.rare)

    @property
    def has_grown(self) -> bool:
        """Whether what was written of it is out of date."""
        if self.written is None:
            return True
        grown = self.log.bursts - self.written
        return grown >= min(GROWN_MOST, max(1, self.written // GROWN_PART))


@dataclass(frozen=True, slots=True)
class Past:
    """What must last of one connection: its beats, what is known of it, and what was told."""

    log: BeatLog
    around: Circumstances
    told: tuple[str, bool, bool, int] | None


class Rhythms:
    """One entry a connection; `forget` what is observed no longer."""

    def __init__(
        self, rarity: Callable[[str], Rarity | None], found: Callable[[Finding], object]
    ) -> None:
        """`rarity` asks the ledger, None if it cannot tell; `found` takes what is worth telling."""
        self._rarity = rarity
        self._found = found
        self._flows: dict[Connection, _Listened] = {}

    def __len__(self) -> int:
        return len(self._flows)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._flows

    def take_report(self, connection: Connection, report: FlowReport) -> None:
        """Note what a hello said of a connection that is observed."""
        picked_up = any(fact["id"] == "flow.picked-up" for fact in report.evidence)
        named = None if picked_up else report.sni is not None
        flow = self._flows.get(connection)
        if flow is not None and flow.earlier and not picked_up:
            del self._flows[connection]  # its hello was seen: the same ends, but another connection
        self.note(connection, named=named, tls_version=report.tls_version)

    def note(self, connection: Connection, *, named: bool | None, tls_version: str | None) -> None:
        """Note whether its hello named a server, None if it was not seen, and the version."""
        flow = self._flows.get(connection)
        if flow is None:
            self._flows[connection] = _Listened(around=Circumstances(named, tls_version))
        else:
            flow.around = replace(flow.around, named=named, tls_version=tls_version)

    def clock_set(self, by: int) -> None:
        """Keep the gaps: the kernel's time stamps moved with the clock."""
        for flow in self._flows.values():
            flow.log.clock_set(by)
            flow.written = None

    def unwritten(self, *, all_of_it: bool) -> Iterator[tuple[Connection, Past]]:
        """Yield what is worth writing down, what was told of first, then the longest heard.

        `all_of_it`: whatever has changed, as before an end. What is taken counts as written.
        """
        due = [
            (connection, flow)
            for connection, flow in self._flows.items()
            if flow.speaks and (flow.has_grown or (all_of_it and flow.log.bursts != flow.written))
        ]
        due.sort(key=lambda one: (one[1].decision is None, -one[1].log.messages))
        for connection, flow in due:
            flow.written = flow.log.bursts
            yield connection, Past(flow.log, flow.around, flow.told)

    def write_anew(self) -> None:
        """Take note that nothing is written: another ledger was begun."""
        for flow in self._flows.values():
            flow.written = None

    def restore(self, connection: Connection, past: Past) -> None:
        """Go on with a connection that was heard in an earlier life, and still runs."""
        here = self._flows.get(connection)
        if here is None or here.log.bursts < past.log.bursts:
            trail = RecordTrail() if here is None else here.trail
            self._flows[connection] = _Listened(
                trail,
                past.log,
                past.around,
                told=past.told,
                written=past.log.bursts,
                earlier=True,
            )

    def take_segment(self, connection: Connection, segment: Segment, at: int) -> None:
        """Take in a copy of what a client said; `at` is UTC microseconds."""
        flow = self._flows.get(connection)
        if flow is None:
            flow = self._flows[connection] = _Listened()
        length = len(segment.payload) + segment.missing
        records = flow.trail.take(segment.sequence, segment.payload, length)
        if not records or not flow.log.take(at, records):
            return
        bursts = flow.log.bursts
        if bursts < LEAST_BURSTS:
            return
        if (
            flow.decision is not None
            and flow.decision.settled
            and (bursts - flow.decided_at < SETTLED)
        ):
            return
        if flow.asked_at is None or bursts - flow.asked_at >= ASK_AGAIN:
            self._ask(flow, connection[2])
        decision = decide(flow.log, flow.around)
        # Of a beat the length is seen before the message: for that moment it has no shape.
        if decision is not None and (
            flow.decision is None or decision.shape or not flow.decision.shape
        ):
            flow.decision, flow.decided_at = decision, bursts
            self._tell(flow, connection, decision, at)

    def rhythm(self, connection: Connection) -> dict[str, Any] | None:
        """Return the rhythm of a connection for a listing, None if it has none worth telling."""
        flow = self._flows.get(connection)
        if flow is None or flow.decision is None:
            return None
        return {
            "rule": flow.decision.rule,
            "beats": len(flow.decision.rhythm.beats),
            "period_us": flow.decision.rhythm.period,
        }

    def forget(self, connection: Connection) -> None:
        """Let go of a connection."""
        self._flows.pop(connection, None)

    def _ask(self, flow: _Listened, server: str) -> None:
        flow.asked_at = flow.log.bursts
        known = self._rarity(server)
        if known is not None:
            devices, age = known
            flow.around = replace(flow.around, devices=devices, age=age)

    def _tell(self, flow: _Listened, connection: Connection, decision: Decision, at: int) -> None:
        if flow.told is not None:
            *before, burst = flow.told
            same = before == [decision.rule, decision.shape, decision.decisive]
            if same and flow.log.bursts - burst < TOLD_AGAIN:
                return
        flow.told = (decision.rule, decision.shape, decision.decisive, flow.log.bursts)
        client, _, server, port = connection
        rhythm = decision.rhythm
        self._found(
            Finding(
                rule=decision.rule,
                device=client,
                server=server,
                server_port=port,
                evidence=decision.evidence,
                at=at,
                connections=(connection,),
                facts={
                    "beats": list(rhythm.beats),
                    "period_us": rhythm.period,
                    "redrawn": rhythm.redrawn,
                    "shape": decision.shape,
                    "chance": rhythm.chance,
                },
            )
        )
