"""Takes a changed settings file, and changed packs, into a running box.

Asked for by SIGHUP, or by `ratwall reload`, which knocks at a socket and is told what came of it;
or for packs alone by `ratwall signatures`, which leaves the settings file unread.
Everything is checked before anything is changed: a mistake, or a change that needs a restart,
leaves the box as it was.

Design note: the order is kernel, file, processes. The kernel takes all or nothing; a process that
dies on the way reads the new file when it is started again.
"""

import importlib
import json
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from ratwall.controller.sockets import close_door, listen, peer_of
from ratwall.errors import RatwallError, UsageError
from ratwall.kernel.install import Installation
from ratwall.kernel.ruleset import RulesetConfig
from ratwall.settings.schema import Settings
from ratwall.supervisor.state import StateDirectory

# What rules, sockets and queues were made from when the box went inline.
FIXED_SECTIONS = ("network", "kernel", "web")
ASK_SECONDS = 1.0  # for a client to say its one line
LINE_LIMIT = 4096  # bytes of it
PACKS = "packs"  # the command that asks for the packs alone

Read = Callable[[], tuple[Settings, bytes]]


class Reload:
    """The settings in force, and the way from them to changed ones."""

    def __init__(
        self,
        settings: Settings,
        read: Read,
        rules: Callable[[Settings], RulesetConfig],
        installation: Installation,
        state: StateDirectory,
    ) -> None:
        """`read` gives settings as effective and the bytes of their file, or UsageError."""
        self._settings = settings
        self._read = read
        self._rules = rules
        self._installation = installation
        self._state = state

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    def apply(self, hang_up: Callable[[], Sequence[str]]) -> None:
        """Put what has changed in force; RatwallError says why not.

        `hang_up` has the processes read their file again and names those that did not.
        """
        settings, text = self._read()
        if changed := fixed_changes(self._settings, settings):
            raise UsageError(
                f"{', '.join(changed)}: cannot be changed while Ratwall runs; nothing was changed. "
                "Take it back, or end Ratwall and start it again"
            )
        _read_packs()
        self._installation.reload(self._rules(settings))
        self._state.write_settings(text)
        self._settings = settings
        if silent := hang_up():
            raise RatwallError(
                f"the settings are laid down, but {', '.join(silent)} did not take them in time; "
                "end that process, it is started again with them"
            )

    @staticmethod
    def apply_packs(hang_up: Callable[[], Sequence[str]]) -> None:
        """Have the processes read the packs again, by the settings in force."""
        _read_packs()
        if silent := hang_up():
            raise RatwallError(f"{', '.join(silent)} did not take the packs in time")


def _read_packs() -> None:
    """UsageError if what was shipped is damaged: no process could go on by it."""
    # Here, because a supervisor that never reloads need not carry what reads packs: 4 MB.
    importlib.import_module("ratwall.signatures.pack").load_packs()


def fixed_changes(before: Settings, after: Settings) -> list[str]:
    """Return the names of changed settings that cannot be taken at run time."""
    return [
        f"[{section}] {key.name}"
        for section in FIXED_SECTIONS
        for key in fields(getattr(before, section))
        if getattr(getattr(before, section), key.name) != getattr(getattr(after, section), key.name)
    ]


class Door:
    """Where `ratwall reload` and `ratwall signatures` knock; for root only."""

    def __init__(self, path: Path) -> None:
        self.waiting: list[socket.socket] = []
        self.packs_only = False  # all who were taken last asked for the packs alone
        self._server = listen(path, socket.SOCK_STREAM, None)

    def fileno(self) -> int:
        """Return the descriptor that is readable when somebody knocks."""
        return self._server.fileno()

    def accept(self) -> None:
        """Let in who knocks."""
        try:
            connection, _ = self._server.accept()
        except OSError:  # it has left again
            return
        if peer_of(connection).is_owner:
            self.waiting.append(connection)
        else:
            connection.close()

    def take(self) -> list[socket.socket]:
        """Return who waits now, what they ask for read; whoever knocks later waits for the next
        reload."""
        waiting, self.waiting = self.waiting, []
        asked = [_asks_for_packs(each) for each in waiting]  # each is read, or its answer is lost
        self.packs_only = bool(asked) and all(asked)
        return waiting

    @staticmethod
    def answer(waiting: Sequence[socket.socket], error: RatwallError | None) -> None:
        """Tell those who wait what came of it."""
        answer: dict[str, Any] = {"ok": True, "result": {}}
        if error is not None:
            answer = {"ok": False, "error": str(error), "code": int(error.exit_code)}
        for connection in waiting:
            with connection, suppress(OSError):  # it may have lost its patience
                connection.settimeout(ASK_SECONDS)
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def close(self) -> None:
        """Leave."""
        self.answer(self.take(), RatwallError("Ratwall ends"))
        close_door(self._server)


def _asks_for_packs(connection: socket.socket) -> bool:
    """Read what is asked for; what cannot be read asks for everything."""
    connection.settimeout(ASK_SECONDS)
    try:
        return bool(json.loads(connection.recv(LINE_LIMIT))["command"] == PACKS)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
