"""Handshake messages of one direction, cut out of the fragments of handshake records.

It never holds more than one message, and whole only the few whose content is wanted; everything
else is counted past. Of a Certificate only the leaf is kept: the rest of the chain is stepped over
entry by entry, so a chain of any length costs nothing.

Hellos: at most HELLO_LIMIT. Leaf: at most LEAF_LIMIT. Beyond: an Oversized event in its place.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ratwall.wire.errors import ParseError
from ratwall.wire.tls.registry import HandshakeType

# A ServerHello cannot exceed this by more than 71 bytes whatever its extensions hold, and the
# largest honest ClientHello (two post-quantum key shares and a ticket) is under 4 KiB.
HELLO_LIMIT: Final = 64 * 1024
# OpenSSL and Schannel refuse chains above 100 and 64 KiB; an honest leaf is under 4 KiB.
LEAF_LIMIT: Final = 64 * 1024
_HEADER_LENGTH: Final = 4
_LENGTH_BYTES: Final = 3  # of a certificate list and of each entry in it (RFC 5246 §7.4.2)

_HELLOS: Final = frozenset(
    {HandshakeType.CLIENT_HELLO, HandshakeType.SERVER_HELLO, HandshakeType.HELLO_RETRY_REQUEST}
)


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message; `body` is empty unless it is a hello."""

    type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Leaf:
    """The first certificate of a chain, complete; `alone` when the chain ends with it."""

    der: bytes
    alone: bool


@dataclass(frozen=True, slots=True)
class Issuer:
    """Another entry of the chain has begun."""


@dataclass(frozen=True, slots=True)
class NoLeaf:
    """A Certificate message with an empty list."""


@dataclass(frozen=True, slots=True)
class Oversized:
    """A hello or leaf beyond its cap, not kept."""

    type: int
    length: int


MessageEvent = Message | Leaf | Issuer | NoLeaf | Oversized


class MessageReader:
    """Turns handshake bytes of one direction into events.

    It waits for `_wanted` bytes, gives them to `_step`, and the step says what comes next; bytes of
    no interest are counted down in `_skip` before that.
    """

    __slots__ = (
        "_held",
        "_leaf_seen",
        "_list_rest",
        "_skip",
        "_step",
        "_trailing",
        "_type",
        "_wanted",
    )

    def __init__(self) -> None:
        self._held = bytearray()
        self._skip = 0
        self._wanted = _HEADER_LENGTH
        # A plain function: a bound method would tie the reader to itself, and a flood of readers
        # would wait in memory for the garbage collector.
        self._step: Step = MessageReader._read_header
        self._type = 0
        self._list_rest = 0  # bytes left of the certificate list
        self._trailing = 0  # bytes of the Certificate message behind its list
        self._leaf_seen = False

    @property
    def held(self) -> int:
        """Bytes kept of a message that is not whole yet."""
        return len(self._held)

    def feed(self, data: bytes) -> Iterator[MessageEvent]:
        """Yield what `data` completes; ParseError when lengths contradict one another."""
        position, end = 0, len(data)
        while True:
            if self._skip:
                taken = min(self._skip, end - position)
                self._skip -= taken
                position += taken
                if self._skip:
                    return
            missing = self._wanted - len(self._held)
            if missing > end - position:
                self._held += data[position:]
                return
            chunk = data[position : position + missing]
            position += missing
            if self._held:
                chunk = bytes(self._held) + chunk
                self._held.clear()
            event = self._step(self, chunk)
            if event is not None:
                yield event

    def _expect(self, wanted: int, step: "Step") -> None:
        self._wanted = wanted
        self._step = step

    def _read_header(self, header: bytes) -> MessageEvent | None:
        self._type = header[0]
        length = header[1] << 16 | header[2] << 8 | header[3]
        if self._type == HandshakeType.CERTIFICATE:
            if length < _LENGTH_BYTES:
                raise ParseError(f"Certificate message of {length} bytes", 1)
            self._trailing = length - _LENGTH_BYTES
            self._leaf_seen = False
            self._expect(_LENGTH_BYTES, MessageReader._read_list_length)
        elif self._type not in _HELLOS:
            self._skip = length
            self._expect(0, MessageReader._read_body)
        elif length > HELLO_LIMIT:
            self._skip = length
            self._expect(_HEADER_LENGTH, MessageReader._read_header)
            return Oversized(self._type, length)
        else:
            self._expect(length, MessageReader._read_body)
        return None

    def _read_body(self, body: bytes) -> MessageEvent:
        self._expect(_HEADER_LENGTH, MessageReader._read_header)
        return Message(self._type, body)

    def _read_list_length(self, field: bytes) -> MessageEvent | None:
        self._list_rest = int.from_bytes(field, "big")
        self._trailing -= self._list_rest
        if self._trailing < 0:
            raise ParseError(f"certificate list {-self._trailing} bytes longer than its message", 4)
        self._expect_entry()
        return None

    def _expect_entry(self) -> None:
        if self._list_rest:
            # A list with one or two bytes left over is found out by the step itself.
            self._expect(min(_LENGTH_BYTES, self._list_rest), MessageReader._read_entry_length)
        else:
            self._skip += self._trailing
            self._expect(0, MessageReader._end_certificate)

    def _read_entry_length(self, field: bytes) -> MessageEvent | None:
        length = int.from_bytes(field, "big")
        self._list_rest -= _LENGTH_BYTES + length
        if self._list_rest < 0:
            raise ParseError(f"certificate {-self._list_rest} bytes longer than its list", 7)
        if not self._leaf_seen and length <= LEAF_LIMIT:
            self._expect(length, MessageReader._read_leaf)
            return None
        self._skip = length
        self._expect_entry()
        if self._leaf_seen:
            return Issuer()
        self._leaf_seen = True
        return Oversized(HandshakeType.CERTIFICATE, length)

    def _read_leaf(self, der: bytes) -> MessageEvent:
        self._leaf_seen = True
        self._expect_entry()
        return Leaf(der, alone=self._list_rest == 0)

    def _end_certificate(self, _: bytes) -> MessageEvent:
        self._expect(_HEADER_LENGTH, MessageReader._read_header)
        return Message(self._type, b"") if self._leaf_seen else NoLeaf()


Step = Callable[[MessageReader, bytes], MessageEvent | None]
