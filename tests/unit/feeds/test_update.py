"""A run over the feeds: what is due is looked at, what is wrong is said, what was held stays."""

import os
from pathlib import Path

import pytest

from ratwall.feeds.directory import HOUR, SHIPPED, FeedDirectory, FeedState, wants_run
from ratwall.feeds.errors import FeedError
from ratwall.feeds.fetch import Fetched, obtain
from ratwall.feeds.index import open_index
from ratwall.feeds.indicator import DAY, SECOND, Kind, packed, server_key
from ratwall.feeds.update import Update
from ratwall.settings.feed_sources import FeedSource

START = 1_764_000_000 * SECOND
URL = "https://lists.example/servers.txt"
REMOTE = FeedSource("servers", "plain", URL, 24)


class World:
    """A publisher, a clock and a state directory."""

    def __init__(self, tmp_path: Path) -> None:
        self.now = START
        self.directory = FeedDirectory(tmp_path)
        self.directory.prepare()
        self.published: dict[str, bytes | FeedError] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.own: dict[str, str] = {}

    def obtain(
        self, source: str, etag: str | None, modified: str | None, now: int
    ) -> Fetched | None:
        self.asked.append((source, etag))
        answer = self.published[source]
        if isinstance(answer, FeedError):
            raise answer
        tag = str(hash(answer))
        return None if tag == etag else Fetched(answer, now, tag)

    def run(self, *sources: FeedSource, forced: bool = False) -> bool:
        update = Update(self.directory, self.obtain, self.own, lambda: self.now)
        return update.run(sources, forced=forced)

    def state(self, name: str = "servers") -> FeedState:
        return next(each for each in self.directory.states() if each.name == name)

    def lists(self, server: str, port: int = 6606) -> bool:
        key = server_key(packed(server), port)
        return open_index(self.directory.index).find(Kind.ENDPOINT, key) is not None


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_list_is_taken_and_indexed(world: World) -> None:
    world.published[URL] = b"198.51.100.7:6606\n"
    assert world.run(REMOTE)
    assert world.lists("198.51.100.7")
    state = world.state()
    assert (state.rows, state.indicators, state.error) == (1, {"endpoint": 1}, None)
    assert state.taken == state.checked == state.edition == START


def test_nothing_is_asked_before_its_time_unless_somebody_says_so(world: World) -> None:
    world.published[URL] = b"198.51.100.7:6606\n"
    world.run(REMOTE)
    world.now += 24 * HOUR - SECOND
    assert not world.run(REMOTE)
    assert len(world.asked) == 1
    world.run(REMOTE, forced=True)
    assert len(world.asked) == 2
    world.now += 24 * HOUR
    world.run(REMOTE)
    assert len(world.asked) == 3


@pytest.mark.parametrize("ahead", [SECOND, 1000 * DAY])
def test_a_clock_that_was_ahead_stops_nothing(world: World, ahead: int) -> None:
    """A box without a battery may begin in any year; it looks again when it knows better."""
    world.published[URL] = b"198.51.100.7:6606\n"
    world.now += ahead
    world.run(REMOTE)
    world.now = START
    assert wants_run([REMOTE], world.directory.states(), START + ahead, START)
    assert world.run(REMOTE), "and the index is of now"
    assert len(world.asked) == 2
    hit = open_index(world.directory.index).find(
        Kind.ENDPOINT, server_key(packed("198.51.100.7"), 6606)
    )
    assert hit is not None
    assert hit.acts_until == START + 30 * DAY


def test_a_publisher_that_keeps_the_run_until_it_is_killed_keeps_only_itself(world: World) -> None:
    other = FeedSource("other", "plain", "https://other.example/", 24)
    world.published = {URL: b"198.51.100.7:6606\n", other.source: b"198.51.100.8:6606\n"}
    world.run(REMOTE, other)
    world.now += 24 * HOUR
    world.published[other.source] = b"198.51.100.9:6606\n"
    obtain = world.obtain

    def hang(source: str, etag: str | None, modified: str | None, now: int) -> Fetched | None:
        if source == URL:
            raise KeyboardInterrupt  # as a signal does
        return obtain(source, etag, modified, now)

    world.obtain = hang  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.run(REMOTE, other)
    assert world.state().error == "it is being looked at, or the look was broken off"
    assert world.lists("198.51.100.8"), "what was held is in force"
    assert world.run(REMOTE, other)
    assert world.lists("198.51.100.9")
    assert world.lists("198.51.100.7")
    world.obtain = obtain  # type: ignore[method-assign]
    world.now += HOUR
    world.run(REMOTE, other)
    assert world.state().error is None


