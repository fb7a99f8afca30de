"""When each TLS record of one direction was first seen, from copies of the first bytes of segments.

A record's header tells where the next one begins, so boundaries are followed by sequence numbers
even where the bytes between were not copied. It never reads content. A segment that was seen before
is no news: a retransmission is not a record, nor is one record that came in two segments two.

Design note: a copy may be lost. Then the next header is looked for where the next segment begins,
because whoever writes a message begins a segment with it.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from ratwall.wire.tls.record import HEADER_LENGTH, is_record_header
from ratwall.wire.tls.registry import ContentType

_SPACE: Final = 1 << 32
_HALF: Final = 1 << 31
# A segment below this ends what its sender wrote (RFC 8200 section 5: every path carries 1,280).
_WHOLE_SEGMENT: Final = 1200
# What lies further below the newest byte than any client has under way is no retransmission: then
# it was the newest that was false, or a copy long lost.
UNDER_WAY: Final = 16 * 1024 * 1024


class SeenRecord(NamedTuple):
    """A record by its content type (IANA) and its length in bytes, header left out."""

    type: int
    length: int


@dataclass(slots=True)
class RecordTrail:
    """The records of one direction; feed it segments as they are copied."""

    _next: int | None = None  # sequence number of the next header, None while it is not known
    _end: int | None = None  # sequence number behind the newest byte seen

    def take(self, sequence: int, copied: bytes, length: int) -> list[SeenRecord]:
        """Return the records that begin in a segment of `length` bytes and were not seen before.

        `copied` holds its first bytes, at least a header of them where one begins there.
        """
        known = 0 if self._end is None else _distance(sequence, self._end)
        if known > UNDER_WAY:
            known, self._next = 0, None
        if known >= length:
            return []  # seen before, whatever it holds
        self._end = (sequence + length) % _SPACE
        offset, followed = 0, self._next is not None
        if self._next is not None:
            offset = _distance(sequence, self._next)
            if offset >= length:
                return []  # the middle of a record
            if offset < 0:  # a copy is missing
                offset, followed = 0, False
        seen: list[SeenRecord] = []
        kind: int = ContentType.APPLICATION_DATA
        while offset < length:
            header = copied[offset : offset + HEADER_LENGTH]
            if len(header) < HEADER_LENGTH:
                break
            if not is_record_header(header):
                self._next = None
                return seen
            followed = True
            record = SeenRecord(header[0], header[3] << 8 | header[4])
            kind = record.type
            if offset >= known:  # else sent again, together with something new
                seen.append(record)
            offset += HEADER_LENGTH + record.length
        rest = length - offset
        if rest > HEADER_LENGTH and followed and length < _WHOLE_SEGMENT:
            # Behind what was copied: as a rule one more record, which fills the segment.
            seen.append(SeenRecord(kind, rest - HEADER_LENGTH))
            offset = length
        self._next = None if offset < length else (sequence + offset) % _SPACE
        return seen


def _distance(sequence: int, later: int) -> int:
    """Return how many bytes `later` lies behind `sequence`, below 0 if before it (RFC 9293 3.4)."""
    return (later - sequence + _HALF) % _SPACE - _HALF
