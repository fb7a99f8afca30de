"""What is in force about devices and rules: the upper steps of the response ladder, and the pause.

Beside `blocks`, which holds a server off everybody. Each action has an author, a reason, an end and
an undo, is written to the ledger, and is put in force again after a restart with the time it has
left. The kernel is asked first and always told everything that holds, so that it cannot end up with
half of it; what it refuses is not written.
"""

import logging
from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from typing import Any

from ratwall.controller.blocks import (
    RULE_AUTHOR,
    SECOND,
    Action,
    KernelSets,
    RefusedError,
    move_actions,
)
from ratwall.controller.books import Books
from ratwall.controller.identity import Identity, known_by
from ratwall.controller.listener import Listener
from ratwall.errors import RatwallError
from ratwall.kernel.response import BlockedFor, Held, Paused, Quarantined
from ratwall.ledger import models, queries
from ratwall.settings.schema import Rules

log = logging.getLogger(__name__)

BLOCK_DEVICE = "block_device"  # a server, or one port of it, for one device
BLOCK_SERVER = "block_server"  # every port of a server, for all
QUARANTINE, WATCH, PAUSE, RULE = "quarantine", "watch", "pause", "rule"
IN_KERNEL = (BLOCK_DEVICE, BLOCK_SERVER, QUARANTINE, PAUSE)
IN_FORCE_LIMIT = 4096  # actions on devices: a hundred for each of forty; the sets hold twice that
FOR_PERSONS = 1024  # of these, which rules leave alone: there is always room for a quarantine
WATCHED_LIMIT = 256  # devices watched closely: the list fits one message to an inspector

Push = Callable[[dict[str, Any]], None]


