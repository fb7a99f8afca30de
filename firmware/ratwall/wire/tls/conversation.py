"""Both directions of one TLS connection, read by someone who only watches.

Bytes go in, in order, a direction at a time; what they showed stands in `facts`, and how far the
certificate has been decided in `state`. It never raises, whatever the bytes: a direction that stops
making sense is read no further, and the facts say so.

Until a direction changes its cipher, its handshake records are in clear. What tells an abbreviated
handshake from a full one is not the session id, which may be echoed or not, but what the server
does next: a change of cipher before any Certificate (RFC 5246 §7.3, RFC 5077 §3.4).
"""

from enum import IntEnum
from typing import Final

from ratwall.wire.errors import ParseError
from ratwall.wire.tls.facts import Anomaly, TlsFacts
from ratwall.wire.tls.handshake import (
    pull_client_hello,
    pull_server_hello,
    pull_ssl2_client_hello,
)
from ratwall.wire.tls.messages import (
    Issuer,
    Leaf,
    Message,
    MessageEvent,
    MessageReader,
    NoLeaf,
    Oversized,
)
from ratwall.wire.tls.record import SSL2_HELLO, RecordPiece, RecordReader
from ratwall.wire.tls.registry import (
    AlertDescription,
    AlertLevel,
    ContentType,
    ExtensionType,
    HandshakeType,
    is_tls13,
)
from ratwall.wire.x509.certificate import parse_certificate

# Alerts kept: a handshake has one or two; a peer that repeats warnings must not fill memory.
ALERT_LIMIT: Final = 16
_ALERT_LENGTH: Final = 2
_ALERT_LEVELS: Final = frozenset(AlertLevel)
_ALERT_DESCRIPTIONS: Final = frozenset(AlertDescription)

# Server messages that come after the place where a Certificate would have stood.
_BEHIND_CERTIFICATE: Final = frozenset(
    {
        HandshakeType.SERVER_KEY_EXCHANGE,
        HandshakeType.CERTIFICATE_REQUEST,
        HandshakeType.SERVER_HELLO_DONE,
    }
)


class ConversationState(IntEnum):
    """How far the question "which certificate does the server show?" is answered."""

    UNKNOWN = 0  # too few bytes to say whether this is TLS
    HANDSHAKE = 1  # TLS, still undecided
    HIDDEN = 2  # no certificate will be seen in clear: resumed, TLS 1.3, or a suite without one
    CERTIFICATE = 3  # the leaf was read complete, or found unreadable
    NOT_TLS = 4  # the bytes are not TLS, or its handshake is over; the other direction may correct


class _Direction:
    """What one peer has sent."""

    __slots__ = ("_ssl2_body", "alert", "encrypted", "messages", "over", "records")

    def __init__(self, from_client: bool) -> None:
        self.records = RecordReader(ssl2=from_client)
        self.messages = MessageReader()
        self.encrypted = False  # what follows is readable only by the peers
        self.over = False  # the bytes stopped making sense
        self.alert = b""
        self._ssl2_body = bytearray()

    def has_ended(self) -> bool:
        """Whether what follows is encrypted."""
        return self.encrypted

    def gather_ssl2(self, piece: RecordPiece) -> bytes | None:
        """Collect an SSL 2.0 hello (at most 32 KiB by its length field); None until whole."""
        self._ssl2_body += piece.data
        if piece.rest:
            return None
        body = bytes(self._ssl2_body)
        self._ssl2_body.clear()
        return body


