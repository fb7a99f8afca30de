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

_SPACE: Final = 1 << 32
_HALF: Final = 1 << 31
# A segment below this ends what its sender wrote (RFC 8200 section 5: every path carries 1,280).
_WHOLE_SEGMENT: Final = 1200


class SeenRecord(NamedTuple):
    """A record by its content type (IANA) and its length in bytes, header left out."""

    type: int
    length: int


@dataclass(slots=True)
class RecordTrail:
    """The records of one direction; feed it segments as they are copied."""

    _next: int | None = None  # sequence number of the next header, None while it is not known

    def take(self, sequence: int, copied: bytes, length: int) -> list[SeenRecord]:
        """Return the records that begin in a segment of `length` bytes and were not seen before.

        `copied` holds its first bytes, at least a header of them where one begins there.
        """
        offset = 0
        if self._next is not None:
            offset = (self._next - sequence + _HALF) % _SPACE - _HALF
            if offset >= length:
                return []  # the middle of a record, or all of it known
            if offset < 0:  # a copy is missing
                offset = 0
        seen: list[SeenRecord] = []
        while offset < length:
            header = copied[offset : offset + HEADER_LENGTH]
            if len(header) < HEADER_LENGTH:
                break
            if not is_record_header(header):
                self._next = None
                return seen
            record = SeenRecord(header[0], header[3] << 8 | header[4])
            seen.append(record)
            offset += HEADER_LENGTH + record.length
        rest = length - offset
        if rest > HEADER_LENGTH and seen and length < _WHOLE_SEGMENT:
            # Behind what was copied: as a rule one more record, which fills the segment.
            seen.append(SeenRecord(seen[-1].type, rest - HEADER_LENGTH))
            offset = length
        self._next = None if offset < length else (sequence + offset) % _SPACE
        return seen
