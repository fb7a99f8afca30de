"""Packet in, verdict out: the inline decision, without socket or clock.

Each queued segment advances its connection. As soon as the server's certificate is read, or it is
clear that none will be, the connection is judged, once. A judged connection leaves the queue by its
class; one that is to be cut has the segment that gave it away, and every later one, turned into a
reset for its receiver.

Every connection ends up in the controller's hands as exactly one report.
"""

import base64
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ratwall.flow.connection import Connection
from ratwall.flow.table import FlowTable, flow_key
from ratwall.kernel.marks import FlowClass, Marks
from ratwall.queue.binding import QueuedPacket, Release
from ratwall.signatures.endpoint import Endpoint
from ratwall.signatures.pack import Pack
from ratwall.verdict.judge import Judgement, Remembered, Thresholds, Verdict, judge
from ratwall.verdict.memory import VerdictMemory
from ratwall.verdict.record import flow_record
from ratwall.wire.checksum import checksum_valid
from ratwall.wire.errors import ParseError
from ratwall.wire.packet import Segment, parse_segment
from ratwall.wire.reset import rewrite_to_reset
from ratwall.wire.tls.conversation import ConversationState

# Connections being read at one time. A flow is here from its first payload to its certificate,
# half a second at most; one holds 1 to 100 KB, so the table stays below 40 MB at its very worst.
TABLE_CAPACITY = 4096
MAC_LENGTH = 6
IDLE_US = 60_000_000  # nothing for a minute: retransmission has given up on a handshake by then

Report = dict[str, Any]


