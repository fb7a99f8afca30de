"""The blocks and allows in force: each in the kernel, in the ledger, with author, reason, expiry.

Never judges. The kernel is asked first and the ledger written after, so that the ledger does not
tell of a block that is not there. A block outlives this process in the kernel; after a restart of
everything it is made again from the ledger with the time it had left.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from ratwall.errors import RatwallError, UsageError
from ratwall.ledger.models import Action
from ratwall.ledger.writer import LedgerWriter

SECOND = 1_000_000  # microseconds
BLOCKING = ("block", "keep")
IN_FORCE_LIMIT = 60_000  # the kernel's sets hold 65,536 elements each; some are of its own making


class KernelSets(Protocol):
    """What this module asks of `ratwall.kernel.sets.Sets`; any may raise RatwallError."""

    def block(self, server: str, port: int, seconds: int) -> None:
        """Refuse an endpoint to all devices for a time."""

    def unblock(self, server: str, port: int) -> None:
        """Take a block away."""

    def allow(self, device: str | None, server: str, port: int, seconds: int | None) -> None:
        """Let an endpoint pass uninspected."""

    def disallow(self, device: str | None, server: str, port: int) -> None:
        """Take an allow away."""

    def counters(self) -> dict[str, int]:
        """Return packets counted by the kernel."""


class RefusedError(UsageError):
    """An action that cannot be done as asked; nothing was changed."""


@dataclass(slots=True)
class Measure:
    """One action in force; times are UTC microseconds, `expires` None is always."""

    id: int
    created: int
    kind: str
    author: str
    reason: str
    device: str | None = None
    server: str | None = None
    server_port: int | None = None
    certificate_sha256: str | None = None
    expires: int | None = None
    incident: int | None = None

    @property
    def endpoint(self) -> tuple[str, int] | None:
        """Return (server, port) if it is about one."""
        if self.server is None or self.server_port is None:
            return None
        return self.server, self.server_port

    @property
    def scope(self) -> tuple[str | None, str | None, int | None, str | None]:
        """Return what an allow is about; a new one of the same scope replaces it."""
        return self.device, self.server, self.server_port, self.certificate_sha256


class Measures:
    """All actions in force; every change goes to the kernel and to the ledger."""

    def __init__(self, writer: LedgerWriter, sets: KernelSets, never_block: frozenset[str]) -> None:
        self._writer = writer
        self._sets = sets
        self.never_block = never_block
        self._in_force: dict[int, Measure] = {}

    def load(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take over the actions in force from the ledger."""
        for row in rows:
            kept = {key: value for key, value in row.items() if key != "undone"}
            self._in_force[row["id"]] = Measure(**kept)

    def restore(self, now: int) -> list[str]:
        """Make the kernel hold what is in force; return what it refused, in words."""
        failures = []
        for measure in self._in_force.values():
            try:
                self._apply(measure, now)
            except RatwallError as error:
                failures.append(str(error))
        return failures

    def blocking(self) -> list[Measure]:
        """Return the blocks in force."""
        return [measure for measure in self._in_force.values() if measure.kind in BLOCKING]

    def blocks_of(self, server: str, port: int) -> list[Measure]:
        """Return the blocks in force on one endpoint."""
        return [measure for measure in self.blocking() if measure.endpoint == (server, port)]

    def allowed_certificates(self) -> list[dict[str, str | None]]:
        """Return the allows by certificate in the form that inspectors take."""
        return [
            {"sha256": measure.certificate_sha256, "device": measure.device}
            for measure in self._in_force.values()
            if measure.kind == "allow" and measure.certificate_sha256 is not None
        ]

    def may_block(self, server: str) -> bool:
        """Say whether a server may be blocked at all."""
        return server not in self.never_block

    def block(
        self,
        server: str,
        port: int,
        seconds: int,
        *,
        author: str,
        reason: str,
        incident: int | None,
        now: int,
    ) -> Measure:
        """Block an endpoint; one that this incident blocks already is only prolonged."""
        self._check_room()
        if not self.may_block(server):
            raise RefusedError(f"block: {server} is on the never-block list")
        expires = now + seconds * SECOND
        standing = self.blocks_of(server, port)
        latest = max([expires, *(measure.expires or 0 for measure in standing)])
        self._sets.block(server, port, _seconds_left(latest, now))
        for measure in standing:
            if measure.incident == incident:
                measure.expires = max(expires, measure.expires or 0)
                self._writer.update(Action, measure.id, {"expires": measure.expires})
                return measure
        return self._record(
            Measure(0, now, "block", author, reason, None, server, port, None, expires, incident)
        )

    def keep(self, incident: int, seconds: int, *, author: str, reason: str, now: int) -> Measure:
        """Let every block of an incident last `seconds` from now; RefusedError if it has none."""
        blocks = [measure for measure in self.blocking() if measure.incident == incident]
        if not blocks:
            raise RefusedError(f"keep: incident {incident} blocks nothing now")
        expires = now + seconds * SECOND
        kept = blocks[0]
        for measure in blocks:
            if measure.endpoint is None:
                continue
            self._sets.block(*measure.endpoint, seconds)
            self._end(measure, now)
            server, port = measure.endpoint
            kept = self._record(
                Measure(0, now, "keep", author, reason, None, server, port, None, expires, incident)
            )
        return kept

    def unblock(self, server: str, port: int, now: int) -> list[Measure]:
        """Take every block of an endpoint away; return them."""
        self._sets.unblock(server, port)
        blocks = self.blocks_of(server, port)
        for measure in blocks:
            self._end(measure, now)
        return blocks

    def allow(self, measure: Measure, now: int) -> Measure:
        """Put an allow in force in place of any other of the same scope."""
        self._check_room()
        self._apply(measure, now)
        for other in list(self._in_force.values()):
            if other.kind == "allow" and other.scope == measure.scope:
                self._end(other, now)
        return self._record(measure)

    def note(self, measure: Measure) -> Measure:
        """Write an action that is over as soon as it is done, such as a release."""
        return self._record(measure, in_force=False)

    def get(self, measure_id: int) -> Measure | None:
        """Return an action in force by id."""
        return self._in_force.get(measure_id)

    def undo(self, measure: Measure, now: int) -> None:
        """Take one action back; what another action still says about the same stays."""
        endpoint = measure.endpoint
        if endpoint is not None and measure.kind == "allow":
            self._sets.disallow(measure.device, *endpoint)
        elif endpoint is not None:
            others = [other for other in self.blocks_of(*endpoint) if other is not measure]
            if not others:
                self._sets.unblock(*endpoint)
            for other in others:
                self._apply(other, now)
        self._end(measure, now)

    def revive(self, rows: Iterable[dict[str, Any]], now: int) -> list[Measure]:
        """Put blocks that an allow had ended in force again, for the time they have left."""
        revived = []
        for row in rows:
            measure = Measure(**{key: value for key, value in row.items() if key != "undone"})
            self._apply(measure, now)
            self._in_force[measure.id] = measure
            self._writer.update(Action, measure.id, {"undone": None})
            revived.append(measure)
        return revived

    def expire(self, now: int) -> list[Measure]:
        """Let go of what is over; the kernel's own timers have ended it there."""
        over = [
            measure
            for measure in self._in_force.values()
            if measure.expires is not None and measure.expires <= now
        ]
        for measure in over:
            del self._in_force[measure.id]
        return over

    def _apply(self, measure: Measure, now: int) -> None:
        """Make the kernel hold one action for the time it has left."""
        if measure.endpoint is None:
            return  # an allow by certificate is the inspectors' business
        seconds = None if measure.expires is None else _seconds_left(measure.expires, now)
        if measure.kind == "allow":
            self._sets.allow(measure.device, *measure.endpoint, seconds)
        elif seconds is not None:
            self._sets.block(*measure.endpoint, seconds)

    def _record(self, measure: Measure, *, in_force: bool = True) -> Measure:
        values = asdict(measure)
        del values["id"]
        measure.id = self._writer.insert(Action, values)
        if in_force:
            self._in_force[measure.id] = measure
        return measure

    def _end(self, measure: Measure, now: int) -> None:
        self._in_force.pop(measure.id, None)
        self._writer.update(Action, measure.id, {"undone": now})

    def _check_room(self) -> None:
        if len(self._in_force) >= IN_FORCE_LIMIT:
            raise RefusedError(
                f"{IN_FORCE_LIMIT} blocks and allows are in force, the most that are kept; "
                "release some first"
            )


def _seconds_left(expires: int, now: int) -> int:
    """Return whole seconds from `now` to `expires`, rounded up, at least one."""
    return max(1, -((now - expires) // SECOND))
