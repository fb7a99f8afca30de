"""Stepping over cleartext that comes before TLS: STARTTLS, HTTP CONNECT, SOCKS, database greetings.

It knows none of these protocols. It looks for the first bytes that can be a hello and nothing
else: record header, message type and two lengths in range. What was before is forgotten.

OpenVPN is the exception, for its framing goes on between the pieces of the handshake.
"""

from ratwall.flow.openvpn import OpenVpn, opening_hmac
from ratwall.wire.tls.record import HEADER_LENGTH, RECORD_LIMIT, looks_like_record
from ratwall.wire.tls.registry import ContentType, HandshakeType

# Cleartext dialogues before TLS are a few hundred bytes, a long SMTP banner a few KiB. `opening`
# gives up earlier; behind it, this ends the wait for a server that answers a hello with something
# else. More than SEARCH_BYTES and the longest segment together.
PREAMBLE_LIMIT = 128 * 1024
_RECORD_START = bytes((ContentType.HANDSHAKE, 3))
_NEEDED = HEADER_LENGTH + 4  # record header and handshake header
# Alone these types begin no connection; `resync` knows more of streams in their middle.
_MIDDLE_TYPES = tuple(bytes((each,)) for each in ContentType if each is not ContentType.HANDSHAKE)
_LAST_MINOR = 4
# Shorter than any hello: version, random, three empty lists.
_SHORTEST_HELLO = 2 + 32 + 1 + 2 + 1


class Preamble:
    """One direction's bytes before its first TLS record."""

    __slots__ = ("_hello", "_tail", "_tunnel", "over", "passed")

    def __init__(self, from_client: bool) -> None:
        self.over = False  # TLS has begun, or the search was given up
        self._hello = HandshakeType.CLIENT_HELLO if from_client else HandshakeType.SERVER_HELLO
        self.passed = 0  # bytes of cleartext stepped over
        self._tail = b""  # too short to say whether a hello starts in it
        self._tunnel: OpenVpn | None = None

    @property
    def held(self) -> int:
        """Bytes kept back."""
        return len(self._tail) + (self._tunnel.held if self._tunnel is not None else 0)

    @property
    def tunnelled(self) -> bool:
        """Whether the cleartext is OpenVPN's."""
        return self._tunnel is not None

    def strip(self, data: bytes) -> bytes:
        """Return what of the in-order bytes belongs to TLS, possibly nothing."""
        if self._tunnel is not None:
            return self._tunnel.unwrap(data)
        if self.over or (not self._tail and self._begins_with_record(data)):
            self.over = True
            return data
        if self.passed == 0 and not self._tail:
            hmac = opening_hmac(data)
            if hmac is not None:
                self._tunnel = OpenVpn(hmac)
                self.passed = len(data)
                return self._tunnel.unwrap(data)
        data = self._tail + data
        start = data.find(_RECORD_START)
        while start >= 0 and not self._is_hello(data, start):
            start = data.find(_RECORD_START, start + 1)
        if start >= 0:
            if len(data) - start >= _NEEDED:
                self.over = True
                self.passed += start
                self._tail = b""
                return data[start:]
        else:
            start = len(data) - 1 if data.endswith(_RECORD_START[:1]) else len(data)
        self.passed += start
        self._tail = data[start:]
        if self.passed > PREAMBLE_LIMIT:
            self.over = True
            return data  # no record: the conversation will say that this is not TLS
        return b""

    def _begins_with_record(self, data: bytes) -> bool:
        """Whether a hello's record starts here: behind a preamble only a whole header tells."""
        if data[:1] in _MIDDLE_TYPES:
            return False
        if self.passed == 0:
            return looks_like_record(data)
        return (
            len(data) >= HEADER_LENGTH
            and data[0] == ContentType.HANDSHAKE
            and looks_like_record(data)
        )

    def _is_hello(self, data: bytes, start: int) -> bool:
        """Whether a hello starts there, as far as the bytes reach."""
        if len(data) - start < _NEEDED:
            return True
        length = data[start + 3] << 8 | data[start + 4]
        body = data[start + 6] << 16 | data[start + 7] << 8 | data[start + 8]
        return (
            data[start + 2] <= _LAST_MINOR
            and 4 <= length <= RECORD_LIMIT
            and data[start + 5] == self._hello
            and body >= _SHORTEST_HELLO
            and body <= RECORD_LIMIT * 4
        )
