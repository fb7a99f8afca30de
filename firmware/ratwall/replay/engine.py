"""Judging one capture: datagrams in the order of the file, one record for each flow with TLS.

It uses the connection, the packs and the judge of the inline box, so that a capture gets the
verdict that its packets would have got. What differs is said here: captures hold SYNs and whole
conversations, so orientation can be seen instead of configured, and TLS inside a tunnel is looked
for. What shows only over time, a rhythm, is judged as the controller does (`heard`).

Verdict memory lasts for one capture: another file may be another network with the same addresses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ratwall.flow.connection import Connection
from ratwall.flow.table import FlowTable, flow_key
from ratwall.replay.heard import Heard, joined
from ratwall.replay.tunnels import open_tunnel
from ratwall.settings.schema import Rules
from ratwall.signatures.endpoint import Endpoint
from ratwall.signatures.pack import Pack
from ratwall.verdict.finding import Connection as Ends
from ratwall.verdict.judge import Judgement, Remembered, Thresholds, Verdict, judge
from ratwall.verdict.memory import VerdictMemory
from ratwall.verdict.record import address_text, flow_record
from ratwall.wire.errors import ParseError
from ratwall.wire.fragments import Defragmenter
from ratwall.wire.packet import Segment, TcpFlag, find_transport, parse_segment
from ratwall.wire.tls.conversation import ConversationState
from ratwall.wire.tls.record import HEADER_LENGTH, looks_like_record
from ratwall.wire.tls.registry import ContentType, HandshakeType

# Connections followed at once; a day of a small office has fewer, and each costs some 2 KiB.
FLOW_CAPACITY: Final = 65_536
# Tunnels in tunnels: mirrored traffic of a provider has three.
TUNNEL_DEPTH: Final = 4

_SERVER_MESSAGES: Final = (HandshakeType.SERVER_HELLO, HandshakeType.CERTIFICATE)
_DECIDED: Final = (ConversationState.CERTIFICATE, ConversationState.HIDDEN)
_RULES = Rules()


@dataclass(slots=True)
class _Flow:
    """One TCP connection of the capture, by its endpoints (address, port)."""

    order: int
    start: int
    client: tuple[bytes, int]
    server: tuple[bytes, int]
    syn_sequence: int | None
    connection: Connection
    settled: bool = False  # a hello has shown who the client is
    decided: bool = False  # memory was asked, or taught
    freed: bool = False  # inline nothing of it would be copied
    confirmed: bool = False  # the client has spoken since: from now on inline it is copied
    remembered: Remembered | None = None

    @property
    def ends(self) -> Ends:
        """Who with whom, as the controller names a connection."""
        (client, client_port), (server, server_port) = self.client, self.server
        return address_text(client), client_port, address_text(server), server_port


class CaptureJudge:
    """Feed it the datagrams of one capture, then take the records."""

    def __init__(
        self,
        packs: Sequence[Pack],
        thresholds: Thresholds,
        tells: Callable[[str], bool] = lambda rule: True,
        rules: Rules = _RULES,
    ) -> None:
        """`tells` says whether a rule that shows over time may say anything, `rules` what one of a
        handshake may do."""
        self.packets = 0
        self.malformed = 0  # datagrams that no parser could read
        self._packs = packs
        self._thresholds = thresholds
        self._rules = rules
        self._defragmenter = Defragmenter()
        self._flows: FlowTable[_Flow] = FlowTable(FLOW_CAPACITY)
        self._memory = VerdictMemory()
        self._heard = Heard(thresholds, tells)
        self._records: list[tuple[int, dict[str, Any]]] = []
        self._opened = 0

    def push(self, time: int, datagram: bytes) -> None:
        """Take one datagram, seen at `time` (UTC microseconds)."""
        self.packets += 1
        try:
            segment = self._find_segment(time, datagram)
        except ParseError:
            self.malformed += 1
            return
        if segment is not None:
            self._push_segment(time, segment)

    def finish(self) -> list[dict[str, Any]]:
        """Return a record for each flow that carried TLS, in order of their first packets."""
        for flow in self._flows.values():
            self._close(flow)
        self._flows = FlowTable(FLOW_CAPACITY)
        return [record for _, record in sorted(self._records, key=lambda item: item[0])]

    def _find_segment(self, time: int, datagram: bytes) -> Segment | None:
        """Undo fragments and tunnels until TCP, or something else, is reached."""
        for _ in range(TUNNEL_DEPTH):
            whole = self._defragmenter.push(datagram, time)
            if whole is None:
                return None
            segment = parse_segment(whole)
            if segment is not None:
                return segment
            transport = find_transport(whole)
            inner = None if transport is None else open_tunnel(whole, transport)
            if inner is None:
                return None
            datagram = inner
        return None

    def _push_segment(self, time: int, segment: Segment) -> None:
        key = flow_key(segment)
        flow = self._flows.get(key)
        if flow is None or _begins_anew(flow, segment):
            if flow is not None:
                self._close(flow)
            flow = self._open(time, segment)
            evicted = self._flows.put(key, flow)
            if evicted is not None:
                self._close(evicted)
        if not flow.settled and segment.payload:
            self._settle(flow, segment)
        from_client = (segment.source, segment.source_port) == flow.client
        decided = flow.decided
        flow.connection.push(from_client, segment)
        if not flow.decided and flow.connection.state in _DECIDED:
            self._decide(flow, time)
        if from_client and segment.payload:
            self._hear(flow, segment, time, decided=decided)

    def _hear(self, flow: _Flow, segment: Segment, time: int, *, decided: bool) -> None:
        """Listen to a client from where on inline it would be copied.

        A verdict holds when the client speaks next; what it says then is still queued, not copied.
        """
        copied = flow.confirmed if decided else flow.connection.hopeless
        flow.confirmed = flow.confirmed or decided
        if copied and not flow.freed and flow.connection.carried_tls:
            self._heard.take(flow.ends, segment, time)

    def _open(self, time: int, segment: Segment) -> _Flow:
        sender = segment.source, segment.source_port
        receiver = segment.destination, segment.destination_port
        answered = segment.flags & TcpFlag.SYN and segment.flags & TcpFlag.ACK
        self._opened += 1
        return _Flow(
            order=self._opened,
            start=time,
            client=receiver if answered else sender,
            server=sender if answered else receiver,
            syn_sequence=segment.sequence if _is_opening(segment) else None,
            connection=Connection(time),
        )

    def _settle(self, flow: _Flow, segment: Segment) -> None:
        """Let the first handshake message say who is the client, whoever opened the connection."""
        from_client = _client_says(segment.payload)
        if from_client is None:
            return
        flow.settled = True
        sender = segment.source, segment.source_port
        if (sender == flow.client) != from_client:
            flow.client, flow.server = flow.server, flow.client
            flow.connection = Connection(flow.start)

    def _decide(self, flow: _Flow, time: int) -> None:
        """Ask the memory about a hidden certificate; teach it one that was shown."""
        flow.decided = True
        facts = flow.connection.facts
        server, port = flow.server
        if flow.connection.state == ConversationState.HIDDEN:
            flow.remembered = self._memory.recall(
                server, port, facts.resumed, facts.sni is not None, time
            )
        elif facts.certificate is not None and (judgement := self._judge(flow)).enforced:
            self._memory.learn(server, port, judgement, facts.certificate.sha256, time)
        unseen = self._heard.meet(flow.ends, time)
        hidden = flow.connection.state == ConversationState.HIDDEN
        odd = hidden or facts.sni is None or facts.preamble or unseen
        flow.freed = not odd and self._judge(flow).verdict is Verdict.CLEAN
        if not flow.freed:
            named = None if facts.picked_up else facts.sni is not None
            self._heard.note(flow.ends, named=named, version=facts.version_name)

    def _judge(self, flow: _Flow) -> Judgement:
        return judge(
            self._packs,
            self._thresholds,
            flow.connection.facts,
            Endpoint(*flow.server),
            flow.remembered,
            flow.start,
            self._rules,
        )

    def _close(self, flow: _Flow) -> None:
        heard = self._heard.close(flow.ends)
        if not flow.connection.carried_tls:
            return
        record = flow_record(
            client=flow.client[0],
            client_port=flow.client[1],
            server=flow.server[0],
            server_port=flow.server[1],
            start_us=flow.start,
            facts=flow.connection.facts,
            judgement=joined(self._judge(flow), heard),
        )
        self._records.append((flow.order, record))


def _is_opening(segment: Segment) -> bool:
    return bool(segment.flags & TcpFlag.SYN) and not segment.flags & TcpFlag.ACK


def _begins_anew(flow: _Flow, segment: Segment) -> bool:
    """Whether a SYN reuses the ports of an older connection (a retransmitted one does not)."""
    return _is_opening(segment) and flow.syn_sequence != segment.sequence


def _client_says(payload: bytes) -> bool | None:
    """Whether a segment begins with a message that only a client sends, or only a server; or None.

    A Certificate is taken for the server's: a client's comes after hellos that have told already.
    """
    if (
        len(payload) <= HEADER_LENGTH
        or payload[0] != ContentType.HANDSHAKE
        or not looks_like_record(payload)
    ):
        return None
    kind = payload[HEADER_LENGTH]
    if kind == HandshakeType.CLIENT_HELLO:
        return True
    return False if kind in _SERVER_MESSAGES else None
