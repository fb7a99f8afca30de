"""The allowed certificates on their way to the inspectors: a list of any length, in parts that fit.

Never puts half a list in force: an inspector that judged by one would cut what a person allowed.
The parts of one list arrive in order or not at all (SOCK_SEQPACKET); after a break in the line the
controller tells everything anew, and a part 0 drops what was gathered of an earlier list.
"""

from collections.abc import Iterator
from typing import Any

ENTRIES_A_PART = 200  # some 28 KB: a message must fit the socket's buffer of 208 KB at the least

AllowedCertificates = frozenset[tuple[str, str | None]]


def allow_messages(certificates: list[dict[str, str | None]]) -> Iterator[dict[str, Any]]:
    """Yield the messages that tell the full list; an empty list is one message too."""
    starts = range(0, max(len(certificates), 1), ENTRIES_A_PART)
    for part, start in enumerate(starts):
        yield {
            "type": "allow",
            "part": part,
            "parts": len(starts),
            "certificates": certificates[start : start + ENTRIES_A_PART],
        }


class AllowGathering:
    """The inspector's end: parts in, whole lists out."""

    def __init__(self) -> None:
        self._gathered: set[tuple[str, str | None]] = set()
        self._next_part = 0

    def take(self, message: dict[str, Any]) -> AllowedCertificates | None:
        """Return the list as (SHA-256, device) if this part completes it, else None.

        ValueError for a part out of turn, KeyError or TypeError for one of another form; what was
        gathered is dropped then.
        """
        part, parts = message["part"], message["parts"]
        expected, self._next_part = self._next_part, 0
        if part == 0:
            self._gathered = set()
        elif part != expected:
            raise ValueError(f"part {part} of the allowed certificates, expected {expected}")
        self._gathered |= {(item["sha256"], item["device"]) for item in message["certificates"]}
        if part + 1 < parts:
            self._next_part = part + 1
            return None
        return frozenset(self._gathered)
