"""The index: all indicators of all feeds in one file, laid out to be looked up without being read.

The file is mapped, read-only, by every process that asks, so it is in memory once for all of them
and a new one takes its place by renaming. Keys of one kind stand sorted one behind the other; a
table of where each beginning of a key starts makes a look-up a handful of comparisons.

    magic · length of the head · head (JSON) · for each kind: starts, keys, values

Design note: the file is written by a process without rights out of strangers' lists, and read by
the inspector: offsets and counts are checked once, when it is opened, so that no look-up can leave
the file.
"""

import json
import mmap
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ratwall.feeds.errors import FeedError
from ratwall.feeds.indicator import AGES, DAY, KEY_BYTES, SECOND, SERVERS, Indicator, Kind
from ratwall.feeds.rule import FIELDS, TlsRule

MAGIC = b"RWFEEDS1"
HEAD_LIMIT = 16 * 1024 * 1024  # bytes: names, families and rules; a full one has 2 MB
FILE_NAME = "index.bin"
DIRECTORY = "feeds"  # within the state directory
FEEDS_LIMIT = 64
FAMILIES_LIMIT = 60_000  # numbered with 16 bits
START_BITS = 12  # of a key: 100,000 keys make 24 for each beginning
_LENGTH = struct.Struct("<I")
_VALUE = struct.Struct("<IIIHH")  # acts until, told until, seen (seconds), feed, family
_STARTS = (1 << START_BITS) + 1
_STARTS_BYTES = 4 * _STARTS
_SHIFT = 16 - START_BITS
_PAIR = struct.Struct("<II")
_SECONDS_LIMIT = 0xFFFFFFFF  # the year 2106


@dataclass(frozen=True, slots=True)
class Hit:
    """What is said of one key; times are UTC microseconds, `seen` 0 where nobody knows."""

    kind: Kind
    feed: str
    family: str | None
    seen: int
    acts_until: int
    told_until: int


@dataclass(frozen=True, slots=True)
class ListedRule:
    """A rule of several conditions, and the feed it came from."""

    rule: TlsRule
    hit: Hit


@dataclass(frozen=True, slots=True)
class Listed:
    """What one feed gives to the index; `edition` is when it was made (UTC microseconds)."""

    feed: str
    edition: int
    indicators: Sequence[Indicator]
    rules: Sequence[TlsRule]


def index_bytes(feeds: Iterable[Listed], now: int) -> bytes:
    """Return the index file of these feeds; of two that list the same, the one that acts longer."""
    families: dict[str, int] = {}
    kinds: dict[Kind, dict[bytes, tuple[int, int, int, int, int]]] = {}
    rules: list[list[Any]] = []
    head: list[dict[str, Any]] = []
    for number, listed in enumerate(feeds):
        head.append({"name": listed.feed, "edition": listed.edition})
        for item in listed.indicators:
            value = _value(item, listed.edition, number, families)
            if value[1] * SECOND <= now:
                continue
            held = kinds.setdefault(item.kind, {})
            key = item.key
            if held.setdefault(key, value)[:2] < value[:2]:
                held[key] = value
        for rule in listed.rules:
            # A rule has no date: it is of its edition, and ages as what it asks for.
            age = AGES[rule.kind]
            ends = (listed.edition + days * DAY for days in (age.acts, age.tells))
            rules.append([number, *map(_seconds, (listed.edition, *ends)), rule.as_list()])
    return _laid_out(kinds, head, list(families), rules, now)


def _laid_out(
    kinds: Mapping[Kind, Mapping[bytes, tuple[int, int, int, int, int]]],
    feeds: list[dict[str, Any]],
    families: list[str],
    rules: list[list[Any]],
    now: int,
) -> bytes:
    parts: list[bytes] = []
    sections: dict[str, list[int]] = {}
    offset = 0
    for kind, held in sorted(kinds.items()):
        keys = sorted(held)
        starts = _starts(keys)
        sections[str(int(kind))] = [offset, len(keys)]
        part = b"".join((starts, *keys, *(_VALUE.pack(*held[key]) for key in keys)))
        part += bytes(-len(part) % 4)
        parts.append(part)
        offset += len(part)
    head = {
        "made": now,
        "feeds": feeds,
        "families": families,
        "rules": rules,
        "sections": sections,
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-(len(MAGIC) + _LENGTH.size + len(text)) % 8)
    return b"".join((MAGIC, _LENGTH.pack(len(text)), text, *parts))


def _starts(keys: Sequence[bytes]) -> bytes:
    counts = [0] * _STARTS
    for key in keys:
        counts[_beginning(key) + 1] += 1
    total = 0
    for place, count in enumerate(counts):
        total += count
        counts[place] = total
    return struct.pack(f"<{_STARTS}I", *counts)


def _beginning(key: bytes) -> int:
    return (key[0] << 8 | key[1]) >> _SHIFT


