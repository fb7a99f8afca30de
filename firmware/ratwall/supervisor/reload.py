"""Takes a changed settings file, and changed packs, into a running box.

Asked for by SIGHUP, or by `ratwall reload`, which knocks at a socket and is told what came of it;
or for packs alone by `ratwall signatures`, which leaves the settings file unread; or by the
controller with a whole new settings file (`ratwall.supervisor.saving`).
Everything is checked before anything is changed: a mistake, or a change that needs a restart,
leaves the box as it was.

Design note: the order is kernel, file, processes. The kernel takes all or nothing; a process that
dies on the way reads the new file when it is started again.
"""

import importlib
import json
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ratwall.controller.sockets import close_door, listen, peer_of
from ratwall.errors import RatwallError, UsageError
from ratwall.kernel.install import Installation
from ratwall.kernel.ruleset import RulesetConfig
from ratwall.settings.catalogue import FIXED_SECTIONS
from ratwall.settings.load import FILE_SIZE_LIMIT
from ratwall.settings.schema import Settings
from ratwall.supervisor.confine import Account
from ratwall.supervisor.saving import COMMANDS, SAVE, Saving, SettingsFile, with_fixed
from ratwall.supervisor.state import StateDirectory

ASK_SECONDS = 1.0  # for a client to say its one line
LINE_LIMIT = 3 * FILE_SIZE_LIMIT  # bytes of it: a whole settings file, its quotes escaped
RECEIVE_BYTES = 65_536
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

    def saving(
        self, file: SettingsFile, changed: Callable[[Settings], None] = lambda _: None
    ) -> Saving:
        """Return what answers the controller about the owner's file; `changed` is told of settings
        that were kept."""
        return Saving(file, self._state.read_settings, self._apply_saved, changed)

    def _apply_saved(self, settings: Settings, text: bytes) -> None:
        """Put settings in force whose file was kept, but for what has to wait for a restart."""
        _read_packs()
        settings = with_fixed(settings, self._settings)
        self._installation.reload(self._rules(settings))
        self._state.write_settings(text)
        self._settings = settings

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


@dataclass(frozen=True, slots=True)
class Letter:
    """A question about the settings file, and who waits for the answer."""

    connection: socket.socket
    request: dict[str, Any]


class Door:
    """Where `ratwall reload` and `ratwall signatures` knock, who are root, and the controller, who
    may ask about the settings file and nothing else."""

    def __init__(self, path: Path, controller: Account | None = None) -> None:
        self.waiting: list[socket.socket] = []
        self.packs_only = False  # all who were taken last asked for the packs alone
        self._letters: list[Letter] = []
        self._controller = controller
        self._server = listen(
            path, socket.SOCK_STREAM, None if controller is None else controller.gid
        )

    def fileno(self) -> int:
        """Return the descriptor that is readable when somebody knocks."""
        return self._server.fileno()

    def accept(self) -> None:
        """Let in who knocks."""
        try:
            connection, _ = self._server.accept()
        except OSError:  # it has left again
            return
        peer = peer_of(connection)
        if peer.is_owner or (self._controller is not None and peer.uid == self._controller.uid):
            self.waiting.append(connection)
        else:
            connection.close()

    def take(self) -> list[socket.socket]:
        """Return who waits now, what they ask for read; whoever knocks later waits for the next
        reload. Who asks about the settings file waits for `answer_letters`."""
        waiting, self.waiting = self.waiting, []
        reloading, asked = [], []
        for connection in waiting:
            request = _read(connection)  # each is read, or its answer is lost
            if request.get("command") in COMMANDS:
                self._letters.append(Letter(connection, request))
            elif peer_of(connection).is_owner:
                reloading.append(connection)
                asked.append(request.get("command") == PACKS)
            else:
                connection.close()
        self.packs_only = bool(asked) and all(asked)
        return reloading

    def answer_letters(self, saving: Saving) -> bool:
        """Answer all who asked about the settings file; say whether anything was changed."""
        letters, self._letters = self._letters, []
        saved = False
        for letter in letters:
            try:
                result = saving.answer(letter.request)
            except RatwallError as error:
                _send([letter.connection], _refusal(error))
                continue
            saved |= letter.request["command"] == SAVE
            _send([letter.connection], {"ok": True, "result": result})
        return saved

    @staticmethod
    def answer(waiting: Sequence[socket.socket], error: RatwallError | None) -> None:
        """Tell those who wait what came of it."""
        _send(waiting, {"ok": True, "result": {}} if error is None else _refusal(error))

    def close(self) -> None:
        """Leave."""
        waiting = self.take() + [letter.connection for letter in self._letters]
        self.answer(waiting, RatwallError("Ratwall ends"))
        close_door(self._server)


def _refusal(error: RatwallError) -> dict[str, Any]:
    return {"ok": False, "error": str(error), "code": int(error.exit_code)}


def _send(waiting: Sequence[socket.socket], answer: dict[str, Any]) -> None:
    for connection in waiting:
        with connection, suppress(OSError):  # it may have lost its patience
            connection.settimeout(ASK_SECONDS)
            connection.sendall(json.dumps(answer).encode() + b"\n")


def _read(connection: socket.socket) -> dict[str, Any]:
    """Read what is asked for; what cannot be read asks for everything."""
    deadline = time.monotonic() + ASK_SECONDS
    line = b""
    try:
        while not line.endswith(b"\n") and len(line) <= LINE_LIMIT:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            if not (data := connection.recv(RECEIVE_BYTES)):
                break
            line += data
        request = json.loads(line)
    except (OSError, ValueError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}
