"""A rhythm inside a connection goes on while the controller restarts."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP

from ratwall.controller.books import open_books
from ratwall.controller.hearing import BATCH, WRITE_US, Hearing
from ratwall.controller.observation import Observation
from ratwall.controller.proofs import Connection, Reported
from ratwall.controller.rhythms import GROWN_MOST, Rhythms
from ratwall.kernel.marks import FlowClass
from ratwall.kernel.nflog import Copy
from ratwall.ledger import heard
from ratwall.ledger.store import open_ledger
from ratwall.rhythm.beats import BeatLog
from ratwall.rhythm.records import SeenRecord
from ratwall.verdict.finding import Finding
from unit.controller.box import FakeSets
from unit.controller.test_observation import ENDS, Kernel, flow_report, make

SECOND = 1_000_000
PERIOD = 12_345_000
MESSAGE_US = 210_000


def record(length: int) -> bytes:
    return bytes((23, 3, 3)) + length.to_bytes(2, "big") + bytes(length)


class Life:
    """A controller that observes; each `restart` is another with the same ledger and kernel."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.sqlite3"
        self.kernel = Kernel()
        self.found: list[Finding] = []
        self.sequence: dict[Connection, int] = {}
        self.start()

    def start(self, capacity: int = 9) -> None:
        self.ledger = open_ledger(self.path)
        self.books = open_books(self.ledger, FakeSets(), frozenset(), "", self.kernel.now)
        self.observation: Observation = make(self.kernel, capacity)
        self.rhythms = Rhythms(lambda server: (9, 0), self.found.append)
        self.observation.rhythms = self.rhythms
        self.hearing = Hearing(self.observation, self.rhythms)
        self.hearing.start(self.books)
        there = set(self.kernel.classes)
        self.observation.take_table(there)
        self.hearing.take_table(there)

    def stop(self) -> None:
        self.hearing.stop()
        assert self.books.writer.flush()
        self.ledger.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        self.ledger.close()
        self.start()

    def hello(self, ends: Connection = ENDS) -> None:
        """Have its handshake reported: by address, and of a version that hides nothing."""
        self.kernel.classes[ends] = FlowClass.OBSERVED
        told = flow_report(**{"class": "observed", "sni": None, "tls_version": "TLS 1.3"})
        told = replace(told, client_port=ends[1], evidence=())
        self.observation.take_report(told, Reported(1, None))

    def say(self, payload: bytes, ends: Connection = ENDS) -> None:
        sequence = self.sequence.get(ends, 1000)
        segment = IP(src=ends[0], dst=ends[2]) / TCP(
            sport=ends[1], dport=ends[3], seq=sequence, flags="PA"
        )
        self.kernel.copies = [Copy(self.kernel.now, bytes(segment / payload)[:96])]
        self.observation.take_copies()
        self.sequence[ends] = sequence + len(payload)

    def beats(self, number: int, ends: Connection = ENDS) -> None:
        """Ping, be answered, and answer that; then wait for the next."""
        for _ in range(number):
            self.say(record(21), ends)
            self.kernel.now += MESSAGE_US
            self.say(record(69), ends)
            self.kernel.now += MESSAGE_US
            self.say(record(21) + record(40), ends)
            self.kernel.now += PERIOD - 2 * MESSAGE_US
            self.hearing.tick(self.kernel.now)
            assert self.books.writer.flush()

    def rows(self) -> list[heard.HeardRow]:
        return list(heard.recent(self.ledger, self.kernel.now))


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    life = Life(tmp_path)
    yield life
    life.ledger.close()


def test_two_beats_before_a_restart_and_two_after_it_are_four(life: Life) -> None:
    """That it named no server was said before the restart, and is a fact after it."""
    life.hello()
    life.beats(2)
    life.restart()
    assert life.observation.listing(9)[0]["reasons"] == ["no server name"]
    life.beats(1)
    assert life.found == []
    life.beats(1)
    rules = {fact.id for fact in life.found[-1].evidence}
    assert {"rhythm.stock", "rhythm.shape", "rhythm.no-name"} <= rules
    assert len(life.found[-1].facts["beats"]) == 4


def test_what_was_told_is_not_told_again(life: Life) -> None:
    life.hello()
    life.beats(6)
    told = len(life.found)
    life.restart()
    life.beats(6)
    assert told > 0
    assert len(life.found) == told


def test_a_kill_loses_no_more_than_a_quarter_of_what_was_heard(life: Life) -> None:
    life.hello()
    life.beats(30)
    before = life.rhythms.unwritten(all_of_it=True)
    bursts = [past.log.bursts for _, past in before]
    life.kill()
    (row,) = life.rows()
    assert bursts[0] - GROWN_MOST <= row.beats["bursts"] <= bursts[0]


