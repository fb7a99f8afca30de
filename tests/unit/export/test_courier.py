"""At least once, in order, not too fast: whatever the receiver and the ledger do."""

from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ratwall.export.courier import (
    BATCH,
    FIRST_RETRY_SECONDS,
    LAST_RETRY_SECONDS,
    LOOK_SECONDS,
    PAUSE_SECONDS,
    Courier,
    DeliveryError,
)
from ratwall.export.cursor import FILE_LIMIT, Cursor
from ratwall.export.records import Record
from ratwall.export.source import Batch, Look, Position
from ratwall.ledger.store import LedgerError
from unit.export.conftest import record

NAME = "a"


class Office:
    """A journal, a receiver that may be down, and a disk with a cursor: all in memory."""

    def __init__(self, settle_seconds: float) -> None:
        self.where, self.settle_seconds = "a receiver", settle_seconds
        self.happened = 0
        self.got: list[int] = []  # what the receiver has for good
        self.under_way: list[int] = []  # lost when the connection breaks
        self.down = self.locked = False
        self.now = 0.0
        self.kept: Position | None = Position(NAME, 0)
        self.restart()

    def restart(self) -> None:
        self.courier = Courier(self, self.read, self.kept, self.keep, lambda: int(self.now))

    def keep(self, position: Position) -> None:
        self.kept = position

    def read(self, told: Position | None, handed: Position | None, limit: int) -> Look:
        if self.locked:
            raise LedgerError("the ledger is locked")
        begin = told or Position(NAME, 0)
        here = handed or begin
        numbers = range(here.sequence + 1, min(self.happened, here.sequence + limit) + 1)
        position = Position(NAME, numbers[-1] if numbers else here.sequence)
        records = tuple(record(sequence=number) for number in numbers)
        return Look(begin, here, Batch(records, position), self.happened - here.sequence)

    def deliver(self, records: Sequence[Record]) -> None:
        if self.down:
            raise DeliveryError("no route to host")
        self.under_way += [each.sequence for each in records]

    def check(self) -> bool:
        if self.down and self.under_way:
            raise DeliveryError("the connection broke")
        self.got += self.under_way
        self.under_way = []
        return True

    def close(self) -> None:
        self.under_way = []

    def turn(self) -> float:
        wait = self.courier.turn(self.now)
        self.now += wait
        return wait


STEPS = st.lists(
    st.sampled_from(["happen", "burst", "turn", "turn", "down", "up", "lock", "unlock", "restart"]),
    min_size=20,  # shorter stories seldom break a connection at the one moment that matters
    max_size=60,
)


@settings(max_examples=120, deadline=None)
@given(STEPS, st.sampled_from([0.0, 2.0]))
def test_nothing_is_lost_and_the_order_is_kept(steps: list[str], settle_seconds: float) -> None:
    office = Office(settle_seconds)
    for step in steps:
        match step:
            case "happen":
                office.happened += 1
            case "burst":
                office.happened += BATCH + 7
            case "turn":
                office.turn()
            case "down" | "up":
                office.down = step == "down"
            case "lock" | "unlock":
                office.locked = step == "lock"
            case "restart":
                office.close()
                office.restart()
    office.down = office.locked = False
    for _ in range(200):
        office.turn()
    firsts = list(dict.fromkeys(office.got))
    assert firsts == list(range(1, office.happened + 1))
    assert office.kept == Position(NAME, office.happened)
    assert office.courier.facts.error is None and office.courier.facts.backlog == 0


def test_a_receiver_that_is_down_is_tried_less_and_less_often_up_to_a_minute() -> None:
    office = Office(0.0)
    office.happened, office.down = 1, True
    waits = [office.turn() for _ in range(9)]
    assert waits[0] == FIRST_RETRY_SECONDS and waits[-1] == LAST_RETRY_SECONDS
    assert waits == sorted(waits)
    assert office.courier.facts.error == "no route to host"
    assert office.courier.facts.error_since == 0
    office.down = False
    office.turn()
    assert office.courier.facts.error is None


def test_a_backlog_is_caught_up_at_a_bounded_rate() -> None:
    office = Office(0.0)
    office.happened = 10 * BATCH
    assert [office.turn() for _ in range(10)] == [PAUSE_SECONDS] * 10
    assert office.turn() == LOOK_SECONDS
    assert len(office.got) / (10 * PAUSE_SECONDS) <= 200


def test_a_stream_that_breaks_at_once_is_told_again() -> None:
    """Its kernel had taken the records; its program had not read them."""
    office = Office(2.0)
    office.happened = 3
    office.turn()
    assert office.under_way == [1, 2, 3] and office.kept == Position(NAME, 0)
    office.down = True
    office.turn()
    office.down = False
    for _ in range(10):
        office.turn()
    assert office.got == [1, 2, 3]
    assert office.courier.facts.sent == 3


def test_a_cursor_survives_and_a_broken_one_is_none(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "syslog.json")
    assert cursor.load() is None
    cursor.keep(Position(NAME, 7))
    assert cursor.load() == Position(NAME, 7)
    for text in ("", "[]", '{"ledger": 1, "sequence": 1}', '{"ledger": "a", "sequence": -1}'):
        (tmp_path / "syslog.json").write_text(text)
        assert cursor.load() is None
    (tmp_path / "syslog.json").write_text("[" * FILE_LIMIT)
    assert cursor.load() is None
