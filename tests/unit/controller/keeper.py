"""Whoever keeps the owner's settings file, in a thread: the real door, file and checks.

Only what would change the kernel is a list of what was asked of it.
"""

import selectors
import threading
from pathlib import Path

from ratwall.errors import RatwallError
from ratwall.settings.schema import Settings
from ratwall.supervisor.reload import Door
from ratwall.supervisor.saving import Saving, SettingsFile


class FileKeeper:
    """Keeps `<state>/owner/settings.toml`; `broken` is a kernel that refuses."""

    def __init__(self, state: Path, text: str = "") -> None:
        self.path = state / "owner" / "settings.toml"
        self.path.parent.mkdir()
        if text:
            self.path.write_text(text)
        self.in_force = text.encode()
        self.applied: list[Settings] = []
        self.broken = False
        self._door = Door(state / "run" / "reload.sock")
        self._saving = Saving(SettingsFile(self.path, 0), lambda: self.in_force, self._apply)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _apply(self, settings: Settings, text: bytes) -> None:
        if self.broken:
            raise RatwallError("nft: no")
        self.applied.append(settings)
        self.in_force = text

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._door, selectors.EVENT_READ)
            while not self._stopping.is_set():
                if selector.select(0.05):
                    self._door.accept()
                self._door.answer(self._door.take(), None)
                self._door.answer_letters(self._saving)

    def stop(self) -> None:
        """Leave."""
        self._stopping.set()
        self._thread.join()
        self._door.close()