def _value(
    item: Indicator, edition: int, feed: int, families: dict[str, int]
) -> tuple[int, int, int, int, int]:
    family = 0
    if item.family is not None and (item.family in families or len(families) < FAMILIES_LIMIT):
        family = families.setdefault(item.family, len(families)) + 1
    acts, tells = item.ends(edition)
    return (
        min(max(0, acts // SECOND), _SECONDS_LIMIT),
        min(max(0, tells // SECOND), _SECONDS_LIMIT),
        min(max(0, (item.seen or 0) // SECOND), _SECONDS_LIMIT),
        feed,
        family,
    )


def _seconds(microseconds: int) -> int:
    return min(max(0, microseconds // SECOND), _SECONDS_LIMIT)


class Index:
    """An open index; look things up by kind and key."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        """Take the content of a file, mapped or not; FeedError if it is not one."""
        self._data = data
        head, base = _head(data)
        try:
            self.made = int(head["made"])
            self._feeds = [str(each["name"]) for each in head["feeds"]]
            self._families = [str(each) for each in head["families"]]
            sections = {Kind(int(key)): value for key, value in head["sections"].items()}
            self._sections = {
                kind: _section(data, base + int(offset), int(count))
                for kind, (offset, count) in sections.items()
            }
            self.rules = tuple(self._rule(row) for row in head["rules"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise FeedError(f"index: damaged: {error!r}") from error

    def __len__(self) -> int:
        return sum(count for _, _, _, count in self._sections.values()) + len(self.rules)

    def find(self, kind: Kind, key: bytes) -> Hit | None:
        """Return what is said of a key, None if nothing is."""
        section = self._sections.get(kind)
        if section is None:
            return None
        starts, keys, values, _ = section
        data = self._data
        low, high = _PAIR.unpack_from(data, starts + 4 * _beginning(key))
        while low < high:
            middle = (low + high) // 2
            place = keys + middle * KEY_BYTES
            found = data[place : place + KEY_BYTES]
            if found == key:
                return self._hit(kind, values + middle * _VALUE.size)
            if found < key:
                low = middle + 1
            else:
                high = middle
        return None

    def holds(self, kind: Kind) -> bool:
        """Say whether there is any indicator of a kind: most offices have none of some."""
        return kind in self._sections

    def servers(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield (address of 4 or 16 octets, port or 0, until when it acts in seconds)."""
        for kind in SERVERS:
            section = self._sections.get(kind)
            if section is None:
                continue
            _, keys, values, count = section
            for number in range(count):
                place = keys + number * KEY_BYTES
                key = bytes(self._data[place : place + KEY_BYTES])
                acts_until, *_ = _VALUE.unpack_from(self._data, values + number * _VALUE.size)
                yield key[: key[17]], int.from_bytes(key[18:], "big"), acts_until

    def _hit(self, kind: Kind, place: int) -> Hit:
        acts_until, told_until, seen, feed, family = _VALUE.unpack_from(self._data, place)
        return Hit(
            kind,
            self._feeds[feed] if feed < len(self._feeds) else "",
            self._families[family - 1] if 0 < family <= len(self._families) else None,
            seen * SECOND,
            acts_until * SECOND,
            told_until * SECOND,
        )

    def _rule(self, row: list[Any]) -> ListedRule:
        feed, edition, acts_until, told_until, parts = row
        rule = TlsRule.from_list(parts)
        if any(each.field not in FIELDS for each in rule.conditions):
            raise ValueError(rule.id)
        times = (int(seconds) * SECOND for seconds in (edition, acts_until, told_until))
        return ListedRule(rule, Hit(rule.kind, self._feeds[feed], rule.family, *times))


def _head(data: bytes | mmap.mmap) -> tuple[dict[str, Any], int]:
    """Return the head of a file and where its sections begin; FeedError if it has none."""
    begin = len(MAGIC) + _LENGTH.size
    if len(data) < begin or data[: len(MAGIC)] != MAGIC:
        raise FeedError("index: not one, or of another version")
    (length,) = _LENGTH.unpack_from(data, len(MAGIC))
    if length > min(HEAD_LIMIT, len(data) - begin):
        raise FeedError("index: damaged: it ends in its head")
    try:
        head = json.loads(data[begin : begin + length])
    except (ValueError, RecursionError) as error:
        raise FeedError("index: damaged: its head cannot be read") from error
    if not isinstance(head, dict):
        raise FeedError("index: damaged: its head is no object")
    return head, begin + length


def _section(data: bytes | mmap.mmap, offset: int, count: int) -> tuple[int, int, int, int]:
    """Return where starts, keys and values of a section begin, and its count; ValueError if it
    leaves the file or its starts do not ascend to the count."""
    keys = offset + _STARTS_BYTES
    values = keys + count * KEY_BYTES
    if min(offset, count) < 0 or values + count * _VALUE.size > len(data):
        raise ValueError("a section leaves the file")
    starts = struct.unpack_from(f"<{_STARTS}I", data, offset)
    if starts[-1] != count or any(low > high for low, high in pairwise(starts)):
        raise ValueError("starts out of order")
    return offset, keys, values, count


EMPTY = Index(_laid_out({}, [], [], [], 0))


def index_of(state_dir: Path) -> Path:
    """Return where the index of a state directory is."""
    return state_dir / DIRECTORY / FILE_NAME


def open_index(path: Path) -> Index:
    """Map a file; an empty index where there is none yet; FeedError if it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return EMPTY
    except OSError as error:
        raise FeedError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return Index(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise FeedError(f"{path}: cannot be mapped: {error}") from error
    finally:
        os.close(descriptor)
