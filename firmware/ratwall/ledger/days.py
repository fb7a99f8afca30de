"""The last thirty days, from the hourly counts alone: never from connections or incidents.

Never writes. 720 rows at most, found by their key, so it costs the same however large the ledger
is. A day is a local one, as people count: one on which the clocks are set has 23 hours, or 25.
"""

from datetime import date, datetime, timedelta
from typing import Any

from ratwall.ledger.models import HourlyRollup
from ratwall.ledger.store import Ledger

DAYS = 30
SECOND = 1_000_000  # microseconds
COUNTS = ("inspected", "blocked", "would_block", "alerts", "uninspected")

Row = dict[str, Any]


def days(ledger: Ledger, now: int) -> list[Row]:
    """Return the last DAYS local days, oldest first, today last, days without traffic included.

    `day` is when it began, in UTC microseconds; LedgerError if the ledger cannot be read.
    """
    today = datetime.fromtimestamp(now // SECOND).date()
    first = today - timedelta(days=DAYS - 1)
    counted = {first + timedelta(days=number): dict.fromkeys(COUNTS, 0) for number in range(DAYS)}
    for row in ledger.rows(HourlyRollup.select().where(HourlyRollup.hour >= _began(first))):
        day = datetime.fromtimestamp(row["hour"] // SECOND).date()
        if day in counted:  # a clock that was ahead has left hours of days to come
            for name in COUNTS:
                counted[day][name] += row[name]
    return [{"day": _began(day), **counts} for day, counts in counted.items()]


def _began(day: date) -> int:
    return int(datetime(day.year, day.month, day.day).timestamp()) * SECOND