def test_a_list_taken_by_a_run_that_broke_off_is_indexed_by_the_next(world: World) -> None:
    world.published[URL] = b"198.51.100.7:6606\n"
    world.run(REMOTE)
    before = world.directory.index.read_bytes()
    world.now += 24 * HOUR
    world.published[URL] = b"198.51.100.8:6606\n"
    world.run(REMOTE)
    world.directory.write_index(before)  # as if it had not come so far
    world.now += SECOND
    assert world.run(REMOTE)
    assert world.lists("198.51.100.8")


def test_a_list_held_from_before_is_screened_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.published[URL] = b"198.51.100.7:6606\n"
    world.run(REMOTE)

    def screen(reading: object, own: object) -> None:
        raise FeedError("it lists 198.51.100.7, a name server that everybody uses")

    monkeypatch.setattr("ratwall.feeds.update.screen", screen)
    world.now += DAY
    world.published[URL] = b"198.51.100.7:6606\n"
    world.run(REMOTE)
    assert not world.lists("198.51.100.7")
    assert "that everybody uses" in (world.state().error or "")


def test_what_has_not_changed_is_confirmed(world: World) -> None:
    world.published[URL] = b"198.51.100.7:6606\n"
    world.run(REMOTE)
    world.now += DAY
    world.run(REMOTE)
    assert world.asked[1][1] is not None, "it asked only for what is new"
    state = world.state()
    assert (state.taken, state.edition) == (START, START + DAY)


BAD: list[tuple[str, bytes | FeedError, str]] = [
    ("the line is dead", FeedError("lists.example: timed out"), "lists.example: timed out"),
    ("an error page", b"<html>502</html>", "rows cannot be read"),
    ("half of a file", b"198.51.100.7:6606\n198.51.1", "1 of 2 rows cannot be read"),
    ("everything", b"198.51.100.7:6606\n0.0.0.0/0", "a whole network"),
    ("the gateway", b"198.51.100.7:6606\n203.0.113.1", "the gateway"),
    ("the office itself", b"198.51.100.7:6606\n192.168.77.1", "no address of the internet"),
    ("everybody's name", b"198.51.100.7:6606\ngoogle.com", "a name that everybody uses"),
    ("nothing", b"", "an empty file"),
]


