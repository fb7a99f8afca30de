"""Prints for a person at a console: aligned tables, local times and sizes in plain words.

Pure text out of values. Names in the ledger were chosen by strangers (certificates, server names),
so nothing is printed that a terminal would obey.
"""

import shutil
import time
from collections.abc import Sequence
from datetime import datetime

GAP = "  "
LEAST_WIDTH = 12  # a cut column still shows an address's or a name's beginning
DAY_SECONDS = 86_400


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows under their headings, numbers to the right, the last column cut to the screen."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [
        max([len(heading), *(len(row[index]) for row in cells)])
        for index, heading in enumerate(headings)
    ]
    left = (
        shutil.get_terminal_size((120, 25)).columns
        - sum(widths[:-1])
        - len(GAP) * (len(widths) - 1)
    )
    last = max(left, LEAST_WIDTH)
    numeric = [
        bool(rows) and all(isinstance(row[index], int) for row in rows)
        for index in range(len(headings))
    ]
    lines = []
    for row in [list(headings), *cells]:
        row[-1] = row[-1] if len(row[-1]) <= last else row[-1][: last - 1] + "…"
        padded = (
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        )
        lines.append(GAP.join(padded).rstrip())
    return "\n".join(lines)


def printable(text: str) -> str:
    """Return text in which everything that a terminal would obey is replaced by a mark."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def local_time(microseconds: int | None, never: str = "-") -> str:
    """Return a UTC time as local date and minute, such as "2026-03-01 14:20"."""
    if microseconds is None:
        return never
    return datetime.fromtimestamp(microseconds / 1_000_000).strftime("%Y-%m-%d %H:%M")


def ago(microseconds: int, now: int | None = None) -> str:
    """Return how long ago a UTC time was, in its largest whole unit."""
    moment = time.time_ns() // 1000 if now is None else now
    seconds = max(0, (moment - microseconds) // 1_000_000)
    for unit, size in (("day", DAY_SECONDS), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            return f"{count(seconds // size, unit)} ago"
    return "just now"


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as "1 packet" or "12 packets"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size(number: int) -> str:
    """Return a number of bytes in megabytes with one decimal."""
    return f"{number / 1_000_000:.1f} MB"


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else printable(str(value))