def test_who_has_ended_is_forgotten_and_a_new_connection_of_its_ends_begins_anew(
    life: Life,
) -> None:
    life.hello()
    life.beats(3)
    life.stop()
    life.kernel.classes.clear()  # it ended while nobody listened
    life.start()
    assert len(life.rhythms) == 0
    assert life.books.writer.flush()
    assert life.rows() == []

    life.hello()
    life.beats(3)
    life.restart()
    life.hello()  # the same ends, but it says hello: another connection
    life.beats(2)
    assert [row.beats["messages"] for row in life.rows()] == [4]  # each beat has its answer


def test_an_evicted_connection_leaves_the_ledger(life: Life) -> None:
    life.hello()
    life.beats(3)
    assert len(life.rows()) == 1
    life.rhythms.forget(ENDS)
    life.kernel.now += WRITE_US
    life.hearing.tick(life.kernel.now)
    assert life.books.writer.flush()
    assert life.rows() == []


def test_a_browser_s_connection_is_not_written(life: Life) -> None:
    """Nothing can be told of it, whatever its rhythm: its hello names a known server."""
    life.kernel.classes[ENDS] = FlowClass.OBSERVED
    told = flow_report(**{"class": "observed", "sni": "example.org", "tls_version": "TLS 1.3"})
    life.observation.take_report(replace(told, evidence=()), Reported(1, None))
    life.beats(9)
    life.stop()
    life.ledger = open_ledger(life.path)
    assert life.rows() == []


def test_a_batch_is_bounded_and_takes_those_that_beat_longest(life: Life) -> None:
    life.observation = make(life.kernel, 9 * BATCH)
    life.observation.rhythms = life.rhythms
    life.hearing = Hearing(life.observation, life.rhythms)
    life.hearing.start(life.books)
    for number in range(BATCH + 10):
        life.hello((ENDS[0], number, *ENDS[2:]))
    for number in range(BATCH + 10):
        ends = (ENDS[0], number, *ENDS[2:])
        for _ in range(3 + (number >= 10)):
            life.say(record(21) + record(69), ends)
            life.kernel.now += PERIOD
    life.hearing.tick(life.kernel.now)
    assert life.books.writer.flush()
    assert {row.ends[1] for row in life.rows()} == set(range(10, BATCH + 10))
    life.kernel.now += WRITE_US
    life.hearing.tick(life.kernel.now)
    assert life.books.writer.flush()
    assert len(life.rows()) == BATCH + 10


def test_a_clock_that_was_set_leaves_no_row_of_the_old_time(life: Life) -> None:
    """Were the rows left as they are, a kill would make a gap of an hour between two beats."""
    hour = 3600 * SECOND
    life.hello()
    life.beats(2)
    life.kernel.now += hour
    for listener in (life.observation, life.hearing):
        listener.clock_set(hour)
    life.hearing.tick(life.kernel.now)
    assert life.books.writer.flush()
    life.kill()
    life.beats(2)
    assert len(life.found[-1].facts["beats"]) == 4


@pytest.mark.parametrize(
    "beats",
    [
        "{}", "[1]", "not JSON", '{"times": "x"}',
        '{"times":[5],"sent":[1],"sizes":[],"prefix":21,"bursts":1,"messages":1,"last":5}',
        '{"times":[5,-9],"sent":[],"sizes":[],"prefix":21,"bursts":1,"messages":1,"last":5}',
        '{"times":[5],"sent":[1],"sizes":[70000],"prefix":21,"bursts":1,"messages":1,"last":5}',
        '{"times":[5],"sent":[1],"sizes":[7],"prefix":3,"bursts":1,"messages":1,"last":5}',
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_is_left_out(life: Life, beats: str) -> None:
    life.hello()
    life.beats(3)
    life.books.writer.run_many("UPDATE heard SET beats = ?", [(beats,)])
    life.stop()
    life.start()
    assert len(life.rhythms) == 0
    life.beats(4)
    assert len(life.found) == 0 or life.found[-1].facts["beats"]


@given(
    st.lists(
        st.tuples(st.integers(1, 40 * SECOND), st.sampled_from([21, 28, 40, 69, 700, 16_000])),
        min_size=1,
        max_size=200,
    )
)
def test_what_is_read_back_says_the_same(steps: list[tuple[int, int]]) -> None:
    log, at = BeatLog(), 10**15
    for step, length in steps:
        at += step
        log.take(at, [SeenRecord(23, 21), SeenRecord(23, length)])
    again = BeatLog.from_dict(log.as_dict())
    assert again.as_dict() == log.as_dict()
    assert again.times == log.times
    assert again.events.times == log.events.times[-len(again.events.times) :]
