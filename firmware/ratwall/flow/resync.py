"""Finding the record boundaries of a TLS stream that is picked up somewhere in its middle.

It never reads a record and holds no payload: it looks for headers that agree with one another. One
header is five bytes that random data imitates once in two million places; a second one exactly
where the first says, or a record that ends exactly where the sender stopped, is chance no more.
"""

from ratwall.wire.tls.record import HEADER_LENGTH, RECORD_LIMIT, is_record_header

# Wherever a stream of TLS is picked up, two whole records show two headers.
SEARCH_BYTES = 2 * (HEADER_LENGTH + RECORD_LIMIT)
# Places that look like a header and wait for the next: one in a megabyte of ciphertext, but a
# stranger may send nothing else.
CANDIDATES = 16

_MAJOR = b"\x03"  # the second byte of every header; content types, before it, vary more


class RecordSearch:
    """Searches one direction; `feed` it in order until it says True."""

    __slots__ = ("_expected", "_position", "_tail", "searched")

    def __init__(self) -> None:
        self.searched = 0  # bytes, from the first
        self._position = 0  # of the tail's first byte
        self._tail = b""  # too short to say whether a header stands in it
        self._expected: list[int] = []  # where the records of the candidates end

    def feed(self, data: bytes) -> bool:
        """Take the next in-order bytes, as they were sent; True once two headers agree."""
        data = self._tail + data
        start = self._position
        end = start + len(data)
        self.searched = end
        found = end in self._expected
        place = data.find(_MAJOR, 1)
        while place >= 0 and not found:
            at = place - 1
            if len(data) - at < HEADER_LENGTH:
                break
            if is_record_header(data[at : at + HEADER_LENGTH]):
                found = self._agrees(start + at, data[at + 3] << 8 | data[at + 4], end)
            place = data.find(_MAJOR, place + 1)
        kept = min(len(data), HEADER_LENGTH - 1)
        self._tail = data[len(data) - kept :]
        self._position = end - kept
        return found

    def _agrees(self, position: int, length: int, end: int) -> bool:
        """Say whether a header there continues a candidate, or its record ends with the bytes."""
        if position in self._expected:
            return True
        next_header = position + HEADER_LENGTH + length
        if length and next_header == end:
            return True
        if length and len(self._expected) < CANDIDATES:
            self._expected.append(next_header)
        return False
