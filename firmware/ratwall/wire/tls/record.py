"""The record layer of one direction: headers read, fragments handed on piece by piece.

It never gathers a record: a piece is whatever of a record has arrived, so a peer cannot make it
hold 16 KiB. It does not decrypt, nor know which records are encrypted: `conversation` does.

An SSL 2.0-compatible ClientHello (RFC 5246 §E.2) has a header of its own, two bytes instead of
five; it is possible only as the very first thing a client says and comes as RecordKind.SSL2_HELLO.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from ratwall.wire.errors import ParseError

HEADER_LENGTH: Final = 5
# RFC 5246 §6.2.3: ciphertext is at most 2**14 + 2048 bytes.
RECORD_LIMIT: Final = (1 << 14) + 2048
_FIRST_TYPE: Final = 20
_LAST_TYPE: Final = 24
_MAJOR: Final = 3
_LAST_MINOR: Final = 4  # 0x0304 is not for records, but is seen and harmless

SSL2_HELLO: Final = 0x101  # outside the 8 bits of real content types
_SSL2_FLAG: Final = 0x80
_SSL2_HEADER: Final = 2
_SSL2_CLIENT_HELLO: Final = 1
_SSL2_MINOR: Final = 2  # its version number is 0x0002


class RecordPiece(NamedTuple):
    """Part of one record's fragment; `first` on its first piece, `rest` bytes still to come."""

    type: int
    version: int
    length: int
    first: bool
    rest: int
    data: bytes


def looks_like_record(data: bytes) -> bool:
    """Whether bytes, however few, can be the start of a TLS record or an SSL 2.0 hello."""
    return not data or is_record_header(data) or _is_ssl2_header(data)


def is_record_header(data: bytes) -> bool:
    """Whether bytes, at least one, can be the start of a record's header."""
    length = len(data)
    return (
        _FIRST_TYPE <= data[0] <= _LAST_TYPE
        and (length < 2 or data[1] == _MAJOR)
        and (length < 3 or data[2] <= _LAST_MINOR)
        and (length < HEADER_LENGTH or data[3] << 8 | data[4] <= RECORD_LIMIT)
    )


def _is_ssl2_header(data: bytes) -> bool:
    length = len(data)
    return (
        data[0] & _SSL2_FLAG != 0
        and (length < 3 or data[2] == _SSL2_CLIENT_HELLO)
        and (length < 4 or data[3] in (0, _MAJOR))
        and (length < 5 or (data[4] == _SSL2_MINOR if data[3] == 0 else data[4] <= _LAST_MINOR))
    )


class RecordReader:
    """Cuts one direction's in-order bytes into pieces of records."""

    __slots__ = ("_consumed", "_first", "_header", "_length", "_rest", "_type", "_version", "ssl2")

    def __init__(self, ssl2: bool) -> None:
        self.ssl2 = ssl2  # whether an SSL 2.0 hello is possible still
        self._header = b""
        self._type = 0
        self._version = 0
        self._length = 0
        self._rest = 0
        self._first = False
        self._consumed = 0

    @property
    def started(self) -> bool:
        """Whether one whole record header has been read."""
        return self._version != 0

    def feed(self, data: bytes) -> Iterator[RecordPiece]:
        """Yield the pieces that `data` adds; ParseError at bytes that are no record header."""
        position, end = 0, len(data)
        while position < end:
            if self._rest == 0:
                wanted = HEADER_LENGTH - len(self._header)
                self._header += data[position : position + wanted]
                position = min(position + wanted, end)
                piece = self._read_header()
                if piece is not None:
                    yield piece
                continue
            taken = min(self._rest, end - position)
            self._rest -= taken
            first, self._first = self._first, False
            yield RecordPiece(
                self._type,
                self._version,
                self._length,
                first,
                self._rest,
                data[position : position + taken],
            )
            position += taken

    def _read_header(self) -> RecordPiece | None:
        header = self._header
        if not is_record_header(header):
            if not (self.ssl2 and _is_ssl2_header(header)):
                raise ParseError("no TLS record", self._consumed)
            return self._read_ssl2_header() if len(header) == HEADER_LENGTH else None
        if len(header) < HEADER_LENGTH:
            return None
        self.ssl2 = False
        self._type = header[0]
        self._version = header[1] << 8 | header[2]
        self._length = self._rest = header[3] << 8 | header[4]
        self._consumed += HEADER_LENGTH + self._length
        self._header = b""
        self._first = True
        if self._length:
            return None
        return RecordPiece(self._type, self._version, 0, True, 0, b"")

    def _read_ssl2_header(self) -> RecordPiece:
        header = self._header
        self.ssl2 = False
        self._type = SSL2_HELLO
        self._version = header[3] << 8 | header[4]
        self._length = (header[0] & ~_SSL2_FLAG) << 8 | header[1]
        body = header[_SSL2_HEADER:]
        if self._length < len(body):
            raise ParseError(f"SSL 2.0 hello of {self._length} bytes", self._consumed)
        self._rest = self._length - len(body)
        self._consumed += _SSL2_HEADER + self._length
        self._header = b""
        self._first = False
        return RecordPiece(SSL2_HELLO, self._version, self._length, True, self._rest, body)
