"""One TCP connection that may carry TLS: two streams of segments and the conversation in them.

It never decides anything and has no clock: segments go in, facts come out, and with them the one
number that a reset needs, the next byte each side expects.

Inline, neither SYNs nor empty ACKs are seen. Where the server's stream starts is then told by the
first data segment of the client, whose acknowledgement number is exactly the first byte that the
client still waits for; if the server spoke first, by its own first segment.
"""

from typing import Final

from ratwall.flow.preamble import Preamble
from ratwall.wire.packet import Segment, TcpFlag
from ratwall.wire.reassembly import Stream
from ratwall.wire.tls.conversation import Conversation, ConversationState
from ratwall.wire.tls.facts import Anomaly, TlsFacts
from ratwall.wire.tls.record import looks_like_record

_MASK: Final = 0xFFFFFFFF
# As plain numbers: an operator of IntFlag costs more than all else done here for a packet.
_SYN: Final = TcpFlag.SYN.value
_ACK: Final = TcpFlag.ACK.value


class Connection:
    """Feed it with `push`; read `state`, `facts` and `released`.

    With `search_preamble` a cleartext dialogue before the first TLS record (STARTTLS, CONNECT,
    SOCKS) is stepped over; without it such a connection is NOT_TLS.
    """

    __slots__ = (
        "_acknowledged_client",
        "_acknowledged_server",
        "_client",
        "_client_spoke",
        "_conversation",
        "_preambles",
        "_server",
        "first_seen",
    )

    def __init__(self, first_seen: int, search_preamble: bool = False) -> None:
        self.first_seen = first_seen  # UTC microseconds, as the caller counts them
        # A preamble is no record: the first segment must do as the start then.
        self._client = Stream() if search_preamble else Stream(None, looks_like_record)
        self._server = Stream()
        self._conversation = Conversation()
        self._preambles = (
            {True: Preamble(from_client=True), False: Preamble(from_client=False)}
            if search_preamble
            else None
        )
        self._client_spoke = False
        self._acknowledged_client = 0  # what each side last said that it expects
        self._acknowledged_server = 0

    @property
    def facts(self) -> TlsFacts:
        """What the handshake has shown so far."""
        return self._conversation.facts

    @property
    def state(self) -> ConversationState:
        """How far the certificate is decided."""
        return self._conversation.state

    @property
    def carried_tls(self) -> bool:
        """Whether at least one TLS record has been seen."""
        return self._conversation.carried_tls

    def push(self, segment_from_client: bool, segment: Segment) -> None:
        """Take one segment of this connection, with or without payload."""
        stream = self._client if segment_from_client else self._server
        sequence = segment.sequence
        flags = segment.flags
        if flags & _SYN:
            sequence = (sequence + 1) & _MASK  # a SYN takes one number; Fast Open data follows it
            if stream.next_sequence is None:
                stream.start_at(sequence)
        if flags & _ACK:
            if segment_from_client:
                self._acknowledged_client = segment.acknowledgement
            else:
                self._acknowledged_server = segment.acknowledgement
        payload = segment.payload
        if not payload:
            return
        if segment_from_client:
            if not self._client_spoke and flags & _ACK:
                # Also corrects the start that a SYN gave, had the server answered with two.
                self._client_spoke = True
                self._server.start_at(segment.acknowledgement)
        elif stream.next_sequence is None:
            stream.start_at(sequence)
        data = stream.push(sequence, payload)
        if stream.conflict:
            self.facts.anomalies.add(Anomaly.OVERLAP_CONFLICT)
        if stream.overflowed:
            self.facts.anomalies.add(Anomaly.REASSEMBLY_OVERFLOW)
        if data:
            self._receive(segment_from_client, data)

    def released(self, to_client: bool) -> int:
        """The sequence number that the receiver of that direction expects next.

        Everything before it has been released in order. While the stream's start is unknown it is
        what the receiver itself last acknowledged.
        """
        stream = self._server if to_client else self._client
        if stream.next_sequence is not None:
            return stream.next_sequence
        return self._acknowledged_client if to_client else self._acknowledged_server

    def _receive(self, from_client: bool, data: bytes) -> None:
        if self._preambles is not None:
            data = self._preambles[from_client].strip(data)
            if not data:
                return
        self._conversation.receive(from_client, data)
