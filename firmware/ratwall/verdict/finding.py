"""Something that shows only over time and no single handshake can say: a rhythm, a loop, a habit.

It is to the history of a device what a judgement is to one connection: evidence with points. It
says nothing of what is done about it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ratwall.signatures.evidence import Evidence

Connection = tuple[str, int, str, int]  # client, its port, server, its port


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one device and one server; `at` is UTC microseconds.

    `connections` are alive and belong to it; `facts` is JSON-ready detail for the page; `mac` is
    whose card sent what it was found by, None if that was not seen.
    """

    rule: str  # "rhythm.stock"
    device: str
    server: str
    server_port: int
    evidence: tuple[Evidence, ...]
    at: int
    connections: tuple[Connection, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    mac: str | None = None
