"""One TCP connection that may carry TLS: two streams of segments and the conversation in them.

It never decides anything and has no clock: segments go in, facts come out, and with them the one
number that a reset needs, the next byte each side expects.

Inline, neither SYNs nor empty ACKs are seen. Where one side's stream starts is then told by the
first data segment of the other, whose acknowledgement number is exactly the first byte that it
still waits for; where a side spoke first, by its own segments.

Inline, `admit` says first what of a server's segment may pass: one text of what the server says,
whatever it sends (see `ratwall.wire.reassembly`), so that what is read here is what the client
reads, as soon as the client has acknowledged it.
"""

from typing import Final

from ratwall.flow.opening import Opening, Outcome, begins_connection
from ratwall.wire.packet import Segment, TcpFlag
from ratwall.wire.reassembly import Stream
from ratwall.wire.tls.conversation import Conversation, ConversationState
from ratwall.wire.tls.facts import Anomaly, TlsFacts
from ratwall.wire.tls.record import looks_like_record
from ratwall.wire.tls.registry import ContentType, HandshakeType

# In-order bytes of a direction that may pass before the certificate is decided and the client has
# taken note. The two largest messages that are read make 128 KiB; twice that leaves room for chains
# and record headers. Beyond, nobody means well: a server is held there, a client given up.
HANDSHAKE_LIMIT: Final = 256 * 1024

# What a keep-alive may carry in front of all that was ever said; no record begins with it.
KEEP_ALIVE: Final = b"\0"

# The first bytes of all records. None of them stands in a greeting that is text.
_RECORD_TYPES: Final = bytes(ContentType)
_MESSAGE_TYPE_AT: Final = 5  # of a record: behind its header

_MASK: Final = 0xFFFFFFFF
# As plain numbers: an operator of IntFlag costs more than all else done here for a packet.
_SYN: Final = TcpFlag.SYN.value
_ACK: Final = TcpFlag.ACK.value


