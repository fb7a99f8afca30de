"""What is read of one feed: indicators, and an honest count of all that is not.

Every byte of a feed is a stranger's: size, lines, rows and indicators are bounded here for all
formats. A row that cannot be read is counted and named; where there are many, this is not the file
that it is taken for (a page with an error, a half of a download), and nothing of it is taken.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from ratwall.feeds.errors import FeedError
from ratwall.feeds.indicator import CONFIDENCE_LIMIT, SECOND, Indicator, Kind
from ratwall.feeds.rule import TlsRule

# The longest public list in one of these formats has 10 MB; four times that, in memory at once.
BYTES_LIMIT = 32 * 1024 * 1024
LINE_LIMIT = 16 * 1024  # characters: a long signature rule has 4 KB
# A set of the kernel holds 262,144 elements at 100 bytes or so: what a small box can spare.
INDICATORS_LIMIT = 250_000
RULES_LIMIT = 2000  # each is tried on each new certificate: a millisecond for all of them
UNREADABLE_SHARE = 20  # refused if more than one row in so many cannot be read
NAMED_LIMIT = 3  # unreadable rows quoted
QUOTED = 60  # characters of one
TEXT_LIMIT = 80  # characters kept of a family's name
REMEMBERED = 1024  # times and families worked out: rows that follow each other share them

_NOTHING = ("", "none", "null", "-")


@dataclass(frozen=True, slots=True)
class Reading:
    """A feed as read. `skipped` counts, by reason, what is of no use here or not understood."""

    indicators: tuple[Indicator, ...]
    rules: tuple[TlsRule, ...]
    rows: int
    skipped: Mapping[str, int]
    unreadable: tuple[str, ...]

    @property
    def kinds(self) -> Mapping[str, int]:
        """How many indicators of each kind."""
        counted = Counter(item.kind.name.lower() for item in self.indicators)
        if self.rules:
            counted["rule"] = len(self.rules)
        return dict(sorted(counted.items()))


class Collector:
    """Gathers what a parser finds."""

    def __init__(self) -> None:
        self.rows = 0
        self._indicators: dict[tuple[Kind, str, int], Indicator] = {}
        self._rules: dict[str, TlsRule] = {}
        self._skipped: Counter[str] = Counter()
        self._unreadable = 0
        self._named: list[str] = []

    def add(self, indicator: Indicator) -> None:
        """Take an indicator; of two for the same thing the one seen last."""
        key = (indicator.kind, indicator.value, indicator.port)
        held = self._indicators.get(key)
        if held is not None and (held.seen or 0) >= (indicator.seen or 0):
            return
        self._indicators[key] = indicator
        if len(self._indicators) > INDICATORS_LIMIT:
            raise FeedError(f"more than {INDICATORS_LIMIT} indicators; give a shorter list")

    def add_rule(self, rule: TlsRule) -> None:
        """Take a rule; of two with one number the later."""
        self._rules[rule.id] = rule
        if len(self._rules) > RULES_LIMIT:
            raise FeedError(f"more than {RULES_LIMIT} rules of several conditions; give fewer")

    def skip(self, reason: str) -> None:
        """Count what is of no use here; `reason` is one of few words of ours."""
        self._skipped[reason] += 1

    def unreadable(self, where: str, text: str) -> None:
        """Count a row that cannot be read, and quote the first few."""
        self._unreadable += 1
        if len(self._named) < NAMED_LIMIT:
            self._named.append(f"{where}: {quoted(text)}")

    def reading(self) -> Reading:
        """Return what was gathered; FeedError if too much of it cannot be read."""
        if self._unreadable * UNREADABLE_SHARE > self.rows:
            raise FeedError(
                f"{self._unreadable} of {self.rows} rows cannot be read, "
                f"first {self._named[0] if self._named else 'row'}"
            )
        skipped = dict(self._skipped.most_common())
        if self._unreadable:
            skipped["cannot be read"] = self._unreadable
        return Reading(
            tuple(self._indicators.values()),
            tuple(self._rules.values()),
            self.rows,
            skipped,
            tuple(self._named),
        )


def text_of(data: bytes) -> str:
    """Return a feed's text; FeedError if it is too long, packed, or no text."""
    if len(data) > BYTES_LIMIT:
        raise FeedError(f"more than {BYTES_LIMIT} bytes")
    if data[:2] in (b"PK", b"\x1f\x8b"):
        raise FeedError("a packed file (zip or gzip); unpack it first")
    if b"\0" in data:
        raise FeedError(f"not a text: a zero byte at {data.index(0)}")
    return data.decode("utf-8-sig", errors="replace")


def lines_of(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield (number, line without spaces around it) of each line that holds something."""
    for number, line in enumerate(text_of(data).split("\n"), start=1):
        if len(line) > LINE_LIMIT:
            raise FeedError(f"line {number}: longer than {LINE_LIMIT} characters")
        stripped = line.strip()
        if stripped:
            yield number, stripped


@lru_cache(REMEMBERED)
def moment(text: str | None) -> int | None:
    """Return a time as UTC microseconds, None for nothing; ValueError if it is none.

    Taken are "2024-12-01 13:45:00", with " UTC" or in ISO 8601, and a date alone.
    """
    plain = present(text)
    if plain is None:
        return None
    found = datetime.fromisoformat(plain.removesuffix(" UTC"))
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return int(found.timestamp()) * SECOND


def present(text: str | None) -> str | None:
    """Return a text, None where it says that there is none."""
    plain = (text or "").strip()
    return None if plain.lower() in _NOTHING else plain


@lru_cache(REMEMBERED)
def family(text: str | None) -> str | None:
    """Return what a feed calls the malware, in one line that can be shown."""
    plain = present(text)
    if plain is None:
        return None
    if not plain.isprintable():
        plain = "".join(each if each.isprintable() else " " for each in plain)
    return " ".join(plain.split())[:TEXT_LIMIT] or None


@lru_cache(REMEMBERED)
def confidence(text: str | None) -> int:
    """Return a confidence from 0 to 100, the most where nothing is said; ValueError if neither."""
    plain = present(text)
    if plain is None:
        return CONFIDENCE_LIMIT
    if not (plain.isascii() and plain.isdigit() and int(plain[:4]) <= CONFIDENCE_LIMIT):
        raise ValueError(plain)
    return int(plain)


def printable(text: str) -> str:
    """Return a text of which a terminal obeys nothing."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


def quoted(text: str) -> str:
    """Return the beginning of a stranger's text as it may be shown."""
    shown = printable(text[: QUOTED + 1])
    return f'"{shown}"' if len(shown) <= QUOTED else f'"{shown[:QUOTED]}…"'
