"""The verdict memory as all inspectors share it: learned from reports, kept in the ledger.

Never judges: it repeats what the inspectors' own memories do with what they report, so that a
worker that never met a server knows it too, also after a restart.
"""

import ipaddress
import json
from functools import lru_cache
from typing import Any

from ratwall.controller.messages import FlowReport
from ratwall.errors import UsageError
from ratwall.ledger.models import Remembered
from ratwall.ledger.store import Ledger, LedgerError
from ratwall.ledger.writer import LedgerWriter
from ratwall.verdict.judge import MONITORED_ID, Judgement, Verdict
from ratwall.verdict.memory import LIFETIME_US, MemoryEntry, VerdictMemory

ADDRESSES_REMEMBERED = 4096  # 1 MB


@lru_cache(ADDRESSES_REMEMBERED)
def _packed(server: str) -> bytes:
    return ipaddress.ip_address(server).packed


class Recollection:
    """A `VerdictMemory` with a table behind it."""

    def __init__(self, writer: LedgerWriter, memory: VerdictMemory) -> None:
        self._writer = writer
        self._memory = memory

    def load(self, ledger: Ledger, now: int) -> None:
        """Take over what the ledger holds, and drop there what is unreadable or outlived."""
        try:
            rows = ledger.rows(Remembered.select())
        except LedgerError as error:
            self._writer.problem = str(error)
            return
        entries = {}
        for row in rows:
            try:
                entries[row["id"]] = MemoryEntry.from_dict(json.loads(row["entry"]))
            except (ValueError, UsageError):
                self._forget_row(row["id"])
        self._memory.merge(sorted(entries.values(), key=lambda entry: entry.learned))
        held = set(self._memory.entries())
        for row_id, entry in entries.items():
            if entry not in held or now - entry.learned > LIFETIME_US:
                self._forget_row(row_id)

    def _forget_row(self, row_id: int) -> None:
        self._writer.run(Remembered.delete().where(Remembered.id == row_id))

    def entries(self) -> list[dict[str, object]]:
        """Return all entries in the form that inspectors take, oldest first."""
        return [entry.as_dict() for entry in self._memory.entries()]

    def remembers(self, server: str, port: int, now: int) -> bool:
        """Say whether a connection with an endpoint would be cut whatever it hides."""
        packed = _packed(server)
        return self._memory.recall(packed, port, False, True, now) is not None

    def learn(self, report: FlowReport, now: int) -> dict[str, object] | None:
        """Take in a report; return the entry to share if it taught anything."""
        if report.certificate is None or report.flow_class == "exempt" or report.proxied:
            return None
        if any(fact["id"] == MONITORED_ID for fact in report.evidence):
            return None  # it would cut the next connection, which its rules may not
        judgement = Judgement(Verdict(report.verdict), report.score, report.family, ())
        sha256: str = report.certificate["sha256"]
        return self.learn_of(report.server, report.server_port, judgement, sha256, now)

    def learn_of(
        self, server: str, port: int, judgement: Judgement, sha256: str, now: int
    ) -> dict[str, Any] | None:
        """Take in how a certificate was judged; return the entry to share if there is one."""
        packed = _packed(server)
        entry = self._memory.learn(packed, port, judgement, sha256, now)
        if entry is None:
            return None
        self._write(server, entry)
        return entry.as_dict()

    def clock_set(self, by: int, since: int, until: int) -> dict[str, Any]:
        """Let what was learned between two times be as old as it was, though the clock was set.

        Return the message that makes the inspectors do the same.
        """
        for entry in self._memory.clock_set(by, since, until):
            self._write(str(ipaddress.ip_address(entry.server)), entry)
        return {"type": "clock", "by": by, "since": since, "until": until}

    def _write(self, server: str, entry: MemoryEntry) -> None:
        values = {"entry": json.dumps(entry.as_dict())}
        self._writer.run(
            Remembered.insert(server=server, server_port=entry.port, **values).on_conflict(
                conflict_target=[Remembered.server, Remembered.server_port], update=values
            )
        )

    def forget(self, server: str, port: int) -> dict[str, Any]:
        """Drop an endpoint; return the message that makes the inspectors drop it too."""
        self._memory.forget(_packed(server), port)
        self._writer.run(
            Remembered.delete().where(
                (Remembered.server == server) & (Remembered.server_port == port)
            )
        )
        return {"type": "forget", "server": server, "port": port}

    def endpoints_of(self, certificate_sha256: str) -> list[tuple[str, int]]:
        """Return the endpoints remembered for a certificate."""
        return [
            (str(ipaddress.ip_address(entry.server)), entry.port)
            for entry in self._memory.entries()
            if entry.certificate_sha256 == certificate_sha256
        ]
