"""One run over the feeds: get what is due, read it, screen it, hold it, and index what is held.

A list that cannot be had, read, or that does not pass the screen changes nothing but its error; the
list held before stays, and ages. The index is written anew when a list has changed, and once a day
because what it holds grows old.

Design note: what is known is written before each look as well. Should one publisher keep the run
until it is killed, the next run goes on with the others, and that one's turn comes in an hour.
"""

from collections.abc import Callable, Iterable, Mapping

from ratwall.feeds.directory import FeedDirectory, FeedState
from ratwall.feeds.errors import FeedError
from ratwall.feeds.fetch import Fetched
from ratwall.feeds.formats import read_feed
from ratwall.feeds.index import Listed, index_bytes, open_index
from ratwall.feeds.indicator import DAY, SERVERS
from ratwall.feeds.reading import INDICATORS_LIMIT, Reading
from ratwall.feeds.screen import screen
from ratwall.settings.feed_sources import FeedSource

BROKEN_OFF = "it is being looked at, or the look was broken off"

Obtain = Callable[[str, str | None, str | None, int], Fetched | None]


class Update:
    """A run; `obtain` gets a list (source, etag, modified, now)."""

    def __init__(
        self,
        directory: FeedDirectory,
        obtain: Obtain,
        own: Mapping[str, str],
        clock: Callable[[], int],
    ) -> None:
        """`own` is this site's addresses and what they are; `clock` gives UTC microseconds."""
        self._directory = directory
        self._obtain = obtain
        self._own = own
        self._clock = clock
        self._readings: dict[str, Reading] = {}

    def run(self, sources: Iterable[FeedSource], *, forced: bool) -> bool:
        """Do one; True if there is a new index. OSError if the disk refuses."""
        wanted = list(sources)
        before = self._directory.states()
        known = {each.name: each for each in before}
        states: list[FeedState] = []
        changed = len(before) != len(wanted)
        for source in wanted:
            state = known.get(source.name)
            if state is None or not state.is_of(source):
                # Under this name something else was held, or nothing.
                self._directory.forget(source.name)
                state = FeedState(source.name, source.kind, source.source, source.hours)
                changed = True
            state.hours = source.hours
            states.append(state)
            if forced or state.is_due(self._clock()):
                state.checked, told = self._clock(), state.error
                state.error = BROKEN_OFF
                self._directory.write_states([*states, *_later(known, wanted, states)])
                state.error = told
                changed |= self._look(state)
        self._directory.drop_others({source.name for source in wanted})
        if changed or self._is_old(states):
            self._index(states)
            changed = True
        self._directory.write_states(states)
        return changed

    def _is_old(self, states: Iterable[FeedState]) -> bool:
        """Say whether the index is of another day, or older than a list: a run broke off."""
        try:
            made = open_index(self._directory.index).made
        except FeedError:
            return True
        newest = max((state.taken or 0 for state in states), default=0)
        return newest > made or not 0 <= self._clock() - made < DAY

    def _look(self, state: FeedState) -> bool:
        """Look at the source of a feed; True if there is another list now."""
        now = self._clock()
        state.checked = now
        held = self._directory.held(state.name)
        tags = (None, None) if held is None or state.error else (state.etag, state.modified)
        try:
            fetched = self._obtain(state.source, *tags, now)
            if fetched is None or (fetched.data == held and not state.error):
                # It says so still; what has no date in it counts from now on.
                if state.source.startswith("https://"):
                    state.edition = now
                state.error = None
                return False
            reading = read_feed(state.kind, fetched.data)
            screen(reading, self._own)
        except FeedError as error:
            state.error = str(error)
            return False
        self._directory.hold(state.name, fetched.data)
        self._readings[state.name] = reading
        state.taken, state.edition = now, fetched.edition
        state.etag, state.modified = fetched.etag, fetched.modified
        state.rows, state.error = reading.rows, None
        state.indicators, state.skipped = dict(reading.kinds), dict(reading.skipped)
        return True

    def _index(self, states: Iterable[FeedState]) -> None:
        """Index what is held, as far as there is room; what has become this site's own is left
        out."""
        listed, room = [], INDICATORS_LIMIT
        for state in states:
            reading = self._reading(state)
            if reading is None:
                continue
            if len(reading.indicators) > room:
                state.error = (
                    f"left out: together the lists hold more than {INDICATORS_LIMIT} indicators"
                )
                continue
            room -= len(reading.indicators)
            indicators = [
                item
                for item in reading.indicators
                if item.kind not in SERVERS or item.value not in self._own
            ]
            now = self._clock()
            edition = now if state.edition is None else min(now, state.edition)
            listed.append(Listed(state.name, edition, indicators, reading.rules))
        self._directory.write_index(index_bytes(listed, self._clock()))

    def _reading(self, state: FeedState) -> Reading | None:
        """Return the list of a feed that is held, None if there is none or it is damaged."""
        if state.name in self._readings:
            return self._readings[state.name]
        data = self._directory.held(state.name)
        if data is None:
            return None
        try:
            reading = read_feed(state.kind, data)
            screen(reading, {})  # what everybody uses may be known better than when it was taken
        except FeedError as error:
            state.error = f"the list held is damaged: {error}"
            return None
        return reading


def _later(
    known: Mapping[str, FeedState], wanted: Iterable[FeedSource], done: Iterable[FeedState]
) -> list[FeedState]:
    """Return what is known of the feeds whose turn is still to come."""
    passed = {state.name for state in done}
    return [
        known[source.name]
        for source in wanted
        if source.name not in passed and source.name in known and known[source.name].is_of(source)
    ]
