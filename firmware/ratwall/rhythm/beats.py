"""The bursts in which a client writes: when each began and whether it opened as a heartbeat does.

Pure and bounded: of each connection the newest bursts are kept, a few hundred bytes. It decides
nothing.

Design note: these families write the four bytes of a message's length apart from the message, so a
message begins with a record of fixed size, whatever the message: 4 bytes under TLS 1.3 are a record
of 21 (RFC 8446 section 5.2: a content type and a tag of 16), under TLS 1.2 with GCM of 28 (RFC 5288
section 3: 8 of nonce, 16 of tag), under TLS 1.0 with CBC a first byte in a record of its own and
the rest in another, 32 each (RFC 2246 section 6.2.3.2, and what .NET does against BEAST).
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ratwall.rhythm.records import SeenRecord
from ratwall.wire.tls.registry import ContentType

SECOND: Final = 1_000_000  # microseconds
# Between two bursts: longer than a message takes to be written, shorter than the shortest period.
QUIET_US: Final = 400_000
# A message whose segment was lost comes with the second retransmission at the latest, as a rule;
# shorter than half the shortest period of the families: no beat is taken for a late message.
LATE_US: Final = 4_500_000
KEPT: Final = 64  # bursts: twelve beats and four commands between any two of them
PREFIX_LENGTHS: Final = {21: "TLS 1.3", 28: "TLS 1.2", 32: "TLS 1.0"}
CBC_PREFIX: Final = 32  # comes twice: the first byte, the other three
ANSWER_US: Final = 2 * SECOND  # to a server's answer to the beat; a slow line and a slow server


@dataclass(slots=True)
class BeatLog:
    """The bursts of one client; times are microseconds of one clock."""

    times: "array[int]" = field(default_factory=lambda: array("q"))
    # For each burst: messages that begin with a record of a length prefix, at most 255.
    prefixed: bytearray = field(default_factory=bytearray)
    bursts: int = 0  # all there were
    _last: int | None = None  # when a record was seen last
    _before: int = 0  # length of the record before, 0 for none in this burst

    def take(self, at: int, records: Sequence[SeenRecord]) -> bool:
        """Take in the records of one segment; True if a burst began with them, or turned out to
        hold a message with its length in front."""
        lengths = [one.length for one in records if one.type == ContentType.APPLICATION_DATA]
        if not lengths:
            return False
        begins = self._last is None or (
            at - self._last >= QUIET_US and not self._is_late_message(at - self._last, lengths)
        )
        self._last = at
        if begins:
            self._begin(at)
        before = self.prefixed[-1]
        for length in lengths:
            self._count(length)
        return begins or (before == 0 and self.prefixed[-1] > 0)

    def clock_set(self, by: int) -> None:
        """Move all times: the clock that they are of was set."""
        for number, at in enumerate(self.times):
            self.times[number] = at + by
        if self._last is not None:
            self._last += by

    def _is_late_message(self, gap: int, lengths: Sequence[int]) -> bool:
        """Say whether records after a pause are the message that an open prefix is waiting for."""
        prefix = self._before
        if gap >= LATE_US or prefix not in PREFIX_LENGTHS:
            return False
        if prefix == CBC_PREFIX == lengths[0]:  # 32, N; another 32, 32 would be another prefix
            return len(lengths) > 1 and lengths[1] > CBC_PREFIX
        return lengths[0] > prefix

    def _begin(self, at: int) -> None:
        self.bursts += 1
        self.times.append(at)
        self.prefixed.append(0)
        self._before = 0
        if len(self.times) > KEPT:
            del self.times[0], self.prefixed[0]

    def _count(self, length: int) -> None:
        """Count a message when what follows its prefix is seen: the prefix alone says nothing."""
        before, self._before = self._before, length
        if before not in PREFIX_LENGTHS:
            return
        if before == CBC_PREFIX:
            # 32, 32 is the prefix; 32, N the message. The third of them is counted.
            if length == CBC_PREFIX:
                return
            self._before = 0
        else:
            self._before = 0
        if self.prefixed[-1] < 255:
            self.prefixed[-1] += 1

    def marked(self) -> list[int]:
        """Return when the bursts began that hold a message with its length in front."""
        return [at for at, count in zip(self.times, self.prefixed, strict=True) if count]

    def answers(self, beats: Sequence[int]) -> int:
        """Return after how many of these beats a second message followed: an answer's answer."""
        times, prefixed = self.times, self.prefixed
        found = 0
        for beat in beats:
            messages = sum(
                count
                for at, count in zip(times, prefixed, strict=True)
                if 0 <= at - beat <= ANSWER_US
            )
            found += messages >= 2
        return found
