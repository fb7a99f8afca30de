"""The box's part of a backup: settings, secrets, what is allowed and blocked, devices' names.

Given to whoever may have it sealed, and taken back whole or not at all: everything is checked, then
the settings are kept, which is where most can go wrong, then the rest. What is in force already is
left alone, so that a backup put back twice changes nothing the second time. Quarantines, pauses and
close watching are of the moment and not in it.

What belongs to the machine and not to the office stays as it is here: its ports, and what follows
from its cores and memory. A new box whose ports have other names would be cut off by the old ones.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ratwall.address import PORT_LIMIT
from ratwall.controller.messages import ALLOW_SECONDS_LOW, Fields, is_sha256
from ratwall.controller.service import Service
from ratwall.controller.settings_commands import SettingsCommands
from ratwall.errors import RatwallError, UsageError
from ratwall.ledger import models, queries
from ratwall.settings.catalogue import SECRETS, is_secret, said
from ratwall.settings.edit import edit
from ratwall.settings.load import FILE_SIZE_LIMIT, parse_text, read_document
from ratwall.settings.rules import RULE_NAME
from ratwall.settings.schema import MODES

KINDS: Final = ("allow", "block", "keep", "block_device", "block_server", "rule")
ACTIONS_LIMIT: Final = 2000
DEVICES_LIMIT: Final = 2000
TEXT_LIMIT: Final = 500
SECOND: Final = 1_000_000
MACHINES: Final = ("network.lan", "network.wan", "kernel.workers", "kernel.connections")
TARGET: Final = ("device", "server", "server_port", "certificate_sha256", "rule", "mode")
SOURCE: Final = "settings of the backup"

Answer = dict[str, Any]
Act = Callable[[str, Mapping[str, Any]], Answer]


class BackupCommands:
    """Reads the box's part, and puts one back."""

    def __init__(self, service: Service, settings: SettingsCommands, act: Act) -> None:
        """`act` does a command with its arguments, as if it had been asked for."""
        self._service, self._settings, self._act = service, settings, act

    def part(self) -> Answer:
        """Return the box's part; it holds secrets."""
        ledger, now = self._service.ledger, self._service.clock()
        self._service.flush()
        actions = queries.actions_of(ledger, KINDS, now)
        names = models.Device.select().where(models.Device.name.is_null(False))
        file = self._settings.with_secrets()
        return {
            "settings": file["text"],
            "secrets": file["secrets"],
            "actions": [
                {key: row[key] for key in ("kind", "reason", "expires", *TARGET)}
                for row in actions[-ACTIONS_LIMIT:]
            ],
            "devices": [
                {key: row[key] for key in ("mac", "address", "name")}
                for row in ledger.rows(names.limit(DEVICES_LIMIT))
            ],
        }

    def restore(self, part: Mapping[str, Any], author: str, *, dry: bool) -> Answer:
        """Check a box's part and, unless `dry`, put it back; UsageError with nothing changed."""
        text, secrets = _settings_of(part)
        actions, devices = (
            _rows(part, "actions", ACTIONS_LIMIT),
            _rows(part, "devices", DEVICES_LIMIT),
        )
        wanted = [_action(row) for row in actions]
        named = [_device(row) for row in devices]
        answer: Answer = {"settings": True, "actions": len(wanted), "devices": len(named)}
        if dry:
            return answer | {"refused": []}
        self._keep_settings(text, secrets)
        for device in named:  # before what speaks of them
            self._name(device)
        refused = []
        present = {_key(row) for row in self._in_force()}
        for action in wanted:
            if _key(action) in present:
                continue
            try:
                self._put_back(action, author)
            except RatwallError as error:
                refused.append(f"{action['kind']}: {error}")
        return answer | {"actions": len(wanted) - len(refused), "refused": refused}

    def _keep_settings(self, text: str, secrets: Mapping[str, str]) -> None:
        here = self._settings.file()
        document = read_document(here["text"].encode(), here["path"])
        changes: dict[str, Any] = {name: said(document, name) for name in MACHINES}
        by_name = {secret: name for name, secret in SECRETS.items()}
        for secret in secrets:
            changes[by_name[secret]] = f"{here['secrets_directory']}/{secret}"
        self._settings.replace(edit(text, changes), secrets, here["digest"])

    def _in_force(self) -> list[Answer]:
        self._service.flush()
        return queries.actions_of(self._service.ledger, KINDS, self._service.clock())

    def _put_back(self, action: Mapping[str, Any], author: str) -> None:
        now = self._service.clock()
        seconds = None
        if action["expires"] is not None:
            seconds = (action["expires"] - now) // SECOND
            if seconds < ALLOW_SECONDS_LOW:
                return  # it would be over before anybody looks
        kind = action["kind"]
        command = kind if kind in ("allow", "rule") else "block"
        keys = ("rule", "mode") if command == "rule" else TARGET[:4]
        arguments = {key: action[key] for key in keys if action[key] is not None}
        if seconds is not None:
            arguments["seconds"] = seconds
        self._act(command, {"author": author, "reason": action["reason"], **arguments})

    def _name(self, device: Mapping[str, Any]) -> None:
        service = self._service
        number = service.writer.device(device["mac"], device["address"], service.clock())
        service.writer.update(models.Device, number, {"name": device["name"]})


