"""Changed settings, asked for by the controller: checked whole, kept, and put in force.

The owner's file is root's, and the controller is not: it hands over the whole new text, and root
believes nothing of it but what the schema says. What the file said before stays beside it. Secrets
that a person typed go into files of their own, which only the exporter may read; they
are read out for a backup, and never through a link.

Design note: the answer is given before the processes are told to read again. The controller is one
of them, and waits for the answer.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ratwall.errors import RatwallError, UsageError
from ratwall.replacing import replace_file
from ratwall.settings.catalogue import (
    FIXED_SECTIONS,
    SECRET_EXPECTED,
    SECRET_LIMIT,
    SECRETS,
    is_secret,
)
from ratwall.settings.edit import digest, write
from ratwall.settings.load import FILE_SIZE_LIMIT, parse_text, read_document
from ratwall.settings.schema import Settings

READ = "settings_read"  # the commands of the door
SAVE = "settings_save"
BACKUP = "settings_backup"
COMMANDS = (READ, SAVE, BACKUP)
SECRETS_DIRECTORY = "secrets"
SECRET_MODE = 0o640
DIRECTORY_MODE = 0o750
OLD_SUFFIX = ".before"  # of the copy of what was there


class SettingsFile:
    """The owner's settings file, its secrets, and what it said before."""

    def __init__(self, path: Path | None, group: int) -> None:
        """`group` may read secrets."""
        self._path = path
        self._group = group

    @property
    def path(self) -> Path:
        """Where it lies; UsageError where there is none."""
        if self._path is None:
            raise UsageError(
                "Ratwall was started without a settings file, so there is nowhere to keep "
                "settings; start it with --config FILE"
            )
        return self._path

    @property
    def secrets(self) -> Path:
        """The directory of secrets that were typed."""
        return self.path.absolute().parent / SECRETS_DIRECTORY

    def read(self) -> bytes:
        """Return the text, empty where there is no file yet."""
        try:
            with self.path.open("rb") as file:
                text = file.read(FILE_SIZE_LIMIT + 1)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise RatwallError(f"{self.path}: cannot be read: {error.strerror}") from error
        if len(text) > FILE_SIZE_LIMIT:
            raise UsageError(f"{self.path}: more than {FILE_SIZE_LIMIT} bytes: not a settings file")
        return text

    def secrets_there(self) -> list[str]:
        """Return the names of the secrets that are kept here."""
        names = [name for name in SECRETS.values() if (self.secrets / name).is_file()]
        return sorted(names)

    def secrets_kept(self) -> dict[str, str]:
        """Return the secrets that are kept here, by name; never what another file holds."""
        found = {}
        for name in self.secrets_there():
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            with suppress(OSError), os.fdopen(os.open(self.secrets / name, flags), "rb") as file:
                text = file.read(SECRET_LIMIT + 2).decode(errors="replace").rstrip("\n")
                if is_secret(text):
                    found[name] = text
        return found

    @contextmanager
    def kept(self, text: bytes, secrets: Mapping[str, str | None]) -> Iterator[None]:
        """Have text and secrets replaced if what is done meanwhile goes well; else they are as
        they were."""
        before, secrets_before = self.read(), self._secrets_before(secrets)
        try:
            self._keep_secrets({name: each for name, each in secrets.items() if each is not None})
            if before:
                replace_file(self.path.with_name(self.path.name + OLD_SUFFIX), before)
            replace_file(self.path, text)
            yield
        except OSError as error:
            self._put_back(before, secrets_before)
            raise RatwallError(
                f"{error.filename or self.path}: the settings cannot be kept: {error.strerror}; "
                "nothing was changed"
            ) from error
        except BaseException:
            self._put_back(before, secrets_before)
            raise
        # Last: what the old text named is needed until the new one stands.
        for name, each in secrets.items():
            if each is None:
                (self.secrets / name).unlink(missing_ok=True)

    def _put_back(self, before: bytes, secrets: Mapping[str, str]) -> None:
        with suppress(OSError):  # a disk that refuses has refused the new ones as well
            self._keep_secrets(secrets)
            if before:
                replace_file(self.path, before)
            else:
                self.path.unlink(missing_ok=True)

    def _secrets_before(self, secrets: Mapping[str, str | None]) -> dict[str, str]:
        there = (name for name in secrets if (self.secrets / name).is_file())
        return {name: (self.secrets / name).read_text().rstrip("\n") for name in there}

    def _keep_secrets(self, secrets: Mapping[str, str]) -> None:
        if not secrets:
            return
        self.secrets.mkdir(exist_ok=True)
        self._give(self.secrets)
        self.secrets.chmod(DIRECTORY_MODE)
        for name, text in secrets.items():
            replace_file(self.secrets / name, f"{text}\n", mode=SECRET_MODE, give=self._give)

    def _give(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, 0, self._group, follow_symlinks=False)


