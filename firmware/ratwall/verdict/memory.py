"""Verdict memory: which servers have shown a family's certificate.

A resumed session shows no certificate, so a RAT that reconnects would look like anything else. The
memory answers for such connections, and only for them: a certificate in view is judged afresh.

Design note: no clock and no disk. Times are UTC microseconds passed in; the controller stores what
`learn` returns and hands it to the other workers, which `merge` it.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable, KeysView, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from ratwall.errors import UsageError
from ratwall.signatures.endpoint import Endpoint
from ratwall.verdict.judge import Judgement, Remembered, Verdict

# Endpoints held: more than a small network meets in a year, a few hundred kilobytes.
DEFAULT_CAPACITY = 4096

# Rented servers change hands within weeks, so a verdict that no certificate has renewed for this
# long is dropped. It is far longer than any block, and than the ten hours for which Windows
# resumes a session.
LIFETIME_US = 30 * 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class MemoryEntry:
    """What one endpoint has shown, and when (UTC µs).

    `withdrawn` marks that a different certificate there was since judged harmless.
    """

    server: bytes
    port: int
    family: str | None
    score: int
    certificate_sha256: str
    learned: int
    withdrawn: bool = False

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form, addresses as text."""
        return {
            "server": Endpoint(self.server, self.port).address,
            "port": self.port,
            "family": self.family,
            "score": self.score,
            "certificate_sha256": self.certificate_sha256,
            "learned": self.learned,
            "withdrawn": self.withdrawn,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read the JSON form; UsageError if a key is absent or not what `as_dict` writes."""
        try:
            return cls(
                server=ipaddress.ip_address(data["server"]).packed,
                port=int(data["port"]),
                family=data["family"],
                score=int(data["score"]),
                certificate_sha256=data["certificate_sha256"],
                learned=int(data["learned"]),
                withdrawn=bool(data["withdrawn"]),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise UsageError(f"verdict memory: unreadable entry {dict(data)}: {error!r}") from error


class VerdictMemory:
    """Endpoints that were judged `block` by their certificate, the newest `capacity` of them."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        if capacity < 1:
            raise UsageError(f"verdict memory: capacity must be at least 1, found {capacity}")
        self._capacity = capacity
        self._entries: OrderedDict[tuple[bytes, int], MemoryEntry] = OrderedDict()
        self._ports: dict[bytes, set[int]] = {}

    def recall(
        self, server: bytes, port: int, resumed: bool, has_sni: bool, now: int
    ) -> Remembered | None:
        """Return what is known of an endpoint whose certificate is hidden, or None.

        A resumed handshake without a server name also matches the same server on another port:
        Windows keeps sessions by name, and these clients hop ports on one address.
        """
        entry = self._live((server, port), now)
        if entry is None and resumed and not has_sni:
            others = (
                self._live((server, each), now) for each in tuple(self._ports.get(server, ()))
            )
            entry = max(
                (other for other in others if other is not None),
                key=lambda other: other.learned,
                default=None,
            )
        if entry is None:
            return None
        return Remembered(
            entry.family, entry.score, entry.learned, entry.port, entry.certificate_sha256
        )

    @property
    def servers(self) -> KeysView[bytes]:
        """The servers of which anything is known, on whichever port: a live view."""
        return self._ports.keys()

    def learn(
        self,
        server: bytes,
        port: int,
        judgement: Judgement,
        certificate_sha256: str | None,
        now: int,
    ) -> MemoryEntry | None:
        """Take in a judged connection; return the entry to share with others if one changed.

        Without a certificate nothing is learned: a verdict from memory must not renew itself.
        """
        if certificate_sha256 is None:
            return None
        held = self._entries.get((server, port))
        if judgement.verdict is Verdict.BLOCK:
            entry = MemoryEntry(
                server, port, judgement.family, judgement.score, certificate_sha256, now
            )
            self._put(entry)
            return entry
        if held is None or held.withdrawn or held.certificate_sha256 == certificate_sha256:
            return None
        withdrawn = MemoryEntry(
            server, port, held.family, held.score, certificate_sha256, now, withdrawn=True
        )
        self._put(withdrawn)
        return withdrawn

    def forget(self, server: bytes, port: int | None = None) -> int:
        """Drop an endpoint, or every port of a server; return how many entries went."""
        ports = self._ports.get(server, set()) if port is None else {port}
        keys = [(server, each) for each in ports if (server, each) in self._entries]
        for key in keys:
            self._drop(key)
        return len(keys)

    def entries(self) -> list[MemoryEntry]:
        """Return what is held, oldest first, withdrawn verdicts included."""
        return list(self._entries.values())

    def merge(self, entries: Iterable[MemoryEntry]) -> None:
        """Take in what others learned; of two entries for an endpoint the newer stays."""
        for entry in entries:
            held = self._entries.get((entry.server, entry.port))
            if held is None or held.learned < entry.learned:
                self._put(entry)

    def clock_set(self, by: int, since: int, until: int) -> list[MemoryEntry]:
        """Move what was learned between two times by a step of the clock; return what moved.

        What is older was learned by another clock; what is newer, by this one after it was set.
        """
        moved = []
        for key, entry in self._entries.items():
            if since <= entry.learned <= until:
                self._entries[key] = replace(entry, learned=entry.learned + by)
                moved.append(self._entries[key])
        return moved

    def _live(self, key: tuple[bytes, int], now: int) -> MemoryEntry | None:
        entry = self._entries.get(key)
        if entry is None or entry.withdrawn:
            return None
        if now - entry.learned > LIFETIME_US:
            self._drop(key)
            return None
        return entry

    def _put(self, entry: MemoryEntry) -> None:
        key = (entry.server, entry.port)
        self._entries[key] = entry
        self._entries.move_to_end(key)
        self._ports.setdefault(entry.server, set()).add(entry.port)
        while len(self._entries) > self._capacity:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: tuple[bytes, int]) -> None:
        del self._entries[key]
        ports = self._ports[key[0]]
        ports.discard(key[1])
        if not ports:
            del self._ports[key[0]]