@pytest.mark.parametrize(("answer", "why"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_list_changes_nothing_but_its_error(
    world: World, answer: bytes | FeedError, why: str
) -> None:
    world.own = {"203.0.113.1": "the gateway"}
    world.published[URL] = b"198.51.100.9:6606\n"
    world.run(REMOTE)
    index = world.directory.index.read_bytes()
    world.published[URL] = answer
    world.now += 12 * HOUR
    assert not world.run(REMOTE, forced=True)
    state = world.state()
    assert why in str(state.error)
    assert (state.taken, state.checked) == (START, START + 12 * HOUR)
    assert world.directory.index.read_bytes() == index
    assert world.directory.held("servers") == b"198.51.100.9:6606\n"
    # An hour later it is tried again, and mended.
    world.now += HOUR - SECOND
    world.run(REMOTE)
    assert world.state().error is not None
    world.published[URL] = b"198.51.100.8:6606\n"
    world.now += SECOND
    assert world.run(REMOTE)
    assert world.state().error is None
    assert world.lists("198.51.100.8")
    assert not world.lists("198.51.100.9")


def test_a_feed_that_never_came_is_tried_once_an_hour(world: World) -> None:
    world.published[URL] = FeedError("lists.example: refused")
    for _ in range(3):
        world.run(REMOTE)
        world.now += 10 * SECOND
    assert len(world.asked) == 1
    world.now += HOUR
    world.run(REMOTE)
    assert len(world.asked) == 2


def test_a_feed_taken_out_of_the_settings_is_gone(world: World) -> None:
    world.published[URL] = b"198.51.100.7:6606\n"
    world.run(REMOTE)
    assert world.run()
    assert not world.lists("198.51.100.7")
    assert world.directory.held("servers") is None
    assert world.directory.states() == []


def test_another_source_under_the_same_name_begins_anew(world: World) -> None:
    world.published[URL] = b"198.51.100.7:6606\n"
    world.run(REMOTE)
    other = FeedSource("servers", "sslbl", URL, 24)
    assert world.run(other)
    assert not world.lists("198.51.100.7")
    assert "no line names the columns" in str(world.state().error)


def test_what_became_the_site_s_own_is_left_out(world: World) -> None:
    world.published[URL] = b"198.51.100.7:6606\n198.51.100.8:6606\n"
    world.run(REMOTE)
    world.own = {"198.51.100.7": "on the never-block list"}
    world.now += DAY
    assert world.run(REMOTE)  # the index is a day old
    assert not world.lists("198.51.100.7")
    assert world.lists("198.51.100.8")


def test_the_index_is_made_anew_once_a_day(world: World) -> None:
    other = FeedSource("servers", "plain", URL, 720)
    world.published[URL] = b"198.51.100.7:6606\n"
    assert world.run(other)
    assert not world.run(other)
    world.now += DAY
    assert world.run(other)
    assert len(world.asked) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"run": 1, "feeds": [{"name": 3}]}'])
def test_a_damaged_state_file_begins_anew(world: World, content: bytes) -> None:
    world.published[URL] = b"198.51.100.7:6606\n"
    world.run(REMOTE)
    (world.directory.path / "state.json").write_bytes(content)
    assert world.run(REMOTE)
    assert world.lists("198.51.100.7")


def test_a_damaged_list_is_said_and_fetched_again(world: World) -> None:
    world.published[URL] = b"198.51.100.7:6606\n"
    world.run(REMOTE)
    (world.directory.path / "servers.list").write_bytes(b"\0\0")
    world.now += DAY
    world.published[URL] = FeedError("lists.example: refused")
    world.run(REMOTE)
    assert "the list held is damaged" in str(world.state().error)
    world.published[URL] = b"198.51.100.7:6606\n"
    world.now += HOUR
    assert world.run(REMOTE)
    assert world.lists("198.51.100.7")


def test_lists_that_are_together_too_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratwall.feeds.update.INDICATORS_LIMIT", 2)
    second = FeedSource("more", "plain", URL + "?2", 24)
    world.published[URL] = b"198.51.100.7:6606\n198.51.100.8:6606\n"
    world.published[second.source] = b"198.51.100.9:6606\n"
    world.run(REMOTE, second)
    assert world.lists("198.51.100.8")
    assert not world.lists("198.51.100.9")
    assert "together" in str(world.state("more").error)


def test_the_shipped_list_works_without_a_network(world: World, tmp_path: Path) -> None:
    update = Update(world.directory, obtain, {}, lambda: START)
    assert update.run([SHIPPED], forced=False)
    state = world.state("shipped")
    assert state.error is None
    assert state.indicators == {"endpoint": 6, "name": 1}
    assert world.lists("185.49.126.50")


def test_a_file_is_as_old_as_it_was_written(world: World, tmp_path: Path) -> None:
    listed = tmp_path / "own.txt"
    source = FeedSource("own", "plain", str(listed), 1)
    update = Update(world.directory, obtain, {}, lambda: START)
    # A file of tomorrow does not live longer for it.
    for number, (days, edition) in enumerate(((-5, START - 5 * DAY), (1, START))):
        listed.write_bytes(b"198.51.100.7:660%d\n" % number)
        written = (START + days * DAY) // SECOND
        os.utime(listed, (written, written))
        assert update.run([source], forced=True)
        assert world.state("own").edition == edition


def test_files_that_are_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", Path("/dev/zero")):
        with pytest.raises(FeedError, match=r"cannot be read|is no file"):
            obtain(str(path), None, None, START)


def test_nothing_half_written_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    world.published[URL] = b"198.51.100.7:6606\n"
    world.run(REMOTE)
    before = sorted((p.name, p.read_bytes()) for p in world.directory.path.iterdir())
    world.published[URL] = b"198.51.100.8:6606\n"
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        world.run(REMOTE, forced=True)
    after = sorted((p.name, p.read_bytes()) for p in world.directory.path.iterdir())
    assert after == before
