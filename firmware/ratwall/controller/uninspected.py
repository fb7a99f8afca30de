"""What passed without being looked at: how much, when, and between whom.

The kernel counts; this keeps the sums over restarts of either side. A sum is exact: what is kept is
the sum together with the counter that it includes, in one row. Whose connections they were is told
by conntrack events and by the kernel's sets: in a flood not every event can be read.
"""

import itertools
import json
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.sets import Missed
from ratwall.ledger.writer import LedgerWriter

NOTE = "uninspected"
SECOND = 1_000_000  # microseconds
# What is told of → the kernel's counter. "Escaped" went around a full table, "crowded" was
# refused because one device held more than its share.
COUNTERS = {
    "packets": "uninspected_packets",
    "flows": "uninspected_flows_packets",
    "escaped_packets": "escaped_packets",
    "escaped_flows": "escaped_flows_packets",
    "crowded_packets": "crowded_packets",
}
PASSED = ("packets", "escaped_packets")  # of these a person must know when it last happened
LISTED_LIMIT = 4096  # (device, server, port), 2 MB: as many as a set of the kernel holds
RECENT_LIMIT = 100  # the newest of them, 30 KB: what a person would look through


class Uninspected:
    """Sums since the ledger began, and the newest connections since this process did."""

    def __init__(self, writer: LedgerWriter, kept: str | None, origin: str) -> None:
        """`kept` is the ledger's note; `origin` tells one life of the kernel's table from another.

        A table that was made anew counts from nothing.
        """
        note = json.loads(kept or "{}")
        self._writer = writer
        self._origin = origin
        self._sums: dict[str, int] = {name: note.get(name, 0) for name in COUNTERS}
        self.last: int | None = note.get("last")  # UTC microseconds
        counted = note.get("kernel", {})
        self._kernel: dict[str, int] = dict.fromkeys(COUNTERS, 0)
        if isinstance(counted, int):  # written by version 0.1.0, which knew one counter
            self._kernel["packets"] = counted
        elif note.get("origin") == origin:
            self._kernel |= counted
        self._recent: OrderedDict[tuple[str, str, int], dict[str, Any]] = OrderedDict()

    def count(self, counters: dict[str, int], now: int) -> bool:
        """Take in the kernel's counters; KeyError if the table is not there.

        True if connections passed uninspected since the last look.
        """
        flows = self._sums["flows"]
        before = dict(self._kernel)
        for name, counter in COUNTERS.items():
            count = counters[counter] if name == "packets" else counters.get(counter, 0)
            # A lower count is that of a new table: the box was taken out and put in again.
            more = count - self._kernel[name] if count >= self._kernel[name] else count
            self._kernel[name] = count
            self._sums[name] += more
            if more and name in PASSED:
                self.last = now
                self._writer.count(now, "uninspected", more)
        if self._kernel != before:
            note = {**self._sums, "last": self.last, "kernel": self._kernel, "origin": self._origin}
            self._writer.note(NOTE, json.dumps(note))
        return self._sums["flows"] != flows

    def take_event(self, event: FlowEvent, now: int) -> None:
        """List a connection that the kernel shows as uninspected."""
        # Its first packet, or the first that conntrack saw, came from the device as a rule.
        key = (str(event.source), str(event.destination), event.destination_port)
        self._list(key, now, not event.ended)

    def take_missed(self, missed: Iterable[Missed], now: int) -> None:
        """List what the kernel's sets hold, where no event told of it."""
        for one in sorted(missed, key=lambda one: -one.age):
            key = (one.device, one.server, one.port)
            at = now - one.age * SECOND
            known = self._recent.get(key)
            if known is None or at > known["last"] + 2 * SECOND:  # the sets count in seconds
                self._list(key, at, 1)

    def listing(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest of them, newest first."""
        return list(itertools.islice(reversed(self._recent.values()), limit))

    def facts(self) -> dict[str, Any]:
        """Return all of it, JSON-ready; `recent` is newest first."""
        return {**self._sums, "last": self.last, "recent": self.listing(RECENT_LIMIT)}

    def _list(self, key: tuple[str, str, int], at: int, flows: int) -> None:
        entry = self._recent.setdefault(key, {"flows": 0})
        entry |= {
            "client": key[0],
            "server": key[1],
            "server_port": key[2],
            "last": at,
            "flows": entry["flows"] + flows,
        }
        self._recent.move_to_end(key)
        if len(self._recent) > LISTED_LIMIT:
            self._recent.popitem(last=False)