class Connection:
    """Feed it with `push`; read `state`, `facts` and `released`.

    A cleartext dialogue before TLS (STARTTLS, CONNECT, SOCKS) is stepped over, and TLS that began
    before our time is told from other bytes: `ratwall.flow.opening`.
    """

    __slots__ = (
        "_acknowledged_client",
        "_acknowledged_server",
        "_behind",
        "_client",
        "_client_spoke",
        "_conversation",
        "_keeps_text",
        "_late",
        "_opening",
        "_received",
        "_server",
        "first_seen",
        "out_of_turn",
    )

    def __init__(self, first_seen: int, *, keep_text: bool = False, late: bool = False) -> None:
        """`keep_text` is for `admit`: remember what the server has said. `late`: it is older than
        our knowledge of it, which says nothing of who spoke first."""
        self.first_seen = first_seen  # UTC microseconds, as the caller counts them
        self._client = Stream(None, begins_connection)
        self._server = Stream(keep_text=keep_text)
        self._keeps_text = keep_text
        self._late = late
        self._behind = b""  # of the server, said before the hello and not read by its client then
        self.out_of_turn = False  # the server may have answered before it was asked
        self._opening: Opening | None = Opening()  # None once TLS was the first thing said
        self._conversation = Conversation()
        self._client_spoke = False
        # What each side last said that it expects; None while it has said nothing.
        self._acknowledged_client: int | None = None
        self._acknowledged_server: int | None = None
        self._received = {True: 0, False: 0}  # bytes in order, from the client and from the server

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

    @property
    def asked(self) -> bool:
        """Whether the client has said anything, be it in its SYN."""
        return self._received[True] > 0

    @property
    def hopeless(self) -> bool:
        """Whether the certificate will never be read: too much was out of order, or said."""
        return (
            self._received[True] > HANDSHAKE_LIMIT
            or self._client.overflowed
            or self._server.overflowed
            # No client to be heard: only the server's direction comes this way.
            or (self._received[False] > HANDSHAKE_LIMIT and not self._client_spoke)
        )

    @property
    def overlong(self) -> bool:
        """Whether the server has said more than anybody needs: no more of it is read."""
        return self._received[False] > HANDSHAKE_LIMIT and self._client_spoke

    @property
    def held(self) -> int:
        """Bytes kept of both directions, for order or to complete a message."""
        streams = self._client.held + self._server.held
        opening = 0 if self._opening is None else self._opening.held
        return streams + opening + self._conversation.held

    def admit(self, segment: Segment) -> bytes | None:
        """Return the payload that a server's segment may pass with, None if it may not pass.

        Ask before `push`, and push what was returned.
        """
        if self.overlong:
            return None
        sequence = segment.sequence + (segment.flags & _SYN != 0)
        return self._server.admit(sequence & _MASK, segment.payload)

    def push(self, segment_from_client: bool, segment: Segment) -> None:
        """Take one segment of this connection, with or without payload."""
        stream = self._client if segment_from_client else self._server
        sequence = segment.sequence
        flags = segment.flags
        if flags & _SYN:
            sequence = (sequence + 1) & _MASK  # a SYN takes one number; Fast Open data follows it
            if stream.next_sequence is None and self._can_be_first(segment_from_client, segment):
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
                if self._keeps_text and not self.asked and _is_hello(payload):
                    self._heed_hello(segment.acknowledgement)
                else:
                    self._heed(segment.acknowledgement)
        else:
            if stream.next_sequence is None and not self._keeps_text:
                stream.start_at(sequence)
            if self._client.next_sequence is None and flags & _ACK:
                waited = self._client.start_by(segment.acknowledgement)
                if waited:
                    self._receive(True, waited)
        data = stream.push(sequence, payload)
        if self.out_of_turn:
            self.facts.anomalies.add(Anomaly.OUT_OF_TURN)
        if stream.conflict:
            self.facts.anomalies.add(Anomaly.OVERLAP_CONFLICT)
        if stream.overflowed:
            self.facts.anomalies.add(Anomaly.REASSEMBLY_OVERFLOW)
        if data:
            self._receive(segment_from_client, data)
        if self._behind:  # only now: what a hello has begun is TLS, whatever the server says
            behind, self._behind = self._behind, b""
            self._receive(False, behind)

    def _heed(self, acknowledgement: int) -> None:
        """Begin where the client's first words say that it waits for the server.

        Had the server's stream to begin without them, and somewhere else, then what was read was
        not what the client reads.
        """
        if self._keeps_text and not self._server.reaches(acknowledgement):
            self._begin_again(acknowledgement)
            return
        early = self._server.start_before(acknowledgement)
        if early and early != KEEP_ALIVE:
            self._receive(False, early)

    def _heed_hello(self, acknowledgement: int) -> None:
        """The same, where the client's first word is a hello and the server may have greeted it.

        Whether the client has read what came before, or it lay below its window, cannot be known.
        With a greeting it makes no difference: the answer to the hello begins behind it. With bytes
        that can begin a record it does, and no honest server says such a thing unasked.
        """
        early = self._server.leading_to(acknowledgement)
        if early == KEEP_ALIVE:
            early = b""
        if not self._late and any(each in _RECORD_TYPES for each in early):
            self.out_of_turn = True
            self._heed(acknowledgement)
            return
        whole = self._begin_again(acknowledgement, greeting=early)
        self.out_of_turn |= not whole and not self._late

    def _begin_again(self, acknowledgement: int, greeting: bytes = b"") -> bool:
        """Read the server from here on, and nothing of what was before; say whether all that has
        passed of it already is known still."""
        self._server, self._behind = self._server.rest_from(acknowledgement)
        whole = not self._server.overflowed
        self._server.overflowed = False
        self._opening = Opening(greeting)
        self._conversation = Conversation()
        return whole

    def _can_be_first(self, from_client: bool, segment: Segment) -> bool:
        """Say whether a SYN is one that its receiver takes.

        Inline, only the one that answers a client who has spoken in its own: later ones, and those
        that acknowledge something else, a client ignores.
        """
        if from_client or not self._keeps_text:
            return True
        said, length = self._client.next_sequence, self._received[True]
        if self._client_spoke or said is None or not length:
            return False
        return (said - segment.acknowledgement) & _MASK <= length

    def released(self, to_client: bool) -> int | None:
        """The sequence number that the receiver of that direction expects next.

        Everything before it has been released in order. While the stream's start is unknown it is
        what the receiver itself last acknowledged, None if it has not been heard.
        """
        stream = self._server if to_client else self._client
        if stream.next_sequence is not None:
            return stream.next_sequence
        return self._acknowledged_client if to_client else self._acknowledged_server

    def _receive(self, from_client: bool, data: bytes) -> None:
        self._received[from_client] += len(data)
        if self._received[from_client] > HANDSHAKE_LIMIT:
            self.facts.anomalies.add(Anomaly.OVERSIZED_HANDSHAKE)
        opening = self._opening
        if opening is not None:
            searching = opening.outcome is Outcome.SEARCHING
            data = opening.take(from_client, data)
            if searching:
                self._begin(opening)
        if data:
            self._conversation.receive(from_client, data)

    def _begin(self, opening: Opening) -> None:
        if opening.outcome is Outcome.TLS:
            self.facts.preamble = opening.dialogue
            if self.facts.preamble is None:
                self._opening = None
        elif opening.outcome is Outcome.PICKED_UP:
            self._conversation.pick_up()
        elif opening.outcome is Outcome.PLAIN:
            self._conversation.refuse()


def _is_hello(payload: bytes) -> bool:
    """Whether bytes, however few, can be the start of a record with a client's hello."""
    message = payload[_MESSAGE_TYPE_AT : _MESSAGE_TYPE_AT + 1]
    return (
        payload[0] == ContentType.HANDSHAKE
        and looks_like_record(payload)
        and message in (b"", bytes((HandshakeType.CLIENT_HELLO,)))
    )