def _settings_of(part: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    text, secrets = part.get("settings"), part.get("secrets")
    if not isinstance(text, str) or not isinstance(secrets, dict):
        raise UsageError("the backup holds no settings")
    raw = text.encode(errors="replace")
    if len(raw) > FILE_SIZE_LIMIT:
        raise UsageError(f"{SOURCE}: more than {FILE_SIZE_LIMIT} bytes")
    parse_text(raw, SOURCE)
    for name, secret in secrets.items():
        if name not in SECRETS.values() or not is_secret(secret):
            raise UsageError("the backup holds a secret that is none of the settings'")
    return text, secrets


def _rows(part: Mapping[str, Any], name: str, limit: int) -> list[Fields]:
    rows = part.get(name)
    if not isinstance(rows, list) or len(rows) > limit:
        raise UsageError(f"the backup: {name}: expected a list of at most {limit}")
    if not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"the backup: {name}: expected objects")
    return [Fields(row, f"the backup: {name}") for row in rows]


def _action(row: Fields) -> Answer:
    kind = row.choice("kind", KINDS)
    rule = row.optional_text("rule", TEXT_LIMIT)
    certificate = row.optional_text("certificate_sha256", TEXT_LIMIT)
    if rule is not None and not RULE_NAME.fullmatch(rule):
        raise row.error("rule", "a rule")
    if certificate is not None and not is_sha256(certificate):
        raise row.error("certificate_sha256", "a certificate's SHA-256")
    found = {
        "kind": kind,
        "reason": row.text("reason", TEXT_LIMIT),
        "expires": row.optional_integer("expires", 0, 2**62),
        "device": row.optional_address("device"),
        "server": row.optional_address("server"),
        "server_port": row.optional_integer("server_port", 1, PORT_LIMIT),
        "certificate_sha256": certificate,
        "rule": rule,
        "mode": row.choice("mode", MODES) if kind == "rule" else None,
    }
    if kind == "rule" and rule is None:
        raise row.error("rule", "a rule")
    if kind not in ("rule", "allow") and found["server"] is None:
        raise row.error("server", "an address")
    return found


def _device(row: Fields) -> Answer:
    name = " ".join(row.text("name", 128).split())
    mac = row.optional_text("mac", 17)
    if not name or not name.isprintable():
        raise row.error("name", "a name")
    return {"mac": mac, "address": row.address("address"), "name": name}


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    kind = row["kind"] if row["kind"] in ("allow", "rule") else "block"
    return (kind, *(row[key] for key in TARGET))
