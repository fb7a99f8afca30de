"""The feeds on the disk: each list as it was taken, what is known of it, and the index of all.

    <state>/feeds/NAME.list    bytes of a list that was read and screened
    <state>/feeds/state.json   of each: when, how many, its last error
    <state>/feeds/index.bin    what is looked up

Every file is replaced whole. What of it cannot be read counts as not there: it is fetched again.
"""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ratwall.feeds.index import DIRECTORY, index_of
from ratwall.feeds.indicator import DAY, SECOND
from ratwall.replacing import replace_file
from ratwall.settings.feed_sources import RESERVED, FeedSource
from ratwall.settings.schema import Feeds

HOUR = 3600 * SECOND
RETRY = HOUR  # after a failure; a publisher's fault is seldom mended within minutes
SHIPPED = FeedSource(RESERVED, "threatfox", str(Path(__file__).with_name("shipped.csv")))
STATE_LIMIT = 1 << 20  # bytes of state.json; a full one has 50 KB


@dataclass(slots=True)
class FeedState:
    """What is known of one feed; times are UTC microseconds.

    `checked` is the last look at its source, good or bad, `taken` when the list that is held was
    taken, `edition` when that was made or last confirmed, `error` why the last look brought
    nothing.
    """

    name: str
    kind: str
    source: str
    hours: int
    checked: int | None = None
    taken: int | None = None
    edition: int | None = None
    rows: int = 0
    indicators: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    error: str | None = None
    etag: str | None = None
    modified: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return asdict(self)

    def is_of(self, source: FeedSource) -> bool:
        """Say whether it is of this very source, and not of another one of its name."""
        return (self.name, self.kind, self.source) == (source.name, source.kind, source.source)

    def is_due(self, now: int) -> bool:
        """Say whether its source is to be looked at; `now` in UTC microseconds."""
        if self.checked is None:
            return True
        wait = min(self.hours * HOUR, RETRY) if self.error else self.hours * HOUR
        # What lies ahead was written by a clock that was wrong.
        return not 0 <= now - self.checked < wait


def sources_of(feeds: Feeds) -> list[FeedSource]:
    """Return the feeds that the settings ask for."""
    return [*([SHIPPED] if feeds.shipped else []), *feeds.sources]


def wants_run(sources: list[FeedSource], states: list[FeedState], made: int, now: int) -> bool:
    """Say whether a run would do anything; `made` is when the index was."""
    if len(sources) != len(states) or not 0 <= now - made < DAY:
        return True
    known = {state.name: state for state in states}
    for source in sources:
        state = known.get(source.name)
        if state is None or not state.is_of(source) or state.hours != source.hours:
            return True
        if state.is_due(now):
            return True
    return False


class FeedDirectory:
    """Reads and replaces the files."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / DIRECTORY
        self.index = index_of(state_dir)
        self._state = self.path / "state.json"

    def prepare(self) -> None:
        """Make the directory: everybody may read what lists anybody can fetch."""
        self.path.mkdir(mode=0o755, exist_ok=True)
        self.path.chmod(0o755)

    def states(self) -> list[FeedState]:
        """Return what is known of each feed."""
        known = {each.name for each in fields(FeedState)}
        try:
            with self._state.open("rb") as file:
                document = json.loads(file.read(STATE_LIMIT))
            return [
                FeedState(**{key: value for key, value in row.items() if key in known})
                for row in document["feeds"]
            ]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return []

    def write_states(self, states: list[FeedState]) -> None:
        """Replace what is known of the feeds."""
        document = {"feeds": [each.as_dict() for each in states]}
        replace_file(self._state, json.dumps(document, indent=1).encode())

    def held(self, name: str) -> bytes | None:
        """Return the list of a feed as it was taken, None if none is held."""
        try:
            return self._list(name).read_bytes()
        except OSError:
            return None

    def hold(self, name: str, data: bytes) -> None:
        """Replace the list of a feed."""
        replace_file(self._list(name), data)

    def forget(self, name: str) -> None:
        """Delete the list of a feed."""
        self._list(name).unlink(missing_ok=True)

    def write_index(self, data: bytes) -> None:
        """Replace the index; who has the old one mapped keeps it."""
        replace_file(self.index, data)

    def drop_others(self, names: set[str]) -> None:
        """Delete the lists of feeds that are not among these."""
        for path in self.path.glob("*.list"):
            if path.stem not in names:
                path.unlink(missing_ok=True)

    def _list(self, name: str) -> Path:
        return self.path / f"{name}.list"
