"""When a client of the families' kind wrote: its bursts, its messages, and what follows a beat.

Pure and bounded: of each connection the newest are kept, a few hundred bytes. It decides nothing.

Design note: these families write the four bytes of a message's length apart from the message, so a
message begins with a record of fixed size, whatever the message: 4 bytes under TLS 1.3 are a record
of 21 (RFC 8446 section 5.2: a content type and a tag of 16), under TLS 1.2 with GCM of 28 (RFC 5288
section 3: 8 of nonce, 16 of tag), under TLS 1.0 with CBC a first byte in a record of its own and
the rest in another, 32 each (RFC 2246 section 6.2.3.2, and what .NET does against BEAST). There the
message is parted as well, so three records of 32 come before its rest: any small write is 32, 32.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Final, Self

from ratwall.rhythm.fold import SECOND, Chains
from ratwall.rhythm.records import SeenRecord
from ratwall.wire.tls.registry import ContentType

# Between two bursts: longer than a message takes to be written, shorter than the shortest period.
QUIET_US: Final = 400_000
# A message whose segment was lost comes with the second retransmission at the latest, as a rule;
# shorter than half the shortest period of the families: no beat is taken for a late message.
LATE_US: Final = 4_500_000
KEPT: Final = 64  # bursts, and messages: twelve beats with their answers and forty of commands
PREFIX_LENGTHS: Final = {21: "TLS 1.3", 28: "TLS 1.2", 32: "TLS 1.0"}
CBC_PREFIX: Final = 32  # comes twice: the first byte, the other three
PREFIX_PARTS: Final = 2
OPEN: Final = 8  # records of prefixes that wait: a ping, its answer, and two of a command's results
# To the client's answer to a server's answer to a beat; a slow line and a slow server. What a
# client writes within it of a message belongs to the same event.
ANSWER_US: Final = 2 * SECOND
APART_US: Final = 1 * SECOND
_SIZE_MOST: Final = 0xFFFF  # what fits in what is kept of a length


@dataclass(slots=True)
class BeatLog:
    """What one client wrote; times are microseconds of one clock."""

    times: "array[int]" = field(default_factory=lambda: array("q"))  # of bursts
    sent: "array[int]" = field(default_factory=lambda: array("q"))  # of messages: of their length
    sizes: "array[int]" = field(default_factory=lambda: array("H"))  # of the records behind it
    # Messages after a pause, and how they may follow one another as redrawn beats.
    events: Chains = field(default_factory=Chains)
    prefix: int = 0  # record length of the prefix that this connection uses; 0: none seen yet
    bursts: int = 0  # all there were
    messages: int = 0
    _last: int | None = None  # when a record was seen last
    _before: int = 0  # length of the record before, 0 for none in this burst
    _opened: int = 0  # length of the prefixes that wait for their messages
    _open: list[int] = field(default_factory=list)  # when their records were seen

    def take(self, at: int, records: Sequence[SeenRecord]) -> bool:
        """Take in the records of one segment; True if a burst began or a message was seen."""
        lengths = [one.length for one in records if one.type == ContentType.APPLICATION_DATA]
        if not lengths:
            return False
        begins = self._last is None or (
            at - self._last >= QUIET_US and not self._is_late_message(at - self._last, lengths)
        )
        self._last = at
        if begins:
            self._begin(at)
        before = self.messages
        for length in lengths:
            self._count(at, length)
        return begins or self.messages > before

    def clock_set(self, by: int) -> None:
        """Move all times: the clock that they are of was set."""
        for kept in (self.times, self.sent, self._open):
            for number, at in enumerate(kept):
                kept[number] = at + by
        self.events.clock_set(by)
        if self._last is not None:
            self._last += by

    def as_dict(self) -> dict[str, Any]:
        """Return what is kept, JSON-ready; of times the first, then the steps."""
        return {
            "times": _steps(self.times),
            "sent": _steps(self.sent),
            "sizes": list(self.sizes),
            "prefix": self.prefix,
            "bursts": self.bursts,
            "messages": self.messages,
            "last": self._last,
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Self:
        """Go on with what `as_dict` gave; ValueError if it is not of that form.

        A message that was under way is lost, and of redrawn beats what was older than the rest.
        """
        try:
            times, sent = (
                array("q", list(accumulate(kept[key]))[-KEPT:]) for key in ("times", "sent")
            )
            sizes = array("H", kept["sizes"][-KEPT:])
            prefix, bursts, messages = (int(kept[key]) for key in ("prefix", "bursts", "messages"))
            last = int(kept["last"])
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"no beats: {error!r}") from error
        in_order = all(one <= later for row in (times, sent) for one, later in pairwise(row))
        if not in_order or len(sent) != len(sizes) or prefix not in (0, *PREFIX_LENGTHS):
            raise ValueError("no beats: they contradict each other")
        log = cls(times, sent, sizes, prefix=prefix, bursts=bursts, messages=messages, _last=last)
        for number, at in enumerate(sent):
            if not number or at - sent[number - 1] >= APART_US:
                log.events.take(at)
        return log

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
        self._before = 0
        self._open.clear()
        if len(self.times) > KEPT:
            del self.times[0]

    def _count(self, at: int, length: int) -> None:
        """Count a message when what follows its prefix is seen: the prefix alone says nothing.

        Two messages that are written at about the same time may have their prefixes first.
        """
        self._before = length
        opens = length == self.prefix if self.prefix else length in PREFIX_LENGTHS
        if opens and (not self._open or length <= self._opened):
            if length != self._opened:
                self._opened = length
                self._open.clear()
            self._open.append(at)
            del self._open[:-OPEN]
            return
        parts = PREFIX_PARTS if self._opened == CBC_PREFIX else 1
        if len(self._open) < parts or length <= self._opened:
            return
        self._before = 0
        self.prefix = self._opened
        began = self._open[0]
        # The message's own first byte is a record of 32 too, where it was not sent with the rest.
        del self._open[: parts if parts == 1 else PREFIX_PARTS + 1]
        self._message(began, length)

    def _message(self, at: int, size: int) -> None:
        self.messages += 1
        if not self.sent or at - self.sent[-1] >= APART_US:
            self.events.take(at)
        self.sent.append(at)
        self.sizes.append(min(size, _SIZE_MOST))
        if len(self.sent) > KEPT:
            del self.sent[0], self.sizes[0]


def _steps(times: "array[int]") -> list[int]:
    """Return times as the first and the steps to the next, which are short to write."""
    return [*times[:1], *(later - one for one, later in pairwise(times))]
