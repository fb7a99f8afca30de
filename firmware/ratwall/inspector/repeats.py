"""Connections that are like one judged before: same program, same name asked for, same answer.

Keeps what was found, never decides. A program that comes back to its server says the same again but
for random numbers; what is found of it depends on nothing else, as long as neither packs, settings
nor the verdict memory have another word on it. Whoever changes one of these says `forget`.

The fast path looks into `kept` itself: the whole likeness is the key, so nobody finds a second
hello for another's entry.
"""

from collections import OrderedDict
from typing import Any

from ratwall.kernel.marks import FlowClass

KEPT = 512  # kinds of connection, some 3 KB each, 9 at most: what an office of fifty has in use


class Repeats:
    """What was found of the kinds of connection met last."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: OrderedDict[bytes, tuple[int, dict[str, Any]]] = OrderedDict()

    def put(self, likeness: bytes, flow_class: FlowClass, report: dict[str, Any]) -> None:
        """Keep what was found; the kind that was not met longest makes room."""
        self.kept[likeness] = int(flow_class), report
        if len(self.kept) > KEPT:
            self.kept.popitem(last=False)

    def forget(self) -> None:
        """Forget all: something that findings depend on has changed."""
        self.kept.clear()
