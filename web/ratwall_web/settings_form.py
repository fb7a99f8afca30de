"""Settings as a form: what stands in its fields, and what a filled form asks for.

Pure but for the language of the request. A value is judged by the very rule that the settings file
is read by; this module only puts it into words. A secret has a field that is always empty.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ratwall.errors import UsageError
from ratwall.settings.catalogue import SECRET_LIMIT, SECRETS, Entry, entries, is_secret, said
from ratwall.settings.edit import changed
from ratwall.settings.export import Recipients
from ratwall.settings.feed_sources import FeedSources
from ratwall.settings.load import parse_settings
from ratwall.settings.rules import (
    Addresses,
    Boolean,
    Choice,
    Integer,
    Keys,
    MarkMask,
    RuleNames,
    Servers,
    describe,
)
from ratwall_web import settings_words as words
from ratwall_web.language import _

LISTS = (Addresses, Servers, RuleNames, Keys, Recipients, FeedSources)
ON, OFF = "on", "off"
REMOVE = "remove"  # what the field of a secret is called behind its name
SOURCE = "settings"  # what the reader of settings puts in front of its errors
# Sections in which a change can weaken protection, lock somebody out, or send things elsewhere.
OPEN_SECTIONS = ("block", "ledger", "response", "capture", "export.messages")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the form."""

    entry: Entry
    kind: str  # truth, choice, number, list, text, secret
    shown: str  # what stands in it
    default: str
    allowed: str
    is_set: bool  # a secret that there is
    problem: str | None = None

    @property
    def name(self) -> str:
        """The full name of its setting."""
        return self.entry.name

    @property
    def title(self) -> str:
        """What the setting is called."""
        return _(words.SETTINGS[self.name][0])

    @property
    def meaning(self) -> str:
        """What the setting means."""
        return _(words.SETTINGS[self.name][1])

    @property
    def choices(self) -> list[tuple[str, str]]:
        """What can be chosen, and its words."""
        if isinstance(self.entry.rule, Choice):
            return [(word, choice(self.name, word)) for word in self.entry.rule.words]
        return [(ON, _(words.TRUTH[True])), (OFF, _(words.TRUTH[False]))]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a filled form asks for."""

    changes: dict[str, Any]
    secrets: dict[str, str | None]
    problems: dict[str, str]  # by the full name of a setting; "" for what does not go together

    @property
    def guarded(self) -> bool:
        """Whether the password is asked for again before it is done."""
        names = {*self.changes, *self.secrets}
        return any(name.rpartition(".")[0] not in OPEN_SECTIONS for name in names)


def section_names() -> list[str]:
    """Return the sections that have settings, as people look for them."""
    there = {entry.section for entry in entries().values()}
    return [name for name in words.SECTIONS if name in there]


def fields(
    section: str,
    document: Mapping[str, Any],
    form: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> list[Field]:
    """Return the fields of a section: as the file says, or as they were filled in."""
    return [
        Field(
            entry,
            kind_of(entry),
            _shown(entry, document, form),
            _in_words(entry, entry.default),
            allowed(entry),
            is_set=said(document, entry.name) is not None,
            problem=(problems or {}).get(entry.name),
        )
        for entry in _of(section)
    ]


def read(section: str, document: Mapping[str, Any], form: Mapping[str, str]) -> Asked:
    """Return what the form asks to be changed, and what is wrong with it."""
    changes: dict[str, Any] = {}
    secrets: dict[str, str | None] = {}
    problems: dict[str, str] = {}
    for entry in _of(section):
        given = form.get(entry.name, "").strip()
        if entry.name in SECRETS:
            _read_secret(entry, given, form, secrets, problems)
            continue
        now = said(document, entry.name)
        try:
            value = _value(entry, given)
            if value is not None:
                entry.rule.accept(value)
        except ValueError:
            problems[entry.name] = _(
                "This does not fit. Allowed: %(allowed)s. Found: %(found)s.",
                allowed=allowed(entry),
                found=describe(given),
            )
            continue
        if value != (entry.default if now is None else now) and value != now:
            changes[entry.name] = value
    if not problems:
        after = dict(changes) | {
            name: None if text is None else f"/{SECRETS[name]}" for name, text in secrets.items()
        }
        if (reason := contradiction(changed(document, after))) is not None:
            problems[""] = reason
    return Asked(changes, secrets, problems)


def contradiction(document: Mapping[str, Any]) -> str | None:
    """Return what does not go together in settings that are good one by one."""
    try:
        parse_settings(dict(document), SOURCE)
    except UsageError as error:
        reason = str(error).removeprefix(f"{SOURCE}: ")
        return _("These settings do not go together: %(reason)s", reason=reason)
    return None


def kind_of(entry: Entry) -> str:
    """Return what kind of field a setting has."""
    if entry.name in SECRETS:
        return "secret"
    rule = entry.rule
    if isinstance(rule, Boolean):
        return "truth"
    if isinstance(rule, Choice):
        return "choice"
    if isinstance(rule, LISTS):
        return "list"
    return "number" if isinstance(rule, Integer) else "text"


def allowed(entry: Entry) -> str:
    """Say what a setting may be."""
    rule = entry.rule
    if entry.name in SECRETS:
        return _("one line of at most %(most)s characters", most=SECRET_LIMIT)
    if isinstance(rule, Integer):
        return _("a whole number from %(low)s to %(high)s", low=rule.low, high=rule.high)
    if isinstance(rule, Boolean):
        return _("on or off")
    if isinstance(rule, Choice):
        return ", ".join(choice(entry.name, word) for word in rule.words)
    if isinstance(rule, FeedSources):
        return _("at most %(most)s lines: name, kind, hours, address or file", most=rule.limit)
    if isinstance(rule, LISTS):
        return _(words.LIST_RULES[type(rule).__name__], most=rule.limit)
    return _(words.TEXT_RULES[_expected(entry)])


def choice(name: str, word: str) -> str:
    """Return a word of a choice as people read it."""
    found = words.CHOICES.get(name, {}).get(word)
    return word if found is None else _(found)


def _of(section: str) -> Iterator[Entry]:
    return (entry for entry in entries().values() if entry.section == section)


def _read_secret(
    entry: Entry,
    given: str,
    form: Mapping[str, str],
    secrets: dict[str, str | None],
    problems: dict[str, str],
) -> None:
    if given:
        if is_secret(given):
            secrets[entry.name] = given
        else:
            problems[entry.name] = _(
                "This does not fit. Allowed: %(allowed)s.", allowed=allowed(entry)
            )
    elif form.get(f"{entry.name}.{REMOVE}"):
        secrets[entry.name] = None


def _shown(entry: Entry, document: Mapping[str, Any], form: Mapping[str, str] | None) -> str:
    if entry.name in SECRETS:
        return ""
    if form is not None:
        return form.get(entry.name, "")
    now = said(document, entry.name)
    return _written(entry, entry.default if now is None else now)


def _written(entry: Entry, value: Any) -> str:
    """Return a value as it stands in a field; what no rule would take is shown as it is."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return ON if value else OFF
    if isinstance(entry.rule, MarkMask) and isinstance(value, int):
        return f"0x{value:08x}"
    if isinstance(entry.rule, FeedSources) and isinstance(value, list):
        return "\n".join(_feed_line(each) for each in value)
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return str(value)


