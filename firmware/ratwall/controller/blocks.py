"""The blocks and allows in force: each in the kernel, in the ledger, with author, reason, expiry.

Never judges. The kernel is asked first and the ledger written after, so that the ledger does not
tell of a block that is not there. A block outlives this process in the kernel; after a restart of
everything it is made again from the ledger with the time it had left.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Protocol

from ratwall.errors import RatwallError, UsageError
from ratwall.kernel.response import Held
from ratwall.kernel.sets import BlockedEndpoint, Missed
from ratwall.ledger import models
from ratwall.ledger.writer import LedgerWriter

SECOND = 1_000_000  # microseconds
BLOCKING = ("block", "keep")
RULE_AUTHOR = "rule"  # whoever else acts is a person
REPORT_LOST = "report lost: it was cut and blocked, and why was not told before the inspector ended"
IN_FORCE_LIMIT = 60_000  # the kernel's sets hold 65,536 elements each; some are of its own making
# Of these rules leave so many to persons: whoever can make rules block shall not lock people out.
FOR_PERSONS = 1000
RETRIES_A_TURN = 50  # of what the kernel refused at the start: half a second of asking it


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

    def restore(
        self,
        blocks: Sequence[tuple[str, int, int]],
        allows: Sequence[tuple[str | None, str, int, int | None]],
    ) -> None:
        """Put many blocks and allows in at once."""

    def respond(self, held: Sequence[Held]) -> None:
        """Have exactly this held of devices: quarantines, blocks, pauses."""

    def counters(self) -> dict[str, int]:
        """Return packets counted by the kernel."""

    def blocks(self) -> list[BlockedEndpoint]:
        """Return what is refused to all devices at this moment."""

    def missed(self) -> list[Missed]:
        """Return the ends of what passed uninspected lately."""


class RefusedError(UsageError):
    """An action that cannot be done as asked; nothing was changed."""


@dataclass(slots=True)
class Action:
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
    mac: str | None = None
    rule: str | None = None  # of detection, and what it may do
    mode: str | None = None

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


class Actions:
    """All actions in force; every change goes to the kernel and to the ledger."""

    def __init__(self, writer: LedgerWriter, sets: KernelSets, never_block: frozenset[str]) -> None:
        self._writer = writer
        self._sets = sets
        self.never_block = never_block
        self.spared: Collection[IPv4Network | IPv6Network] = ()  # networks never blocked either
        self._in_force: dict[int, Action] = {}
        self._refused: list[int] = []  # in force, but not in the kernel yet

    def load(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take over the actions in force from the ledger."""
        for row in rows:
            kept = {key: value for key, value in row.items() if key != "undone"}
            self._in_force[row["id"]] = Action(**kept)

    def restore(self, now: int) -> list[str]:
        """Make the kernel hold what is in force; return what it refused, in words.

        What it refused is kept for `retry`.
        """
        # The last one counts where two block the same endpoint: it must be the longest.
        actions = sorted(self._in_force.values(), key=_expiry)
        blocks, allows = [], []
        for action in actions:
            seconds = None if action.expires is None else _seconds_left(action.expires, now)
            if action.endpoint is None:
                continue  # an allow by certificate is the inspectors' business
            if action.kind == "allow":
                allows.append((action.device, *action.endpoint, seconds))
            elif seconds is not None:
                blocks.append((*action.endpoint, seconds))
        self._refused.clear()
        try:
            self._sets.restore(blocks, allows)
        except RatwallError:
            return self._try(actions, now)  # one by one, to find those that are refused
        return []

    def retry(self, now: int) -> list[str]:
        """Try some of what the kernel refused again; return what it refuses still, in words."""
        turn, self._refused = self._refused[:RETRIES_A_TURN], self._refused[RETRIES_A_TURN:]
        actions = []
        for action_id in turn:
            action = self._in_force.get(action_id)
            if action is None:
                continue  # over or undone meanwhile
            if action.kind in BLOCKING and action.endpoint is not None:
                # Another block of the endpoint may have come, and must not be cut short.
                action = max(self.blocks_of(*action.endpoint), key=_expiry)
            actions.append(action)
        return self._try(actions, now)

    def _try(self, actions: Iterable[Action], now: int) -> list[str]:
        failures = []
        for action in actions:
            try:
                self._apply(action, now)
            except RatwallError as error:
                failures.append(str(error))
                self._refused.append(action.id)
        return failures

    def blocking(self) -> list[Action]:
        """Return the blocks in force."""
        return [action for action in self._in_force.values() if action.kind in BLOCKING]

    def blocks_of(self, server: str, port: int) -> list[Action]:
        """Return the blocks in force on one endpoint."""
        return [action for action in self.blocking() if action.endpoint == (server, port)]

    def allowed_certificates(self) -> list[dict[str, str | None]]:
        """Return the allows by certificate in the form that inspectors take."""
        return [
            {"sha256": action.certificate_sha256, "device": action.device}
            for action in self._in_force.values()
            if action.kind == "allow" and action.certificate_sha256 is not None
        ]

    def allow_of(self, device: str, server: str, port: int) -> Action | None:
        """Return the allow that lets a device reach an endpoint, None if there is none."""
        return next(
            (
                action
                for action in self._in_force.values()
                if action.kind == "allow"
                and action.endpoint == (server, port)
                and action.device in (None, device)
            ),
            None,
        )

    def may_block(self, server: str) -> bool:
        """Say whether a server may be blocked at all."""
        if server in self.never_block:
            return False
        return not self.spared or not any(ip_address(server) in each for each in self.spared)

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
    ) -> Action:
        """Block an endpoint; one that this incident blocks already is only prolonged."""
        self._check_room(author)
        if not self.may_block(server):
            raise RefusedError(f"block: {server} is on the never-block list")
        expires = now + seconds * SECOND
        standing = self.blocks_of(server, port)
        latest = max([expires, *(action.expires or 0 for action in standing)])
        self._sets.block(server, port, _seconds_left(latest, now))
        for action in standing:
            if action.incident == incident:
                action.expires = max(expires, action.expires or 0)
                self._writer.update(models.Action, action.id, {"expires": action.expires})
                return action
            if action.reason == REPORT_LOST:
                self._end(action, now)  # it was late, not lost
        return self._record(
            Action(0, now, "block", author, reason, None, server, port, None, expires, incident)
        )

    def adopt(self, server: str, port: int, seconds: int, now: int) -> Action:
        """Account for a block that the kernel holds for so long still and nobody has reported."""
        self._check_room(RULE_AUTHOR)
        expires = now + seconds * SECOND
        return self._record(
            Action(0, now, "block", RULE_AUTHOR, REPORT_LOST, None, server, port, None, expires)
        )

    def keep(self, incident: int, seconds: int, *, author: str, reason: str, now: int) -> Action:
        """Let every block of an incident last `seconds` from now; RefusedError if it has none."""
        blocks = [action for action in self.blocking() if action.incident == incident]
        if not blocks:
            raise RefusedError(f"keep: incident {incident} blocks nothing now")
        expires = now + seconds * SECOND
        kept = blocks[0]
        for action in blocks:
            if action.endpoint is None:
                continue
            self._sets.block(*action.endpoint, seconds)
            self._end(action, now)
            server, port = action.endpoint
            kept = self._record(
                Action(0, now, "keep", author, reason, None, server, port, None, expires, incident)
            )
        return kept

    def unblock(self, server: str, port: int, now: int) -> list[Action]:
        """Take every block of an endpoint away; return them."""
        self._sets.unblock(server, port)
        blocks = self.blocks_of(server, port)
        for action in blocks:
            self._end(action, now)
        return blocks

    def allow(self, action: Action, now: int) -> Action:
        """Put an allow in force in place of any other of the same scope."""
        self._check_room(action.author)
        self._apply(action, now)
        for other in list(self._in_force.values()):
            if other.kind == "allow" and other.scope == action.scope:
                self._end(other, now)
        return self._record(action)

    def note(self, action: Action) -> Action:
        """Write an action that is over as soon as it is done, such as a release."""
        return self._record(action, in_force=False)

    def get(self, action_id: int) -> Action | None:
        """Return an action in force by id."""
        return self._in_force.get(action_id)

    def undo(self, action: Action, now: int) -> None:
        """Take one action back; what another action still says about the same stays."""
        endpoint = action.endpoint
        if endpoint is not None and action.kind == "allow":
            self._sets.disallow(action.device, *endpoint)
        elif endpoint is not None:
            others = [other for other in self.blocks_of(*endpoint) if other is not action]
            if not others:
                self._sets.unblock(*endpoint)
            for other in others:
                self._apply(other, now)
        self._end(action, now)

    def revive(self, rows: Iterable[dict[str, Any]], now: int) -> list[Action]:
        """Put blocks that an allow had ended in force again, for the time they have left."""
        revived = []
        for row in rows:
            action = Action(**{key: value for key, value in row.items() if key != "undone"})
            self._apply(action, now)
            self._in_force[action.id] = action
            self._writer.update(models.Action, action.id, {"undone": None})
            revived.append(action)
        return revived

    def clock_set(self, by: int, since: int) -> None:
        """Keep the time that is left of what was begun since, though the clock was set."""
        move_actions(self._in_force.values(), by, since, self._writer)

    def expire(self, now: int) -> list[Action]:
        """Let go of what is over; the kernel's own timers have ended it there."""
        over = [
            action
            for action in self._in_force.values()
            if action.expires is not None and action.expires <= now
        ]
        for action in over:
            del self._in_force[action.id]
        return over

    def _apply(self, action: Action, now: int) -> None:
        """Make the kernel hold one action for the time it has left."""
        if action.endpoint is None:
            return  # an allow by certificate is the inspectors' business
        seconds = None if action.expires is None else _seconds_left(action.expires, now)
        if action.kind == "allow":
            self._sets.allow(action.device, *action.endpoint, seconds)
        elif seconds is not None:
            self._sets.block(*action.endpoint, seconds)

    def _record(self, action: Action, *, in_force: bool = True) -> Action:
        values = asdict(action)
        del values["id"]
        action.id = self._writer.insert(models.Action, values)
        if in_force:
            self._in_force[action.id] = action
        return action

    def _end(self, action: Action, now: int) -> None:
        self._in_force.pop(action.id, None)
        self._writer.update(models.Action, action.id, {"undone": now})

    def _check_room(self, author: str) -> None:
        limit = IN_FORCE_LIMIT - (FOR_PERSONS if author == RULE_AUTHOR else 0)
        if len(self._in_force) >= limit:
            raise RefusedError(
                f"{limit} blocks and allows are in force, the most that are kept; "
                "release some first"
            )


def _expiry(action: Action) -> int:
    """Return when a block ends; an allow may be for always, but none shares its scope."""
    return action.expires or 0


def _seconds_left(expires: int, now: int) -> int:
    """Return whole seconds from `now` to `expires`, rounded up, at least one."""
    return max(1, -((now - expires) // SECOND))


def move_actions(actions: Iterable[Action], by: int, since: int, writer: LedgerWriter) -> None:
    """Move the end of actions begun since a time by a step of the clock.

    What was begun in an earlier life of the controller was so by another clock, that was right as
    far as anybody knows.
    """
    for action in actions:
        if action.created >= since:
            action.created += by
            if action.expires is not None:
                action.expires += by
            times = {"created": action.created, "expires": action.expires}
            writer.update(models.Action, action.id, times)
