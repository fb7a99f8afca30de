"""Thirty local days out of hourly counts."""

import os
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from ratwall.ledger.days import DAYS, days
from ratwall.ledger.store import Ledger
from ratwall.ledger.writer import HOUR, LedgerWriter

SECOND = 1_000_000


@pytest.fixture
def berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def at(*moment: int) -> int:
    return int(datetime(*moment).timestamp()) * SECOND  # type: ignore[arg-type]


@pytest.mark.usefixtures("berlin")
def test_an_hour_counts_for_the_local_day_it_began_in(ledger: Ledger, writer: LedgerWriter) -> None:
    now = at(2026, 11, 24, 21, 30)
    writer.count(at(2026, 11, 24, 0, 10), "inspected", 5)  # 23:10 of the day before in UTC
    writer.count(now, "inspected", 2)
    writer.count(at(2026, 11, 23, 23, 59), "blocked", 1)
    writer.count(at(2026, 10, 26, 0, 0), "alerts", 7)  # the first of the thirty
    writer.count(at(2026, 10, 25, 23, 0), "alerts", 9)  # one day too old
    writer.count(at(2026, 11, 26, 9, 0), "alerts", 11)  # by a clock that was ahead
    writer.flush()
    found = days(ledger, now)
    assert len(found) == DAYS
    assert [day["inspected"] for day in found[-2:]] == [0, 7]
    assert [day["blocked"] for day in found[-2:]] == [1, 0]
    assert [sum(day["alerts"] for day in found), found[0]["alerts"]] == [7, 7]
    assert found[-1]["day"] == at(2026, 11, 24)


@pytest.mark.usefixtures("berlin")
def test_a_day_on_which_the_clocks_are_set_is_one_day(ledger: Ledger, writer: LedgerWriter) -> None:
    first = at(2026, 10, 25)
    for hour in range(25):
        writer.count(first + hour * HOUR, "inspected")
    writer.flush()
    found = {day["day"]: day["inspected"] for day in days(ledger, at(2026, 10, 27, 8))}
    assert (found[first], found[at(2026, 10, 26)]) == (25, 0)


def test_an_empty_ledger_has_thirty_empty_days(ledger: Ledger, now: int) -> None:
    assert [day["inspected"] for day in days(ledger, now)] == [0] * DAYS
