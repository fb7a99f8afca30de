"""Packet in, verdict out: the inline decision, without socket or clock.

Each queued segment advances its connection. As soon as the server's certificate is read, or it is
clear that none will be, the connection is judged, once. A judged connection leaves the queue by its
class as soon as its client has taken note of what it was judged by; one that is to be cut has the
segment that gave it away, and every later one, turned into a reset for its receiver.

Where the fast path is compiled (`ratwall.queue.fastpath`) it walks the plain course of a connection
and asks here for the judgement only; whatever else comes is decided in full, as without it.

A judged connection is told to the controller exactly once. What is not TLS, or was given
up unread, gives none: the one is observed, the other counted.
"""

import ipaddress
from collections.abc import Callable, Sequence

from ratwall.feeds.index import Index
from ratwall.feeds.match import Indicators, only_named
from ratwall.flow.connection import Connection
from ratwall.flow.opening import PROXIED
from ratwall.flow.table import flow_key
from ratwall.inspector.outcome import Report, class_of, is_allowed, is_believed, report_of
from ratwall.inspector.repeats import Repeats
from ratwall.inspector.seen import (
    SLOW,
    FastPath,
    Seen,
    address_text,
    connection_of,
    facts_of,
    line_of,
    repeated,
    tracked_of,
    wall_clock,
)
from ratwall.inspector.tracked import Tracked, TrackedTable
from ratwall.kernel.marks import FlowClass, Marks
from ratwall.queue.binding import QueuedPacket, Release
from ratwall.reports.gathering import Line
from ratwall.settings.schema import Rules
from ratwall.signatures.endpoint import Endpoint
from ratwall.signatures.pack import Pack
from ratwall.verdict.judge import Judgement, Thresholds, Verdict, judge
from ratwall.verdict.memory import VerdictMemory
from ratwall.wire.checksum import checksum_valid
from ratwall.wire.errors import ParseError
from ratwall.wire.packet import Segment, parse_segment
from ratwall.wire.replace import is_urgent, replace_payload
from ratwall.wire.reset import rewrite_to_reset
from ratwall.wire.tls.conversation import ConversationState
from ratwall.wire.tls.facts import TlsFacts

WATCHED_LESS = 15  # points fewer make a watched device's connection odd, or an alert: a weak fact
_RULES = Rules()


