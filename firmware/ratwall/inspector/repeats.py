"""Connections that are like one judged before: same program, same name asked for, same answer.

Keeps what was found, never decides. A program that comes back to its server says the same again but
for random numbers; what is found of it depends on nothing else, as long as neither packs, settings
nor the verdict memory have another word on it. Whoever changes one of these says `forget`.
"""

import hashlib
from collections import OrderedDict
from typing import Any

from ratwall.kernel.marks import FlowClass

KEPT = 512  # kinds of connection, some 2 KB each: what an office of fifty has in use
_KEY_BYTES = 16  # of a cryptographic hash: nobody finds a second hello for another's entry


class Repeats:
    """What was found of the kinds of connection seen last."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[FlowClass, dict[str, Any]]] = OrderedDict()

    @staticmethod
    def key(likeness: bytes) -> bytes:
        """Return the short name of a kind of connection."""
        return hashlib.blake2b(likeness, digest_size=_KEY_BYTES).digest()

    def get(self, key: bytes) -> tuple[FlowClass, dict[str, Any]] | None:
        """Return the class and the report of the last one of a kind, None if there is none."""
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    def put(self, key: bytes, flow_class: FlowClass, report: dict[str, Any]) -> None:
        """Keep what was found; the kind that was not met longest makes room."""
        self._kept[key] = flow_class, report
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def forget(self) -> None:
        """Forget all: something that findings depend on has changed."""
        self._kept.clear()