def _in_words(entry: Entry, value: Any) -> str:
    """Return a default as people read it."""
    if isinstance(entry.rule, Choice):
        return choice(entry.name, value)
    if isinstance(value, bool):
        return _(words.TRUTH[value])
    if value is None or value == []:
        return _("empty")
    return _written(entry, value).replace("\n", ", ")


def _feed_line(feed: Any) -> str:
    if not isinstance(feed, dict):
        return str(feed)
    keys = (feed.get("name"), feed.get("kind"), feed.get("hours", 24), feed.get("source"))
    return " ".join(str(key) for key in keys)


def _value(entry: Entry, given: str) -> Any:
    """Return what was typed as TOML would have it, None for nothing; ValueError if it is none."""
    rule = entry.rule
    if isinstance(rule, Boolean):
        if given not in (ON, OFF):
            raise ValueError(given)
        return given == ON
    if isinstance(rule, LISTS):
        lines = [line.strip() for line in given.splitlines() if line.strip()]
        return [_feed(line) for line in lines] if isinstance(rule, FeedSources) else lines
    if not given:
        return None
    if isinstance(rule, Integer | MarkMask):
        return int(given, 0 if isinstance(rule, MarkMask) else 10)
    return given


def _feed(line: str) -> dict[str, Any]:
    name, kind, hours, source = line.split(maxsplit=3)
    return {"name": name, "kind": kind, "source": source, "hours": int(hours)}


def _expected(entry: Entry) -> str:
    return str(getattr(entry.rule, "expected", json.dumps(entry.name)))