class Inspector:
    """Gives every queued packet its release; `report` receives one record a judged connection."""

    def __init__(
        self,
        packs: Sequence[Pack],
        thresholds: Thresholds,
        marks: Marks,
        *,
        enforce: bool,
        memory: VerdictMemory,
        report: Callable[[Report], None],
        clock: Callable[[], int],
        rules: Rules = _RULES,
        indicators: Indicators | None = None,
        fast: bool = True,
        report_like: Callable[[Report, Line], None] | None = None,
    ) -> None:
        """`clock` gives UTC microseconds; `rules` says what each rule may do.

        `fast`: take the fast path where there is one. `report_like` takes the report of a
        connection and what is its own of another like it; else that has a whole report as well.
        """
        self._packs = packs
        self._thresholds = thresholds
        self._marks = marks
        self._memory = memory
        self._report = report
        self._report_like = report_like or self._report_repeated
        self._clock = clock
        self._table = TrackedTable()
        self._enforce = enforce
        self._rules = rules
        self._indicators = indicators or Indicators()
        self._watched: frozenset[str] = frozenset()
        self._repeats = Repeats()
        self.fast_path = self._fast_path() if fast else None
        self.allowed_certificates: frozenset[tuple[str, str | None]] = frozenset()
        self._queued = 0
        self.judged = 0
        self.cut = 0

    @property
    def enforce(self) -> bool:
        """Whether connections are cut, or only reported."""
        return self._enforce

    @enforce.setter
    def enforce(self, enforce: bool) -> None:
        self._enforce = enforce
        self._repeats.forget()
        if self.fast_path is not None:
            self.fast_path.enforce = enforce

    @property
    def rules(self) -> Rules:
        """What each rule may do."""
        return self._rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._rules = rules
        self._repeats.forget()

    @property
    def watched(self) -> frozenset[str]:
        """The devices that are watched closely."""
        return self._watched

    @watched.setter
    def watched(self, devices: frozenset[str]) -> None:
        packed = frozenset(ipaddress.ip_address(device).packed for device in devices)
        self._watched = devices
        if self.fast_path is not None:
            self.fast_path.watched = packed

    def look_up_in(self, index: Index) -> None:
        """Judge by this index of the feeds from now on."""
        self._indicators.index = index
        self._repeats.forget()

    @property
    def queued(self) -> int:
        """Packets that were given a verdict."""
        return self._queued + (0 if self.fast_path is None else self.fast_path.taken)

    @property
    def evicted(self) -> int:
        """Connections that left unjudged because the table was full."""
        return self._table.evicted

    @property
    def unjudged(self) -> list[tuple[str, str, int]]:
        """Device, server and port of the newest of them, oldest first."""
        return [
            (str(ipaddress.ip_address(device)), str(ipaddress.ip_address(server)), port)
            for device, server, port in self._table.unjudged
        ]

    def judge_by(self, packs: Sequence[Pack], thresholds: Thresholds, *, enforce: bool) -> None:
        """Judge by these from now on; what was decided stays decided."""
        self._packs = packs
        self._thresholds = thresholds
        self.enforce = enforce  # which forgets what was found by the ones before

    def decide(self, packet: QueuedPacket) -> Release:
        """Return what to do with one packet."""
        if self.fast_path is not None:
            taken = self.fast_path.offer(packet.datagram, packet.mark, packet.hardware_address)
            self.tell_repeated()
            if taken >= 0:
                return self._release(packet, FlowClass(taken))
        return self.decide_in_full(packet)

    def decide_in_full(self, packet: QueuedPacket) -> Release:
        """Return what to do with a packet that the fast path has left to the slow one."""
        self._queued += 1
        try:
            segment = parse_segment(packet.datagram)
        except ParseError:
            return self._refuse(packet)
        if segment is None:
            return self._release(packet, FlowClass.WATCH)
        # Of the very longest datagrams the last four bytes are missing; the rest is read.
        if not checksum_valid(packet.datagram, segment):
            return self._refuse(packet)
        from_client = bool(packet.mark & self._marks.lan)
        packet_class = self._marks.class_of(packet.mark)
        key = flow_key(segment)
        if self.fast_path is not None and (seen := self.fast_path.leave(key)) is not None:
            self._adopt(seen)
        if packet_class is FlowClass.STRAY:
            return self._release_stray(packet, self._table.get(key), from_client)
        tracked = self._find(key, segment, from_client, packet_class)
        if from_client and tracked.hardware_address is None:
            tracked.hardware_address = _hardware_address(packet)
        amended = None
        if tracked.connection is not None:
            if self.enforce and not from_client:
                text = tracked.connection.admit(segment)
                if text is None:
                    return self._refuse(packet)
                if tracked.connection.out_of_turn:
                    return self._hold(packet, tracked, tracked.connection, segment)
                if text is not segment.payload or is_urgent(segment):
                    amended = replace_payload(packet.datagram, segment, text)
                    segment.payload = text
            self._advance(tracked, tracked.connection, from_client, segment)
        if tracked.final is FlowClass.BLOCK:
            return self._cut(packet, tracked, from_client, segment)
        mark = self._marks.verdict(packet.mark, tracked.final or FlowClass.WATCH)
        return Release(mark, amended)

    def _find(
        self, key: bytes, segment: Segment, from_client: bool, packet_class: FlowClass
    ) -> Tracked:
        """Return the connection that a segment belongs to, which may begin with it."""
        now = self._clock()
        tracked = self._table.get(key)
        if tracked is None or tracked.is_over(packet_class, now):
            unheard = tracked is not None and tracked.unheard
            tracked = _begin(segment, from_client, now, packet_class)
            if tracked.connection is not None and packet_class is FlowClass.OBSERVED:
                tracked.connection.out_of_turn = unheard
            # Whatever its class: that one is being read says nothing of who began it, where it has
            # left the table since.
            tracked.begun_outside = not from_client
            self._table.begin(key, tracked)
        tracked.last_seen = now
        tracked.settled = tracked.settled or packet_class is not FlowClass.NONE
        if packet_class is FlowClass.BLOCK:  # cut, perhaps by an inspector before this one
            tracked.connection, tracked.final = None, FlowClass.BLOCK
        return tracked

    def _advance(
        self, tracked: Tracked, connection: Connection, from_client: bool, segment: Segment
    ) -> None:
        """Read one more segment of a connection that is not judged yet, and judge it if that can
        be done."""
        # Before this segment is counted as released: it will not be, if it is what gives them away.
        expected = connection.released(to_client=not from_client)
        connection.push(from_client, segment)
        if tracked.judged is None:
            tracked.judged = self._classify(tracked, connection)
            tracked.judged_at = connection.released(to_client=True)
        if tracked.judged is not None and (
            not self.enforce or is_believed(tracked, connection, from_client, segment)
        ):
            tracked.final = tracked.judged
            tracked.unheard = not connection.asked
            tracked.connection = None
            if tracked.final is FlowClass.BLOCK:
                self.cut += 1
                other = connection.released(to_client=from_client)
                tracked.server_expects = expected if from_client else other
                tracked.client_expects = other if from_client else expected
        self._table.weigh(tracked)

    def _cut(
        self, packet: QueuedPacket, tracked: Tracked, from_client: bool, segment: Segment
    ) -> Release:
        expected = tracked.server_expects if from_client else tracked.client_expects
        if expected is None:  # nothing of this direction was seen before: it is in order, likely
            expected = segment.sequence
        mark = self._marks.verdict(packet.mark, FlowClass.BLOCK)
        if tracked.alone:
            mark |= self._marks.alone
        reset = rewrite_to_reset(packet.datagram, segment, expected, segment.acknowledgement)
        return Release(mark, reset)

    def _hold(
        self, packet: QueuedPacket, tracked: Tracked, connection: Connection, segment: Segment
    ) -> Release:
        """Read what a server says that did not wait for the hello; nothing of it passes.

        A certificate that gives it away cuts the connection all the same.
        """
        self._advance(tracked, connection, False, segment)
        if tracked.final is FlowClass.BLOCK:
            return self._cut(packet, tracked, False, segment)
        return self._refuse(packet)

    def _refuse(self, packet: QueuedPacket) -> Release:
        """Let a packet go nowhere that its receiver would not take either, or cannot be held.

        While nothing is to be cut, nothing is held up: it passes unread.
        """
        mark = self._marks.verdict(packet.mark, FlowClass.WATCH)
        return Release(mark, drop=self.enforce)

    def _release_stray(
        self, packet: QueuedPacket, tracked: Tracked | None, from_client: bool
    ) -> Release:
        """Keep what conntrack disowns out of a connection that is being read, or was cut."""
        kept = tracked is not None and tracked.final in (None, FlowClass.BLOCK)
        mark = self._marks.verdict(packet.mark, FlowClass.NONE)
        return Release(mark, drop=kept and self.enforce and not from_client)

    def _release(self, packet: QueuedPacket, flow_class: FlowClass) -> Release:
        return Release(self._marks.verdict(packet.mark, flow_class))

    def _classify(self, tracked: Tracked, connection: Connection) -> FlowClass | None:
        """Return the class that a connection gets, None while it is being read."""
        state = connection.state
        undecided = state in (ConversationState.UNKNOWN, ConversationState.HANDSHAKE)
        # A certificate that nobody of the office asked for proves nothing about its sender.
        shown = state == ConversationState.CERTIFICATE
        unasked = shown and tracked.begun_outside and not connection.asked
        if (undecided or unasked) and not connection.hopeless:
            return None
        if unasked or (state != ConversationState.CERTIFICATE and not connection.carried_tls):
            return FlowClass.OBSERVED
        return self._judge(tracked, connection, hidden=state != ConversationState.CERTIFICATE)

    def _judge(self, tracked: Tracked, connection: Connection, *, hidden: bool) -> FlowClass:
        facts = connection.facts
        now = self._clock()
        judgement, flow_class = self._appraise(tracked, facts, now, hidden=hidden)
        self._conclude(tracked, facts, connection.first_seen, judgement, flow_class, now)
        return flow_class

    def _appraise(
        self, tracked: Tracked, facts: TlsFacts, now: int, *, hidden: bool
    ) -> tuple[Judgement, FlowClass]:
        """Return what a connection is found to be; nothing has come of it yet."""
        endpoint = Endpoint(tracked.server, tracked.server_port)
        remembered = None
        if hidden and facts.preamble not in PROXIED:  # what the memory knows is of the proxy then
            remembered = self._memory.recall(
                tracked.server, tracked.server_port, facts.resumed, facts.sni is not None, now
            )
        watched = self._is_watched(tracked.device)
        thresholds = self._thresholds.lowered(WATCHED_LESS) if watched else self._thresholds
        listed = self._indicators.match(facts, now)
        judgement = judge(
            self._packs, thresholds, facts, endpoint, remembered, now, self.rules, listed
        )
        flow_class = class_of(
            judgement,
            facts,
            hidden=hidden or watched,
            allowed=is_allowed(self.allowed_certificates, tracked.device, facts, remembered),
            enforce=self.enforce,
        )
        return judgement, flow_class

    def _is_watched(self, device: bytes) -> bool:
        return bool(self.watched) and str(ipaddress.ip_address(device)) in self.watched

    def _conclude(
        self,
        tracked: Tracked,
        facts: TlsFacts,
        first_seen: int,
        judgement: Judgement,
        flow_class: FlowClass,
        now: int,
    ) -> Report:
        """Count, remember and report a judged connection; return the report."""
        self.judged += 1
        tracked.alone = self._says_nothing_of_server(facts, judgement)
        learns = flow_class is not FlowClass.EXEMPT and judgement.enforced and not tracked.alone
        if facts.certificate is not None and learns:
            sha256 = facts.certificate.sha256
            self._memory.learn(tracked.server, tracked.server_port, judgement, sha256, now)
        report = report_of(tracked, facts, first_seen, judgement, flow_class, enforce=self.enforce)
        self._report(report)
        return report

    def _says_nothing_of_server(self, facts: TlsFacts, judgement: Judgement) -> bool:
        """Say whether a verdict is about this connection alone: its server is a proxy, or it is the
        name given that is listed."""
        if facts.preamble in PROXIED:
            return True
        if judgement.verdict is not Verdict.BLOCK:
            return False
        mode_of = self._rules.mode_of
        return only_named([each for each in judgement.evidence if mode_of(each.id) == "enforce"])

    def _fast_path(self) -> "FastPath | None":
        marks = self._marks
        if FastPath is None:
            return None
        return FastPath(
            lan=marks.lan,
            to_inspect=marks.to_inspect,
            class_mask=marks.class_mask,
            shift=marks.shift,
            enforce=self._enforce,
            known=self._table.keys(),
            judge=self._judge_seen,
            spill=self._adopt,
            clock=None if self._clock is wall_clock else self._clock,
            repeats=self._repeats.kept,
            # What the memory holds of a server may change with any connection to it.
            doubtful=self._memory.servers,
        )

    def _judge_seen(self, seen: "Seen") -> int:
        """Judge a connection on the fast path; what is to be cut, or is odd, leaves it."""
        facts = facts_of(seen)
        if facts is None:
            return SLOW
        now = self._clock()
        tracked = tracked_of(seen, None)
        judgement, flow_class = self._appraise(tracked, facts, now, hidden=seen.leaf is None)
        if flow_class is FlowClass.BLOCK:
            return SLOW
        report = self._conclude(tracked, facts, seen.first_seen, judgement, flow_class, now)
        # What is odd is judged each time, and so is whose server or device is.
        each_time = seen.server in self._memory.servers or self._is_watched(seen.device)
        if judgement.verdict is Verdict.CLEAN and not each_time and seen.likeness is not None:
            self._repeats.put(seen.likeness, flow_class, report)
        return int(flow_class)

    def tell_repeated(self) -> bool:
        """Report what the fast path has met again; True if there was any. Call it often."""
        if self.fast_path is None or not self.fast_path.repeated:
            return False
        for report, device, port, address, start in self.fast_path.take_repeated():
            self.judged += 1
            self._report_like(report, line_of(device, port, address, start))
        return True

    def _report_repeated(self, report: Report, line: Line) -> None:
        self._report(repeated(line, report))

    def _adopt(self, seen: "Seen") -> None:
        """Go on with a connection that has left the fast path, from what it has said."""
        tracked = tracked_of(seen, connection_of(seen))
        self._table.begin(seen.key, tracked)
        self._table.weigh(tracked)


def _begin(segment: Segment, from_client: bool, now: int, packet_class: FlowClass) -> Tracked:
    source = segment.source, segment.source_port
    destination = segment.destination, segment.destination_port
    device, server = (source, destination) if from_client else (destination, source)
    # One that is being read, and not known here: by an inspector before this one.
    late = packet_class is FlowClass.WATCH
    return Tracked(Connection(now, keep_text=True, late=late), *device, *server)


def _hardware_address(packet: QueuedPacket) -> str | None:
    raw = packet.hardware_address()
    return None if raw is None else address_text(raw)
