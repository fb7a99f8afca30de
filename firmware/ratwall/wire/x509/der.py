"""A tolerant walker over DER: finds elements by tag and length, and decodes nothing.

It never copies content, never recurses without a bound and never raises anything but ParseError.

Design note: Windows decodes certificates as BER, so a length that is not minimal or an indefinite
length is legal to the malware and illegal to a strict parser. Both are walked here, and whatever a
strict parser would have refused is named in `defects`: the difference is evidence, not an error.
"""

from typing import NamedTuple

from ratwall.wire.errors import ParseError

BOOLEAN = 0x01
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
UTC_TIME = 0x17
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31

CONTEXT_0 = 0xA0  # [0] EXPLICIT: version
CONTEXT_3 = 0xA3  # [3] EXPLICIT: extensions

# An X.509 certificate nests about nine deep; indefinite lengths are searched no deeper than this.
NESTING_LIMIT = 16

# Elements read from one certificate. Web certificates have about 100; without a bound, 64 KiB of
# empty elements would hold up the packets behind them for a tenth of a second.
ELEMENTS_LIMIT = 4096

# X.690 §8.1.3.5 allows 126 length octets; four already describe more than any TLS message.
LENGTH_OCTETS_LIMIT = 4

# A tag number above 30 takes more octets (X.690 §8.1.2.4). No field of a certificate needs one.
TAG_OCTETS_LIMIT = 4

_HIGH_TAG = 0x1F
_INDEFINITE = 0x80


class Element(NamedTuple):
    """One tag-length-value: `data[content:end]` is the value, `data[start:after]` all of it."""

    tag: int
    start: int
    content: int
    end: int
    after: int  # equals `end`, or lies two octets behind it after an indefinite length


class Walker:
    """Reads elements of one byte string and collects what a strict DER parser would refuse."""

    __slots__ = ("_read", "data", "defects")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._read = 0
        self.defects: dict[str, None] = {}  # a set that keeps the order of discovery

    def note(self, defect: str) -> None:
        """Remember a departure from DER, once."""
        self.defects[defect] = None

    def element(self, offset: int, end: int) -> Element:
        """Return the element at `offset`, which must lie wholly before `end` (X.690 §8.1)."""
        cursor = offset + 2
        if cursor > end:
            raise ParseError("no room for a DER element", offset)
        self._count(offset)
        tag = self.data[offset]
        length = self.data[offset + 1]
        if tag & _HIGH_TAG == _HIGH_TAG:
            cursor = self._skip_high_tag(offset + 1, end)
            length = self.data[cursor]
            cursor += 1
        if length >= _INDEFINITE:
            if length == _INDEFINITE:
                self.note("indefinite length")
                return self._indefinite(tag, offset, cursor, end)
            length, cursor = self._long_length(length - _INDEFINITE, cursor, end)
        after = cursor + length
        if after > end:
            raise ParseError(f"DER element of {length} bytes runs past its container", offset)
        return Element(tag, offset, cursor, after, after)

    def expect(self, tag: int, offset: int, end: int, what: str) -> Element:
        """Return the element at `offset`, or raise ParseError if it is not a `tag`."""
        found = self.element(offset, end)
        if found.tag != tag:
            raise ParseError(f"{what} has tag 0x{found.tag:02x}, expected 0x{tag:02x}", offset)
        return found

    def children(self, parent: Element, limit: int) -> list[Element]:
        """Return up to `limit` elements of a constructed one; further ones become a defect."""
        found: list[Element] = []
        offset = parent.content
        while offset < parent.end:
            if len(found) == limit:
                self.note(f"more than {limit} elements in one list")
                break
            child = self.element(offset, parent.end)
            found.append(child)
            offset = child.after
        return found

    def value(self, element: Element) -> bytes:
        """Return a copy of the element's content."""
        return self.data[element.content : element.end]

    def _count(self, offset: int) -> None:
        self._read += 1
        if self._read > ELEMENTS_LIMIT:
            raise ParseError(f"more than {ELEMENTS_LIMIT} DER elements", offset)

    def _skip_high_tag(self, cursor: int, end: int) -> int:
        for _ in range(TAG_OCTETS_LIMIT):
            if cursor + 1 >= end:
                break
            cursor += 1
            if not self.data[cursor - 1] & 0x80:
                return cursor
        raise ParseError("unreadable DER tag", cursor)

    def _long_length(self, octets: int, cursor: int, end: int) -> tuple[int, int]:
        after = cursor + octets
        if after > end:
            raise ParseError("DER length is cut off", cursor)
        raw = self.data[cursor:after].lstrip(b"\0")
        if len(raw) > LENGTH_OCTETS_LIMIT:
            raise ParseError(f"DER length of {len(raw)} octets", cursor)
        length = int.from_bytes(raw, "big")
        if length < _INDEFINITE or len(raw) != octets:
            self.note("length not in its shortest form")
        return length, after

    def _indefinite(self, tag: int, start: int, content: int, end: int) -> Element:
        """Find the two zero octets that end an indefinite length (X.690 §8.1.3.6), once per call.

        The open elements are counted, not recursed into, so one pass over the bytes is enough.
        """
        depth = 1
        cursor = content
        while True:
            if cursor + 2 > end:
                raise ParseError("indefinite length without an end", start)
            if self.data[cursor : cursor + 2] == b"\0\0":
                depth -= 1
                cursor += 2
                if depth == 0:
                    return Element(tag, start, content, cursor - 2, cursor)
                continue
            head = cursor + 1
            if self.data[cursor] & _HIGH_TAG == _HIGH_TAG:
                head = self._skip_high_tag(head, end)
            if self.data[head] == _INDEFINITE:
                self._count(cursor)
                depth += 1
                if depth > NESTING_LIMIT:
                    raise ParseError(f"indefinite lengths nested over {NESTING_LIMIT} deep", start)
                cursor = head + 1
            else:
                cursor = self.element(cursor, end).after


def unsigned(content: bytes) -> int:
    """Read an INTEGER's octets as an unsigned number, as moduli and serials are meant."""
    return int.from_bytes(content, "big")