class Responses(Listener):
    """All of them; give it the books first."""

    def __init__(
        self,
        sets: KernelSets,
        may_block: Callable[[str], bool],
        is_ours: Callable[[str], bool],
        tell: Callable[[str], None],
        push: Push,
        watch: Callable[[Collection[str]], None],
        resumed: Callable[[], None],
        clock: Callable[[], int],
    ) -> None:
        """`may_block` knows which servers are never blocked, `is_ours` the box and its gateways;
        `tell` takes what the kernel refuses.

        `push` sends a message to all inspectors; `watch` has what runs of some devices observed;
        `resumed` has what passed in a pause read again.
        """
        self._sets = sets
        self._may_block = may_block
        self._is_ours = is_ours
        self._tell = tell
        self._push = push
        self._watch = watch
        self._resumed = resumed
        self._clock = clock
        self._books: Books
        self._in_force: dict[int, Action] = {}
        self._known: dict[int, Identity] = {}
        self._owed = False  # the kernel refused what holds
        self._laid = False  # the kernel holds something of ours

    def start(self, books: Books) -> None:
        """Put in force what the ledger says."""
        self._books = books
        self._in_force.clear()
        self._known.clear()
        now = self._clock()
        for row in queries.actions_of(books.ledger, queries.RESPONSE_KINDS, now):
            action = Action(**{key: value for key, value in row.items() if key != "undone"})
            self._in_force[action.id] = action
            if action.device is not None:
                self._known[action.id] = known_by(books.ledger, action.device, action.mac, now)
        self._laid = True  # perhaps, by a controller before this one
        self.restore()
        self._tell_inspectors()

    def begun(self, by: int, since: int) -> None:
        """Keep the time that is left of what was begun since, though the clock was set."""
        move_actions(self._in_force.values(), by, since, self._books.writer)

    def tick(self, now: int) -> None:
        """Let go of what is over; the kernel's own timers have ended it there."""
        over = [
            action
            for action in self._in_force.values()
            if action.expires is not None and action.expires <= now
        ]
        for action in over:
            del self._in_force[action.id]
            self._known.pop(action.id, None)
        if over:
            self.restore()  # takes chains away that nothing needs any more
            self._ended(over)

    def retry(self) -> None:
        """Try again what the kernel refused."""
        if self._owed:
            self.restore()

    def restore(self) -> None:
        """Make the kernel hold what is in force; what it refuses is tried again."""
        held = self._held(self._in_force.values())
        if not held and not self._laid and not self._owed:
            return
        try:
            self._sets.respond(held)
        except RatwallError as error:
            self._owed = True
            self._tell(str(error))
            return
        self._owed, self._laid = False, bool(held)

    def of(self, *kinds: str) -> list[Action]:
        """Return what is in force of some kinds, oldest first."""
        return [action for action in self._in_force.values() if action.kind in kinds]

    def get(self, action_id: int) -> Action | None:
        """Return an action in force by id."""
        return self._in_force.get(action_id)

    def messages(self) -> list[dict[str, Any]]:
        """Return what an inspector must know of this."""
        # What persons asked for first, then the newest: a flood of addresses pushes nobody out.
        actions = sorted(self.of(WATCH), key=lambda one: (one.author == RULE_AUTHOR, -one.created))
        watched = dict.fromkeys(
            address for action in actions for address in self._known[action.id].addresses
        )
        return [{"type": "watch", "devices": list(watched)[:WATCHED_LIMIT]}]

    def rules(self, settings: Rules) -> Rules:
        """Return the modes of rules in force: the settings, and what a person set since."""
        for action in self.of(RULE):
            settings = settings.with_mode(str(action.rule), str(action.mode))
        return settings

    def watches(self, device: str) -> bool:
        """Say whether the device at an address is watched closely."""
        return device in self._watched()

    def paused(self, device: str) -> bool:
        """Say whether nothing of a device is judged at this moment."""
        return any(
            action.device is None or device in self._known[action.id].addresses
            for action in self.of(PAUSE)
        )

    def paused_until(self) -> int | None:
        """Return when the pause of all ends (UTC microseconds), None if there is none."""
        ends = [action.expires for action in self.of(PAUSE) if action.device is None]
        return next(iter(ends), None)

    def block(
        self, device: Identity | None, server: str, port: int | None, seconds: int, **why: Any
    ) -> Action:
        """Block a server, or one port of it, for a device; without one, every port for all."""
        if not self._may_block(server):
            raise RefusedError(f"block: {server} is on the never-block list")
        kind = BLOCK_SERVER if device is None else BLOCK_DEVICE
        address = None if device is None else device.address
        return self._begin(
            _action(kind, seconds, **why, device=address, server=server, server_port=port), device
        )

    def quarantine(self, device: Identity, seconds: int, **why: Any) -> Action:
        """Let a device reach nothing but DNS and the box itself."""
        if self._is_ours(device.address):
            raise RefusedError(
                f"quarantine: {device.address} is on the never-block list: the box or its gateway"
            )
        return self._begin(_of_device(QUARANTINE, device, seconds, **why), device)

    def watch(self, device: Identity, seconds: int, **why: Any) -> Action:
        """Free no connection of a device, and tell sooner what it does."""
        action = self._begin(_of_device(WATCH, device, seconds, **why), device)
        self._tell_inspectors()
        self._watch(device.addresses)
        return action

    def pause(self, device: Identity | None, seconds: int, **why: Any) -> Action:
        """Inspect nothing of a device, or of any, for a time."""
        if device is None:
            return self._begin(_action(PAUSE, seconds, **why), None)
        return self._begin(_of_device(PAUSE, device, seconds, **why), device)

    def set_mode(self, rule: str, mode: str, **why: Any) -> Action:
        """Set what a rule may do, until it is undone or set again."""
        return self._begin(_action(RULE, None, **why, rule=rule, mode=mode), None)

    def end(self, actions: Collection[Action], now: int) -> None:
        """Take actions back; RatwallError if the kernel refuses, and then they hold on."""
        ids = {action.id for action in actions}
        self._lay([one for one in self._in_force.values() if one.id not in ids])
        for action in actions:
            del self._in_force[action.id]
            self._known.pop(action.id, None)
            self._books.writer.update(models.Action, action.id, {"undone": now})
        self._ended(actions)

    def _ended(self, actions: Collection[Action]) -> None:
        kinds = {action.kind for action in actions}
        if WATCH in kinds:
            self._tell_inspectors()
        if PAUSE in kinds:
            self._resumed()

    def _begin(self, action: Action, device: Identity | None) -> Action:
        """Put an action in force in place of any other of the same scope, and write it down."""
        same = [one for one in self._in_force.values() if _scope(one) == _scope(action)]
        limit = IN_FORCE_LIMIT - (FOR_PERSONS if action.author == RULE_AUTHOR else 0)
        if len(self._in_force) - len(same) >= limit:
            raise RefusedError(
                f"{limit} actions on devices are in force, the most that are kept; "
                "release some first"
            )
        others = [one for one in self._in_force.values() if one not in same]
        self._lay([*others, action], device)
        for one in same:
            del self._in_force[one.id]
            self._known.pop(one.id, None)
            self._books.writer.update(models.Action, one.id, {"undone": action.created})
        values = asdict(action)
        del values["id"]
        action.id = self._books.writer.insert(models.Action, values)
        self._in_force[action.id] = action
        if device is not None:
            self._known[action.id] = device
        return action

    def _lay(self, actions: Collection[Action], newcomer: Identity | None = None) -> None:
        held = self._held(actions, newcomer)
        if held or self._laid or self._owed:
            self._sets.respond(held)
            self._owed, self._laid = False, bool(held)

    def _held(self, actions: Collection[Action], newcomer: Identity | None = None) -> list[Held]:
        """Return what the kernel shall hold; `newcomer` is of the action that has no number yet."""
        now = self._clock()
        held: list[Held] = []
        for action in actions:
            if action.expires is None or action.kind not in IN_KERNEL:
                continue
            seconds = max(1, -((now - action.expires) // SECOND))
            known = self._known.get(action.id) if action.id else newcomer
            addresses, mac = ((), None) if known is None else (known.addresses, known.mac)
            if action.kind == QUARANTINE:
                held.append(Quarantined(addresses, mac, seconds))
            elif action.kind == PAUSE:
                held.append(Paused(addresses, mac, seconds))
            elif action.server is not None:
                held.append(BlockedFor(action.device, action.server, action.server_port, seconds))
        return held

    def _watched(self) -> set[str]:
        return {
            address for action in self.of(WATCH) for address in self._known[action.id].addresses
        }

    def _tell_inspectors(self) -> None:
        for message in self.messages():
            self._push(message)


def _action(
    kind: str,
    seconds: int | None,
    *,
    author: str,
    reason: str,
    incident: int | None,
    now: int,
    **what: Any,
) -> Action:
    expires = None if seconds is None else now + seconds * SECOND
    return replace(Action(0, now, kind, author, reason, expires=expires, incident=incident), **what)


def _of_device(kind: str, device: Identity, seconds: int, **why: Any) -> Action:
    return _action(kind, seconds, **why, device=device.address, mac=device.mac)


def _scope(action: Action) -> tuple[Any, ...]:
    """Return what an action is about; a new one of the same scope replaces it."""
    return (action.kind, action.device, action.server, action.server_port, action.rule)
