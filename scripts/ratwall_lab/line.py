"""What the kernel would copy of a client's writes, after a line that loses and delays.

No socket and no clock: writes in, copies out, by a dice that is passed in. It knows TLS by its
record sizes and TCP by what it does when a segment is lost, and nothing of who listens.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

COPIED = 44  # of a segment's payload: 96 bytes less IPv4's header and TCP's with time stamps
MSS = 1448
FIRST_SEQUENCE = 1 << 31
SPACE = 1 << 32
RETRIES = 4
CBC_BLOCK, SHA1 = 16, 20


class Copy(NamedTuple):
    """A copy: seconds, sequence number, first bytes of the payload, all of its length."""

    at: float
    sequence: int
    copied: bytes
    length: int


class Write(NamedTuple):
    """A program's write: seconds, bytes; `apart` if its segment waits for an acknowledgement."""

    at: float
    size: int
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """What one connection goes through."""

    loss: float
    copy_loss: float
    delay: float  # seconds, mean
    round_trip: float
    retransmit: float

    @classmethod
    def draw(cls, dice: random.Random, table: dict[str, Any]) -> Line:
        """Draw one by the parameter file's table."""
        return cls(
            dice.uniform(*table["loss"]),
            dice.uniform(*table["copy_loss"]),
            dice.uniform(*table["delay_ms"]) / 1000,
            dice.uniform(*table["round_trip_ms"]) / 1000,
            dice.uniform(*table["retransmit_ms"]) / 1000,
        )


def records(version: str, size: int) -> list[int]:
    """Return the lengths of the records that one write makes."""
    if version == "TLS 1.3":
        return [size + 17]
    if version == "TLS 1.2":
        return [size + 24]
    parts = [1, size - 1] if size > 1 else [1]  # what .NET and browsers do against BEAST
    return [(part + SHA1) // CBC_BLOCK * CBC_BLOCK + CBC_BLOCK for part in parts]


def stream(version: str, size: int) -> bytes:
    """Return the beginning of what a write puts on the wire, and say nothing in it."""
    return b"".join(
        bytes((23, 3, 3)) + length.to_bytes(2, "big") + bytes(length)
        for length in records(version, size)
    )


def copies(writes: Iterable[Write], version: str, line: Line, dice: random.Random) -> list[Copy]:
    """Return what is copied of them, in the order of its times."""
    found = list(_sent(writes, version, line, dice))
    if line.copy_loss:
        found = [copy for copy in found if dice.random() >= line.copy_loss]
    found.sort(key=lambda copy: copy.at)
    return found


def _sent(writes: Iterable[Write], version: str, line: Line, dice: random.Random) -> Iterator[Copy]:
    sequence = FIRST_SEQUENCE
    pending: tuple[float, int, bytes] | None = None  # a lost segment: when again, where, what
    for write in writes:
        at = write.at + (line.round_trip if write.apart else 0.0)
        data = stream(version, write.size)
        if pending is not None:
            again, start, lost = pending
            if write.apart:  # it could not be sent yet: both go together
                lost, data_sent = lost + data, True
            else:
                data_sent = False
            yield from _segments(again, start, lost, line, dice)
            pending = None
            if data_sent:
                sequence = (sequence + len(data)) % SPACE
                continue
            at = max(at, again)
        chance = dice.random()
        if chance < line.loss / 2 and len(data) < MSS:  # before the box: seen when sent again
            pending = (at + _timeout(line, dice), sequence, data)
        else:
            yield from _segments(at, sequence, data, line, dice)
            if chance < line.loss and len(data) < MSS:  # behind it: seen twice
                pending = (at + _timeout(line, dice), sequence, data)
        sequence = (sequence + len(data)) % SPACE
    if pending is not None:
        yield from _segments(*pending, line, dice)


def _timeout(line: Line, dice: random.Random) -> float:
    waited = each = line.retransmit
    for _ in range(RETRIES):
        if dice.random() >= line.loss:
            break
        each *= 2
        waited += each
    return waited


def _segments(
    at: float, sequence: int, data: bytes, line: Line, dice: random.Random
) -> Iterator[Copy]:
    at += dice.expovariate(1 / line.delay)
    for start in range(0, len(data), MSS):
        part = data[start : start + MSS]
        yield Copy(at, (sequence + start) % SPACE, part[:COPIED], len(part))
