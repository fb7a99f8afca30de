"""The commands about the settings: shown, checked, changed.

The controller may not write the owner's file: it works out the new text, and root, who keeps the
rules, checks it again, keeps it and puts it in force (`ratwall.supervisor.saving`). The audit trail
gets the names of what changed, never a value: some are secrets.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratwall.controller.blocks import RefusedError
from ratwall.controller.client import Client
from ratwall.controller.messages import Fields
from ratwall.errors import NotRunningError, UsageError
from ratwall.settings.catalogue import (
    FIXED_SECTIONS,
    SECRET_EXPECTED,
    SECRETS,
    entries,
    is_secret,
    said,
)
from ratwall.settings.edit import edit
from ratwall.settings.load import parse_settings, parse_text, read_document

DOOR_NAME = "reload.sock"
# The keeper answers within milliseconds, after a call of nft perhaps; the controller stands still
# while it waits, so not for long.
DOOR_SECONDS = 10.0
DIGEST_LENGTH = 64

Answer = dict[str, Any]


class SettingsCommands:
    """Asks the door of whoever keeps the owner's file."""

    def __init__(self, run: Path) -> None:
        self._door = Client(run / DOOR_NAME, DOOR_SECONDS)

    def show(self) -> Answer:
        """Return what the file says, what is in force, and which secrets are set; no secret."""
        file = self._ask("settings_read")
        document, problem = _read(file["text"], file["path"])
        in_force, _ = _read(file["in_force"], "settings in force")
        return {
            "path": file["path"],
            "digest": file["digest"],
            "document": document,
            "problem": problem,
            "secrets": sorted(_secrets_set(document)),
            "waiting": [
                name
                for name, entry in entries().items()
                if entry.needs_restart and said(document, name) != said(in_force, name)
            ],
        }

    def change(self, fields: Fields) -> tuple[Answer, list[str]]:
        """Check changes and, unless `dry`, have them kept; return the answer and the names."""
        known = fields.optional_text("digest", DIGEST_LENGTH)
        dry = fields.boolean("dry")
        changes = _checked(fields.mapping("changes"))
        typed = _typed(fields.secret_mapping("secrets"))
        file = self._ask("settings_read")
        if known is not None and file["digest"] != known:
            raise RefusedError(
                "the settings were changed by somebody else meanwhile; look at them again, then "
                "change them"
            )
        directory = file["secrets_directory"]
        for name, text in typed.items():
            changes[name] = None if text is None else f"{directory}/{SECRETS[name]}"
        before, problem = _read(file["text"], file["path"])
        if problem is not None:
            raise RefusedError(f"{problem}; mend the file first")
        text = edit(file["text"], changes)
        parse_text(text.encode(), Path(file["path"]).name)
        names = [
            name
            for name in changes
            if typed.get(name) is not None or said(before, name) != changes[name]
        ]
        if not dry and names:
            secrets = {SECRETS[name]: each for name, each in typed.items()}
            file |= self._ask("settings_save", text=text, digest=file["digest"], secrets=secrets)
        waiting = [name for name in names if name.partition(".")[0] in FIXED_SECTIONS]
        return {"digest": file["digest"], "changed": names, "waiting": waiting}, names

    def replace(self, text: str, secrets: Mapping[str, str | None], known: str) -> str:
        """Have a whole new file kept; return its digest."""
        return str(self._ask("settings_save", text=text, digest=known, secrets=secrets)["digest"])

    def file(self) -> Answer:
        """Return the owner's file as it stands."""
        return self._ask("settings_read")

    def with_secrets(self) -> Answer:
        """Return the owner's file with the secrets that are kept beside it: for a backup only."""
        return self._ask("settings_backup")

    def _ask(self, command: str, **arguments: Any) -> Answer:
        try:
            return self._door.call(command, **arguments)
        except NotRunningError as error:
            raise RefusedError(
                "whoever keeps the rules and the settings of this box does not answer; it is "
                "started again by itself, try again in a minute"
            ) from error


def _secrets_set(document: Mapping[str, Any]) -> list[str]:
    return [name for name in SECRETS if said(document, name) is not None]


def _read(text: str, path: str) -> tuple[Answer, str | None]:
    """Return a file as it stands, and what is wrong with it."""
    try:
        document = read_document(text.encode(), path)
    except UsageError as error:
        return {}, str(error)
    document = json.loads(json.dumps(document, default=str))  # a date has no JSON form
    try:
        parse_settings(document, path)
    except UsageError as error:
        return document, str(error)
    return document, None


def _checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes whose names are known and whose values alone are good."""
    known = entries()
    for name, value in changes.items():
        if name not in known:
            raise UsageError(f"settings: {name[:60]!r}: there is no such setting")
        if value is None:
            continue
        try:
            known[name].rule.accept(value)
        except ValueError as error:
            raise UsageError(f"settings: {name}: expected {error}") from error
    return dict(changes)


def _typed(typed: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the secrets that were typed, None for one that is to go; an error repeats none."""
    for name, text in typed.items():
        if name not in SECRETS:
            raise UsageError(f"settings: {name[:60]!r}: there is no such secret")
        if text is not None and not is_secret(text):
            raise UsageError(f"settings: {name}: expected {SECRET_EXPECTED}")
    return dict(typed)