@dataclass(slots=True)
class Tracked:
    """A connection, seen from the packet path; addresses packed, network order."""

    connection: Connection
    device: bytes
    device_port: int
    server: bytes
    server_port: int
    hardware_address: str | None = None
    last_seen: int = 0  # UTC microseconds
    settled: bool = False  # the kernel has saved our class on its conntrack entry
    final: FlowClass | None = None  # the rest of a burst gets the class that its connection got

    def is_over(self, packet_class: FlowClass, now: int) -> bool:
        """Say whether a packet with this class on its conntrack entry begins another connection.

        The same two ports are used again when a connection has ended; then the entry in the
        kernel is a new one, without a class.
        """
        fresh = packet_class is FlowClass.NONE and self.settled
        return fresh or now - self.last_seen > IDLE_US


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
    ) -> None:
        """`clock` gives UTC microseconds."""
        self._packs = packs
        self._thresholds = thresholds
        self._marks = marks
        self._memory = memory
        self._report = report
        self._clock = clock
        self._table: FlowTable[Tracked] = FlowTable(TABLE_CAPACITY)
        self.enforce = enforce
        self.allowed_certificates: frozenset[tuple[str, str | None]] = frozenset()
        self.queued = 0
        self.judged = 0
        self.cut = 0
        self.evicted = 0  # connections that left unjudged because the table was full

    def judge_by(self, packs: Sequence[Pack], thresholds: Thresholds, *, enforce: bool) -> None:
        """Judge by these from now on; what was decided stays decided."""
        self._packs = packs
        self._thresholds = thresholds
        self.enforce = enforce

    def decide(self, packet: QueuedPacket) -> Release:
        """Return what to do with one packet."""
        self.queued += 1
        try:
            segment = parse_segment(packet.datagram)
        except ParseError:
            segment = None
        # Of the very longest datagrams the last four bytes are missing; the rest is read.
        if segment is None or not checksum_valid(packet.datagram, segment):
            # Its receiver will not take it for a part of the stream either.
            return self._release(packet, FlowClass.WATCH)
        from_client = bool(packet.mark & self._marks.lan)
        key = flow_key(segment)
        now = self._clock()
        packet_class = self._marks.class_of(packet.mark)
        tracked = self._table.get(key)
        if tracked is None or tracked.is_over(packet_class, now):
            tracked = _begin(segment, from_client, now)
            evicted = self._table.put(key, tracked)
            if evicted is not None and evicted.final is None:
                self.evicted += 1
        tracked.last_seen = now
        tracked.settled = tracked.settled or packet_class is not FlowClass.NONE
        if from_client and tracked.hardware_address is None:
            tracked.hardware_address = _hardware_address(packet)
        # Before this segment is counted as released: it will not be, if it is what gives them away.
        expected = tracked.connection.released(to_client=not from_client)
        if tracked.final is None:
            tracked.connection.push(from_client, segment)
            flow_class = self._classify(tracked)
            if flow_class is FlowClass.WATCH:
                return self._release(packet, FlowClass.WATCH)
            tracked.final = flow_class
            self.cut += flow_class is FlowClass.BLOCK
        if tracked.final is not FlowClass.BLOCK:
            return self._release(packet, tracked.final)
        reset = rewrite_to_reset(packet.datagram, segment, expected, segment.acknowledgement)
        return Release(self._marks.verdict(packet.mark, FlowClass.BLOCK), reset)

    def _release(self, packet: QueuedPacket, flow_class: FlowClass) -> Release:
        return Release(self._marks.verdict(packet.mark, flow_class))

    def _classify(self, tracked: Tracked) -> FlowClass:
        state = tracked.connection.state
        if state in (ConversationState.UNKNOWN, ConversationState.HANDSHAKE):
            return FlowClass.WATCH
        if state == ConversationState.NOT_TLS and not tracked.connection.carried_tls:
            return FlowClass.OBSERVED
        return self._judge(tracked, hidden=state != ConversationState.CERTIFICATE)

    def _judge(self, tracked: Tracked, *, hidden: bool) -> FlowClass:
        facts = tracked.connection.facts
        now = self._clock()
        endpoint = Endpoint(tracked.server, tracked.server_port)
        remembered = None
        if hidden:
            remembered = self._memory.recall(
                tracked.server, tracked.server_port, facts.resumed, facts.sni is not None, now
            )
        judgement = judge(self._packs, self._thresholds, facts, endpoint, remembered, now)
        self.judged += 1
        allowed = self._is_allowed(tracked, remembered)
        flow_class = self._class_of(judgement, hidden=hidden, allowed=allowed)
        if facts.certificate is not None and flow_class is not FlowClass.EXEMPT:
            sha256 = facts.certificate.sha256
            self._memory.learn(tracked.server, tracked.server_port, judgement, sha256, now)
        self._report(self._record(tracked, judgement, flow_class))
        return flow_class

    def _class_of(self, judgement: Judgement, *, hidden: bool, allowed: bool) -> FlowClass:
        if judgement.verdict is Verdict.BLOCK:
            if allowed:
                return FlowClass.EXEMPT
            return FlowClass.BLOCK if self.enforce else FlowClass.OBSERVED
        if hidden or judgement.verdict is not Verdict.CLEAN:
            return FlowClass.OBSERVED
        return FlowClass.CLEAN

    def _is_allowed(self, tracked: Tracked, remembered: Remembered | None) -> bool:
        """Say whether the certificate shown, or the one remembered of the server, is allowed."""
        certificate = tracked.connection.facts.certificate
        if certificate is not None:
            sha256 = certificate.sha256
        elif remembered is not None:
            sha256 = remembered.certificate_sha256
        else:
            return False
        device = str(ipaddress.ip_address(tracked.device))
        return bool({(sha256, None), (sha256, device)} & self.allowed_certificates)

    def _record(self, tracked: Tracked, judgement: Judgement, flow_class: FlowClass) -> Report:
        facts = tracked.connection.facts
        der = facts.certificate_der if judgement.verdict is not Verdict.CLEAN else None
        return {
            "type": "flow",
            "class": flow_class.name.lower(),
            "enforced": self.enforce,
            "mac": tracked.hardware_address,
            "der": None if der is None else base64.b64encode(der).decode(),
            **flow_record(
                client=tracked.device,
                client_port=tracked.device_port,
                server=tracked.server,
                server_port=tracked.server_port,
                start_us=tracked.connection.first_seen,
                facts=facts,
                judgement=judgement,
            ),
        }


def _begin(segment: Segment, from_client: bool, now: int) -> Tracked:
    source = segment.source, segment.source_port
    destination = segment.destination, segment.destination_port
    device, server = (source, destination) if from_client else (destination, source)
    return Tracked(Connection(now), *device, *server)


def _hardware_address(packet: QueuedPacket) -> str | None:
    raw = packet.hardware_address()
    return None if raw is None else raw[:MAC_LENGTH].hex(":")
