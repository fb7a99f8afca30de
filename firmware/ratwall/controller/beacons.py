"""Scores how regular a device's connections with a server are: by our measure, and by RITA's.

It makes nothing fire. The scores stand beside an incident and in `ratwall explain`, so that who
knows RITA can compare. What they are made from is read from the ledger, between packets, one pair
at a time; open connections are not in it, as RITA wants it.
"""

from collections import OrderedDict
from typing import Final

from ratwall.controller.books import Books
from ratwall.controller.listener import Listener
from ratwall.detections.regularity import regularity
from ratwall.detections.rita import LEAST_SECONDS, BeaconScore, beacon_score
from ratwall.ledger import contacts
from ratwall.ledger.store import LedgerError

TURN_US: Final = 500_000  # one pair in that time: of a loop of a whole day it takes 60 ms
WAITING_LIMIT: Final = 4096  # pairs with news
SCORED_KEPT: Final = 4096
# A score is made anew when it is as old, and sooner while there are few connections: a loop that
# has just begun is what somebody looks at.
AGAIN_US: Final = 600_000_000
FEW: Final = 200
AGAIN_FEW_US: Final = 30_000_000

Pair = tuple[int, str]  # device's id, server


class Beacons(Listener):
    """Is told of pairs that have new connections in the ledger."""

    def __init__(self) -> None:
        self._books: Books
        self._due = 0
        self._waiting: OrderedDict[Pair, None] = OrderedDict()
        self._scored: OrderedDict[Pair, tuple[int, int]] = OrderedDict()  # when, of how many

    def start(self, books: Books) -> None:
        """Read and write these books from now on."""
        self._books = books

    def take_contact(self, device: int, server: str) -> None:
        """Take in that a pair has had connections since it was told of last."""
        if len(self._waiting) < WAITING_LIMIT:
            self._waiting[device, server] = None

    def tick(self, now: int) -> None:
        """Score one pair, if that is due."""
        if self._due > now >= self._due - TURN_US:  # earlier than that: the clock was set back
            return
        self._due = now + TURN_US
        while self._waiting:
            pair, _ = self._waiting.popitem(last=False)
            at, count = self._scored.get(pair, (0, 0))
            again = AGAIN_FEW_US if count < FEW else AGAIN_US
            if abs(now - at) >= again:
                self._score(pair, now)
                return

    def _score(self, pair: Pair, now: int) -> None:
        device, server = pair
        ledger = self._books.ledger
        try:
            found = contacts.connections(ledger, device, server, now)
            oldest = contacts.oldest(ledger, now)
        except LedgerError:
            return  # the writer says what is wrong with the ledger
        self._scored[pair] = (now, len(found))
        self._scored.move_to_end(pair)
        if len(self._scored) > SCORED_KEPT:
            self._scored.popitem(last=False)
        if len(found) < LEAST_SECONDS or oldest is None:
            return
        starts = [start for start, _ in found]
        rita = beacon_score(starts, [sent for _, sent in found], (oldest, now))
        contacts.write_score(
            self._books.writer,
            {
                "device": device,
                "server": server,
                "at": now,
                "connections": len(found),
                "regularity": regularity(starts),
                **_parts(rita),
            },
        )


def _parts(rita: BeaconScore | None) -> dict[str, int | None]:
    return {part: None if rita is None else getattr(rita, part) for part in contacts.RITA_PARTS}
