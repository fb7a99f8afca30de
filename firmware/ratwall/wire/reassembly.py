"""One direction of a TCP connection: segments in any order, bytes in their order.

It never waits for time and never guesses: bytes are released once, in order, and what stands first
at a sequence number stays (first copy wins), because an inline box passes the first copy on. A
later copy that differs from bytes still held is a conflict, remembered as a fact. Beyond the bound
it holds nothing more and says so.

A stream that keeps its text can say what of a segment may pass at all (`admit`): bytes for a place
that is taken are replaced by the first copy, so whatever a receiver missed, ignored or threw away,
there is one text only that it can ever read.

Positions inside are plain integers counted from the first byte, so that only `push` knows about
sequence numbers wrapping at 2**32.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator

# Bytes held back in one direction while a gap is open. A certificate flight is 2-8 KiB, the initial
# window of a server 14 KiB (RFC 6928): 32 KiB holds two such windows.
OUT_OF_ORDER_LIMIT = 32 * 1024
# Islands between gaps; one byte in two would otherwise cost 16384 objects.
ISLAND_LIMIT = 1024
# Segments looked at while the start of a stream is unknown, before the lowest is taken for it:
# reordering beyond three segments is not seen at the first flight.
START_PATIENCE = 4

_MASK = 0xFFFFFFFF
_HALF = 0x80000000


def _any_start(_: bytes) -> bool:
    return True


class Stream:
    """Bytes of one direction, released in order.

    Without `next_sequence` it starts at the lowest segment held for which `is_start` holds, or
    after START_PATIENCE segments at the lowest. With `keep_text` it remembers what it released, and
    leaves its start to be told, until it can hold no more.
    """

    __slots__ = (
        "_is_start",
        "_islands",
        "_position",
        "_positions",
        "_start",
        "_text",
        "_waited",
        "buffered",
        "conflict",
        "next_sequence",
        "overflowed",
    )

    def __init__(
        self,
        next_sequence: int | None = None,
        is_start: Callable[[bytes], bool] = _any_start,
        *,
        keep_text: bool = False,
    ) -> None:
        self.next_sequence = next_sequence  # first byte not yet released in order
        self.conflict = False
        self.overflowed = False
        self.buffered = 0
        self._is_start = is_start
        self._position = 0  # of next_sequence, or while waiting of the first segment seen
        self._start = 0  # position of the first byte: as long as it equals _position, none is out
        self._positions: list[int] = []  # where the islands start, ascending
        self._islands: list[bytes] = []  # never touching one another
        self._waited: list[int] = []  # sequence numbers seen while the start is unknown
        self._text = bytearray() if keep_text else None  # released, from `_start` on

    @property
    def held(self) -> int:
        """Bytes in memory: out of order, and of the text that is kept."""
        return self.buffered + len(self._text or b"")

    def admit(self, sequence: int, payload: bytes) -> bytes | None:
        """Return a segment's payload as it may pass, in the same length; None if it may not.

        It may not where it stands too far ahead to be held: its sender will repeat it in order. Ask
        before `push`, and push what was returned.
        """
        if not self._positions and sequence == self.next_sequence:
            return payload
        reference = self._waited[0] if self._waited else self.next_sequence
        if reference is None:
            return payload  # the first of all
        position = self._locate(sequence, reference)
        passed = bytearray(payload)
        if self._text is not None:
            _lay_over(passed, position, self._text, self._start)
        for held_at, held in self._overlapping(position, position + len(payload)):
            _lay_over(passed, position, held, held_at)
        if passed != payload:
            # A keep-alive may carry one byte of garbage (RFC 9293 §3.8.4): no contradiction meant.
            self.conflict |= len(payload) > 1
            payload = bytes(passed)
        if self.next_sequence is None or self._has_room(position, len(payload)):
            return payload
        return None

    def push(self, sequence: int, payload: bytes) -> bytes:
        """Take one segment; return the bytes that are now in order, possibly none."""
        if sequence == self.next_sequence and not self._positions:
            return self._advance(payload)
        if not payload:
            return b""
        if self.next_sequence is None:
            return self._push_before_start(sequence, payload)
        return self._push_at(self._locate(sequence, self.next_sequence), payload)

    def start_at(self, sequence: int) -> bytes:
        """Fix the first sequence number once it is known; return what is in order from there.

        A start fixed earlier may be corrected until the first byte has been released.
        """
        if self._position != self._start:
            return b""
        if self.next_sequence is not None:
            self._position += self._signed(sequence, self.next_sequence)
        elif self._waited:
            self._position += self._signed(sequence, self._waited[0])
        self.next_sequence = sequence & _MASK
        self._start = self._position
        self._waited.clear()
        self._drop_before_position()
        return self._release()

    def start_by(self, acknowledged: int) -> bytes:
        """Fix an unknown start once the receiver has spoken; return what is in order from there.

        It acknowledges what it has read, so that all of that came by here: the lowest segment held
        is the first, or else `acknowledged` itself is.
        """
        start = self._best_start(self._waited) if self._waited else acknowledged
        return self.start_at(acknowledged if self._signed(acknowledged, start) < 0 else start)

    def start_before(self, acknowledged: int) -> bytes:
        """Fix an unknown start once the receiver has said that it waits for `acknowledged`.

        What it has read led up to there without a gap; what is held in other places it has not.
        """
        start = acknowledged
        if self.next_sequence is None and self._waited:
            position = self._locate(acknowledged, self._waited[0])
            for held_at, held in self._overlapping(position - 1, position + 1):
                if held_at <= position <= held_at + len(held):
                    start = acknowledged - (position - held_at)
        return self.start_at(start)

    def leading_to(self, acknowledged: int) -> bytes:
        """Return what is held that leads up to `acknowledged` without a gap: all that a receiver
        who waits there can have read. Needs the text."""
        reference = self._waited[0] if self._waited else self.next_sequence
        if reference is None:
            return b""
        position = self._locate(acknowledged, reference)
        for held_at, held in self._pieces():
            if held_at < position <= held_at + len(held):
                return bytes(held[: position - held_at])
        return b""

    def rest_from(self, sequence: int) -> tuple["Stream", bytes]:
        """Return a stream that begins at `sequence` with all that is held behind it, and what of
        that is in order. It is `overflowed` if there is too much of it."""
        rest = Stream(sequence & _MASK, keep_text=self._text is not None)
        rest.conflict = self.conflict
        reference = self._waited[0] if self._waited else self.next_sequence
        ready = b""
        if reference is not None:
            position = self._locate(sequence, reference)
            for held_at, held in self._pieces():
                ready += rest.push((sequence + held_at - position) & _MASK, bytes(held))
        return rest, ready

    def _pieces(self) -> Iterator[tuple[int, bytes | bytearray]]:
        """Yield (position, bytes) of all that is held: the text, and what waits behind gaps."""
        if self._text:
            yield self._start, self._text
        yield from zip(self._positions, self._islands, strict=True)

    def reaches(self, sequence: int) -> bool:
        """Say whether a receiver that waits for `sequence` can have read what was released here."""
        if self.next_sequence is None:
            return True
        return self._start <= self._locate(sequence, self.next_sequence) <= self._position

    @staticmethod
    def _signed(sequence: int, reference: int) -> int:
        """Distance from `reference` to `sequence`, negative when it lies before (RFC 9293 §3.4)."""
        distance = (sequence - reference) & _MASK
        return distance - _MASK - 1 if distance >= _HALF else distance

    def _locate(self, sequence: int, reference: int) -> int:
        return self._position + self._signed(sequence, reference)

    def _push_before_start(self, sequence: int, payload: bytes) -> bytes:
        waited = self._waited
        guesses = self._text is None
        if guesses and not waited and self._is_start(payload):
            self.next_sequence = sequence
            return self._advance(payload)
        if guesses or not waited:
            waited.append(sequence)
        self._hold(self._locate(sequence, waited[0]), payload)
        patient = len(waited) < START_PATIENCE and not self._is_start(payload)
        if self.overflowed and not guesses:
            # Nobody will tell where this begins: it has begun already. From here on it is in order.
            self.overflowed = False
            return self.start_at(self._best_start(waited)) + self.push(sequence, payload)
        if self.overflowed or (guesses and not patient):
            return self.start_at(self._best_start(waited))
        return b""

    def _best_start(self, waited: list[int]) -> int:
        reference = waited[0]
        for position, island in zip(self._positions, self._islands, strict=True):
            if self._is_start(island):
                return reference + position - self._position
        lowest = self._positions[0] - self._position if self._positions else 0
        return reference + lowest

    def _push_at(self, position: int, payload: bytes) -> bytes:
        behind = self._position - position
        if behind > 0:
            if behind >= len(payload):
                return b""  # a retransmission; the first copy is long gone
            payload = payload[behind:]
            position = self._position
        if position == self._position and not self._positions:
            return self._advance(payload)
        self._hold(position, payload, in_order=position == self._position)
        return self._release()

    def _advance(self, payload: bytes) -> bytes:
        assert self.next_sequence is not None
        self._position += len(payload)
        self.next_sequence = (self.next_sequence + len(payload)) & _MASK
        if self._text is not None:
            self._text += payload
        return payload

    def _overlapping(self, position: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield (position, bytes) of the islands that reach into [position, end)."""
        first = bisect_left(self._positions, position)
        for index in range(max(0, first - 1), len(self._positions)):
            if self._positions[index] >= end:
                return
            yield self._positions[index], self._islands[index]

    def _has_room(self, position: int, length: int) -> bool:
        """Say whether a segment is in order or finds room among the islands (at the worst)."""
        if position <= self._position:
            return True
        return self.buffered + length <= OUT_OF_ORDER_LIMIT and len(self._positions) < ISLAND_LIMIT

    def _hold(self, position: int, payload: bytes, in_order: bool = False) -> None:
        """Merge a segment into the islands, keeping the first copy of every byte."""
        positions, islands = self._positions, self._islands
        end = position + len(payload)
        # The islands that touch [position, end): from `first` up to, not including, `last`.
        first = bisect_left(positions, position)
        if first and positions[first - 1] + len(islands[first - 1]) >= position:
            first -= 1
        last = first
        while last < len(positions) and positions[last] <= end:
            last += 1
        merged = bytearray()
        start = cursor = position
        for index in range(first, last):
            held_at, held = positions[index], islands[index]
            if held_at < start:
                start = held_at
            elif held_at > cursor:
                merged += payload[cursor - position : held_at - position]
            held_end = held_at + len(held)
            overlap = max(held_at, position), min(held_end, end)
            if overlap[0] < overlap[1] and (
                held[overlap[0] - held_at : overlap[1] - held_at]
                != payload[overlap[0] - position : overlap[1] - position]
            ):
                self.conflict = True
            merged += held
            cursor = max(cursor, held_end)
        if cursor < end:
            merged += payload[cursor - position :]
        grown = len(merged) - sum(len(island) for island in islands[first:last])
        # Bytes that close the gap leave at once: they do not count as held.
        if not in_order and (
            self.buffered + grown > OUT_OF_ORDER_LIMIT
            or (first == last and len(positions) >= ISLAND_LIMIT)
        ):
            self.overflowed = True
            return
        positions[first:last] = [start]
        islands[first:last] = [bytes(merged)]
        self.buffered += grown

    def _drop_before_position(self) -> None:
        """Forget what was held of before the start, when the start turned out to be later."""
        while self._positions and self._positions[0] < self._position:
            held_at, held = self._positions.pop(0), self._islands.pop(0)
            kept = held[self._position - held_at :]
            self.buffered -= len(held) - len(kept)
            if kept:
                self._positions.insert(0, self._position)
                self._islands.insert(0, kept)

    def _release(self) -> bytes:
        if not self._positions or self._positions[0] != self._position:
            return b""
        self._positions.pop(0)
        ready = self._islands.pop(0)
        self.buffered -= len(ready)
        return self._advance(ready)


def _lay_over(passed: bytearray, position: int, held: bytes | bytearray, held_at: int) -> None:
    """Put what is held over the part of `passed` that stands in the same place."""
    start = max(position, held_at)
    end = min(position + len(passed), held_at + len(held))
    if start < end:
        passed[start - position : end - position] = held[start - held_at : end - held_at]