class Saving:
    """What the controller may ask about settings, answered one at a time."""

    def __init__(
        self,
        file: SettingsFile,
        in_force: Callable[[], bytes],
        apply: Callable[[Settings, bytes], None],
        changed: Callable[[Settings], None] = lambda _: None,
    ) -> None:
        """`in_force` gives the text that the processes read; `apply` puts settings in force that
        change nothing fixed, with the text for the processes, or raises RatwallError; `changed` is
        told of settings that were kept."""
        self._file = file
        self._in_force = in_force
        self._apply = apply
        self._changed = changed

    def read(self) -> dict[str, Any]:
        """Return the text, what tells it from another, and the text in force."""
        text = self._file.read()
        return {
            "path": str(self._file.path),
            "text": text.decode(errors="replace"),
            "digest": digest(text),
            "in_force": self._in_force().decode(errors="replace"),
            "secrets_directory": str(self._file.secrets),
            "secrets": self._file.secrets_there(),
        }

    def backup(self) -> dict[str, Any]:
        """Return the text and the secrets that are kept beside it."""
        text = self._file.read()
        return {"text": text.decode(errors="replace"), "secrets": self._file.secrets_kept()}

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one of COMMANDS; RatwallError with nothing changed."""
        if request["command"] == SAVE:
            return self.save(request)
        return self.backup() if request["command"] == BACKUP else self.read()

    def save(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Check, keep and put in force a whole new text; RatwallError with nothing changed."""
        text, known = request.get("text"), request.get("digest")
        if not isinstance(text, str) or not isinstance(known, str):
            raise UsageError("settings: expected text and digest")
        secrets = _secrets(request.get("secrets", {}))
        raw = text.encode(errors="replace")
        before = self._file.read()
        if digest(before) != known:
            raise UsageError(
                "the settings were changed by somebody else meanwhile; nothing was changed. "
                "Look at them again, then change them"
            )
        settings = parse_text(raw, self._file.path.name)
        with self._file.kept(raw, secrets):
            self._apply(settings, self._for_processes(raw))
        self._changed(settings)
        return {"digest": digest(raw)}

    def _for_processes(self, raw: bytes) -> bytes:
        """Return the text with the sections in force that cannot change while the box runs."""
        document = read_document(raw, self._file.path.name)
        running = read_document(self._in_force(), "settings in force")
        if all(document.get(name) == running.get(name) for name in FIXED_SECTIONS):
            return raw
        kept = {name: table for name, table in document.items() if name not in FIXED_SECTIONS}
        fixed = {name: running[name] for name in FIXED_SECTIONS if name in running}
        return write(kept | fixed).encode()


def with_fixed(settings: Settings, in_force: Settings) -> Settings:
    """Return changed settings with the sections in force that cannot change while the box runs."""
    return replace(settings, **{name: getattr(in_force, name) for name in FIXED_SECTIONS})


def _secrets(given: Any) -> dict[str, str | None]:
    """Return secrets by name, None for one that is to go; UsageError never repeats one."""
    if not isinstance(given, dict):
        raise UsageError("settings: expected secrets by name")
    for name, text in given.items():
        if name not in SECRETS.values():
            raise UsageError(f"settings: {str(name)[:40]!r} is no secret of the settings")
        if text is not None and not is_secret(text):
            raise UsageError(f"settings: the secret {name}: expected {SECRET_EXPECTED}")
    return dict(given)
