"""The feeds that an office takes its indicators from: one entry of the settings each.

Never fetches and never reads a list. An entry is a table of name, kind, source and hours.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from ratwall.settings.rules import describe

KINDS = ("sslbl", "sslbl-ja3", "threatfox", "feodo", "plain", "misp", "stix", "suricata")
HOURS_DEFAULT = 24  # publishers ask to be fetched no more than every few minutes; a day is polite
HOURS_HIGH = 720  # a month: beyond it a list of servers is out of date before it is read again
SOURCE_LIMIT = 1024  # characters
RESERVED = "shipped"  # the list that comes with Ratwall
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_KEYS = ("name", "kind", "source", "hours")


@dataclass(frozen=True, slots=True)
class FeedSource:
    """One feed: what it is called, what it is, where it lies, how often it is looked at."""

    name: str
    kind: str
    source: str
    hours: int = HOURS_DEFAULT

    @property
    def is_remote(self) -> bool:
        """Whether it is fetched from the internet."""
        return self.source.startswith("https://")


@dataclass(frozen=True, slots=True)
class FeedSources:
    """A list of feeds, each under a name of its own."""

    limit: int

    def accept(self, value: object) -> tuple[FeedSource, ...]:
        """Return the feeds in the order given; ValueError with what was expected."""
        expected = f"a list of at most {self.limit} feeds"
        if not isinstance(value, list) or len(value) > self.limit:
            raise ValueError(expected)
        found: dict[str, FeedSource] = {}
        for number, item in enumerate(value, start=1):
            source = _source(item, number)
            if source.name in found:
                raise ValueError(f"feeds with different names; feed {number} repeats a name")
            found[source.name] = source
        return tuple(found.values())


def _source(item: object, number: int) -> FeedSource:
    place = f"feed {number}"
    if not isinstance(item, dict):
        raise ValueError(f"a table for {place}")
    for key in item:
        if key not in _KEYS:
            raise ValueError(f"only {', '.join(_KEYS)} in {place}; {describe(key)} is none")
    name = item.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == RESERVED:
        raise ValueError(
            f"a name of at most 32 lower-case letters, digits and hyphens, other than "
            f'"{RESERVED}", for {place}'
        )
    place = f'{place} "{name}"'
    kind = item.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"a kind for {place} out of {', '.join(KINDS)}")
    source = item.get("source")
    if not isinstance(source, str) or not _is_source(source):
        raise ValueError(f"a source for {place}: a file from / on, or an https:// address")
    hours = item.get("hours", HOURS_DEFAULT)
    if type(hours) is not int or not 1 <= hours <= HOURS_HIGH:
        raise ValueError(f"hours for {place} from 1 to {HOURS_HIGH}")
    return FeedSource(name, kind, source, hours)


def _is_source(source: str) -> bool:
    if len(source) > SOURCE_LIMIT or not source.isprintable():
        return False
    if source.startswith("/"):
        return PurePosixPath(source).name != ""
    try:
        parts = urlsplit(source)
        port = parts.port
    except ValueError:
        return False
    plain = source.isascii() and " " not in source and parts.username is None
    return parts.scheme == "https" and bool(parts.hostname) and plain and port != 0
