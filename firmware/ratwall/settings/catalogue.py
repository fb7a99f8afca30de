"""Every setting by its full name, for whoever lists them: the page, the API, the command line.

Pure. What a setting may be stands in the schema alone; this module walks it, so that a key added
there is on the page the same day. A full name is section and key: "detection.watch",
"export.syslog.server".
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from ratwall.settings.feed_sources import FeedSource
from ratwall.settings.rules import Rule
from ratwall.settings.schema import Settings

# What rules, sockets and queues were made from when the box went inline.
FIXED_SECTIONS = ("network", "kernel", "web")
# Settings that name a file with a secret, and the name under which the box itself keeps one.
SECRETS: Mapping[str, str] = {
    "export.webhook.secret_file": "webhook",
    "export.mqtt.password_file": "mqtt",
    "export.mail.password_file": "mail",
    "export.push.token_file": "push",
}
SECRET_LIMIT = 4096  # bytes, as `ratwall.export.connection` reads
SECRET_EXPECTED = f"one line of text, at most {SECRET_LIMIT} bytes"
# An address whose path is as good as a password: of these only the host is shown to who may not
# change anything.
PRIVATE = ("export.webhook.url", "export.push.url")


@dataclass(frozen=True, slots=True)
class Entry:
    """One setting: where it stands, what it may be, and what holds if nobody says anything."""

    section: str
    key: str
    rule: Rule
    default: Any

    @property
    def name(self) -> str:
        """The full name."""
        return f"{self.section}.{self.key}"

    @property
    def needs_restart(self) -> bool:
        """Whether it is in force only after the box was started again."""
        return self.section in FIXED_SECTIONS


def entries() -> dict[str, Entry]:
    """Return all settings by their full names, in the order of the schema."""
    return {entry.name: entry for entry in _walk(Settings(), "")}


def _walk(section: Any, name: str) -> Iterator[Entry]:
    for key in fields(section):
        value = getattr(section, key.name)
        if "rule" in key.metadata:
            yield Entry(name, key.name, key.metadata["rule"], plain(value))
        else:
            yield from _walk(value, f"{name}.{key.name}" if name else key.name)


def values(settings: Settings) -> dict[str, Any]:
    """Return the value of every setting by its full name, as TOML and JSON have it."""
    return {entry.name: _value(settings, entry) for entry in entries().values()}


def without_private(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parsed file in which of private addresses only the host is left."""
    shown = dict(copy.deepcopy(document))
    for name in PRIVATE:
        section, _, key = name.rpartition(".")
        table = said(shown, section)
        if isinstance(table, dict) and isinstance(table.get(key), str):
            table[key] = f"https://{urlsplit(table[key]).netloc}/…"
    return shown


def said(document: Mapping[str, Any], name: str) -> Any:
    """Return what a parsed file says for a full name, None if it says nothing."""
    found: Any = document
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def _value(settings: Settings, entry: Entry) -> Any:
    found: Any = settings
    for part in entry.name.split("."):
        found = getattr(found, part)
    return plain(found)


def plain(value: Any) -> Any:
    """Return a value of a setting as TOML and JSON have it."""
    if isinstance(value, FeedSource):
        return {key.name: getattr(value, key.name) for key in fields(value)}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return value


def is_secret(text: object) -> bool:
    """Say whether a text can be kept as a secret."""
    return (
        isinstance(text, str)
        and text.isprintable()
        and 0 < len(text.encode(errors="replace")) <= SECRET_LIMIT
    )