class Conversation:
    """Feed it with `receive`; read `facts` and `state`."""

    __slots__ = ("_client", "_counting", "_issuers", "_server", "carried_tls", "facts", "state")

    def __init__(self) -> None:
        self.facts = TlsFacts()
        self.state = ConversationState.UNKNOWN
        self.carried_tls = False  # a record header of TLS has been read in some direction
        self._client = _Direction(from_client=True)
        self._server = _Direction(from_client=False)
        self._counting = False  # the chain of the certificate kept is passing
        self._issuers = 0

    @property
    def held(self) -> int:
        """Bytes kept of messages that are not whole yet."""
        return self._client.messages.held + self._server.messages.held

    def receive(self, from_client: bool, data: bytes) -> None:
        """Take the next in-order bytes of one direction."""
        direction = self._client if from_client else self._server
        if direction.over:
            return
        try:
            for piece in direction.records.feed(data):
                self._receive_piece(direction, from_client, piece)
        except ParseError:
            direction.over = True
            self._give_up(direction)

    def pick_up(self) -> None:
        """Take note that this is TLS whose handshake was before our time: nothing will be read."""
        self.carried_tls = True
        self.facts.picked_up = True
        self.state = ConversationState.HIDDEN
        self._client.over = self._server.over = True

    def refuse(self) -> None:
        """Take note that the connection's bytes are not TLS."""
        self.state = ConversationState.NOT_TLS
        self._client.over = self._server.over = True

    def _give_up(self, direction: _Direction) -> None:
        if direction.records.started and not direction.encrypted:
            self.facts.anomalies.add(Anomaly.MALFORMED_HANDSHAKE)
        if self.state == ConversationState.UNKNOWN or (
            self.state == ConversationState.HANDSHAKE and direction is self._server
        ):
            self.state = ConversationState.NOT_TLS

    def _receive_piece(self, direction: _Direction, from_client: bool, piece: RecordPiece) -> None:
        self.carried_tls = True
        kind = piece.type
        if kind == ContentType.HANDSHAKE:
            if direction.encrypted:
                return
            self._begin_handshake()
            for event in direction.messages.feed(piece.data):
                if from_client:
                    self._receive_from_client(event, piece.version)
                else:
                    self._receive_from_server(event)
                if direction.has_ended():
                    break  # nothing may follow in this record (RFC 8446 §5.1), nor is it read
        elif kind == ContentType.CHANGE_CIPHER_SPEC:
            self._change_cipher(direction, from_client)
        elif kind == ContentType.ALERT:
            self._receive_alert(direction, from_client, piece)
        elif kind == SSL2_HELLO:
            self._begin_handshake()
            body = direction.gather_ssl2(piece)
            if body is not None:
                self._receive_ssl2_hello(body)
        else:
            self._receive_data(direction, from_client)

    def _begin_handshake(self) -> None:
        if self.state in (ConversationState.UNKNOWN, ConversationState.NOT_TLS):
            self.state = ConversationState.HANDSHAKE

    def _hide(self, resumed: bool) -> None:
        if self.state == ConversationState.HANDSHAKE:
            self.facts.resumed = resumed
            self.state = ConversationState.HIDDEN

    def _awaits_second_hello(self) -> bool:
        hello = self.facts.server_hello
        return self.facts.hello_retry and (hello is None or hello.is_hello_retry_request)

    def _change_cipher(self, direction: _Direction, from_client: bool) -> None:
        if self._awaits_second_hello():
            return  # a dummy of TLS 1.3's compatibility mode: hellos follow (RFC 8446 §D.4)
        direction.encrypted = True
        if not from_client and self.facts.server_hello is not None:
            self._hide(resumed=True)
        elif self.state == ConversationState.UNKNOWN:
            self.state = ConversationState.NOT_TLS  # picked up mid-stream

    def _receive_data(self, direction: _Direction, from_client: bool) -> None:
        """Application data, or a heartbeat: this direction's handshake is over."""
        direction.encrypted = True
        if self.state == ConversationState.UNKNOWN:
            self.state = ConversationState.NOT_TLS  # picked up mid-stream
        elif not from_client:
            self._hide(resumed=False)

    def _receive_alert(self, direction: _Direction, from_client: bool, piece: RecordPiece) -> None:
        if direction.encrypted or piece.length != _ALERT_LENGTH:
            return
        direction.alert += piece.data
        if piece.rest:
            return
        level, description = direction.alert
        direction.alert = b""
        if len(self.facts.alerts) < ALERT_LIMIT:
            alert = _level_name(level), _description_name(description), from_client
            self.facts.alerts.append(alert)

    def _receive_from_client(self, event: MessageEvent, record_version: int) -> None:
        facts = self.facts
        if isinstance(event, Message):
            if event.type == HandshakeType.CLIENT_HELLO and facts.client_hello is None:
                try:
                    hello = pull_client_hello(event.body, record_version)
                except ParseError:
                    facts.anomalies.add(Anomaly.MALFORMED_HANDSHAKE)
                    return
                facts.client_hello = hello
                if hello.unread:
                    facts.anomalies.add(Anomaly.MALFORMED_HANDSHAKE)
        elif isinstance(event, Leaf):
            facts.client_certificate = True
        elif isinstance(event, Oversized):
            facts.anomalies.add(Anomaly.OVERSIZED_HANDSHAKE)
            facts.client_certificate |= event.type == HandshakeType.CERTIFICATE

    def _receive_ssl2_hello(self, body: bytes) -> None:
        try:
            self.facts.client_hello = pull_ssl2_client_hello(body)
        except ParseError:
            self.facts.anomalies.add(Anomaly.MALFORMED_HANDSHAKE)

    def _receive_from_server(self, event: MessageEvent) -> None:
        facts = self.facts
        if isinstance(event, Message):
            if event.type == HandshakeType.SERVER_HELLO:
                self._receive_server_hello(event.body)
            elif event.type == HandshakeType.HELLO_RETRY_REQUEST:
                facts.hello_retry = True
            elif event.type in _BEHIND_CERTIFICATE:
                self._hide(resumed=False)
        elif isinstance(event, Leaf):
            self._receive_leaf(event)
        elif isinstance(event, Issuer):
            self._count_issuer()
        elif isinstance(event, NoLeaf):
            facts.anomalies.add(Anomaly.EMPTY_CERTIFICATE)
            self._decide("the server's certificate list is empty")
        else:
            facts.anomalies.add(Anomaly.OVERSIZED_HANDSHAKE)
            if event.type == HandshakeType.CERTIFICATE:
                self._decide(f"leaf of {event.length} bytes, more than is kept")

    def _receive_server_hello(self, body: bytes) -> None:
        facts = self.facts
        try:
            hello = pull_server_hello(body)
        except ParseError:
            facts.anomalies.add(Anomaly.MALFORMED_HANDSHAKE)
            return
        if facts.server_hello is not None and not self._awaits_second_hello():
            return  # a renegotiation in clear; the first one was answered by the certificate
        facts.set_server_hello(hello)
        if hello.unread:
            facts.anomalies.add(Anomaly.MALFORMED_HANDSHAKE)
        if hello.is_hello_retry_request:
            facts.hello_retry = True
        elif is_tls13(hello.selected_version):
            self._server.encrypted = True
            self._hide(resumed=hello.extension(ExtensionType.PRE_SHARED_KEY) is not None)

    def _receive_leaf(self, leaf: Leaf) -> None:
        facts = self.facts
        if self.state == ConversationState.CERTIFICATE:
            self._counting = False
            if leaf.der != facts.certificate_der:
                facts.anomalies.add(Anomaly.CHANGED_CERTIFICATE)
            return
        facts.certificate_der = leaf.der
        facts.chain_length = 1 if leaf.alone else 2
        self._counting = True
        try:
            facts.certificate = parse_certificate(leaf.der)
        except ParseError as error:
            facts.anomalies.add(Anomaly.UNREADABLE_CERTIFICATE)
            facts.certificate_error = str(error)
        self.state = ConversationState.CERTIFICATE

    def _count_issuer(self) -> None:
        if self._counting:
            self._issuers += 1
            self.facts.chain_length = max(self.facts.chain_length, 1 + self._issuers)

    def _decide(self, error: str) -> None:
        """The server has shown its certificate, and it is none that can be judged."""
        if self.state != ConversationState.CERTIFICATE:
            self.facts.certificate_error = error
            self.state = ConversationState.CERTIFICATE


def _level_name(level: int) -> str:
    return AlertLevel(level).name.lower() if level in _ALERT_LEVELS else str(level)


def _description_name(description: int) -> str:
    if description in _ALERT_DESCRIPTIONS:
        return AlertDescription(description).name.lower()
    return str(description)
