"""Connections as a file to take away: CSV for a table program, JSON lines for others.

Bounded in rows and in what is looked at; made a step at a time, so that no file is ever whole in
memory. What a stranger wrote (names, certificates) never becomes a formula of a table program.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from ratwall.ledger.search import Found
from ratwall_web.records import Row

ROWS_MOST = 5_000  # some 2 MB: what a table program opens without thinking
ROWS_EACH = 200  # read and written at a time
STEPS_MOST = 50  # of a search: a million connections, some seconds
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is run by table programs
COLUMNS = (
    *("start", "device", "client", "client_port", "server", "server_port", "name", "tls"),
    *("ja3", "ja4", "verdict", "score", "family", "certificate_subject", "certificate_sha256"),
)

Shape = Callable[[Row], Row]
Read = Callable[[int, int | None], Found]  # at most so many rows, below this number


def rows(read: Read) -> Iterator[Row]:
    """Yield connections, newest first, until a bound is reached or there are no more."""
    left, before = ROWS_MOST, None
    for _ in range(STEPS_MOST):
        found = read(min(ROWS_EACH, left), before)
        yield from found.rows
        left -= len(found.rows)
        before = found.further
        if not left or before is None:
            return


def as_csv(read: Read, shape: Shape) -> Iterator[str]:
    """Yield the lines of a CSV file (RFC 4180)."""
    yield _line(COLUMNS)
    for row in rows(read):
        yield _line([_cell(value) for value in _columns(shape(row)).values()])


def as_json_lines(read: Read, shape: Shape) -> Iterator[str]:
    """Yield a JSON object a line."""
    for row in rows(read):
        yield json.dumps(shape(row), separators=(",", ":"), allow_nan=False) + "\n"


def _columns(flow: Row) -> Row:
    certificate = flow["certificate"] or {}
    return {
        "start": flow["start"],
        "device": flow["device"]["name"],
        **{key: flow[key] for key in ("client", "client_port", "server", "server_port")},
        "name": flow["sni"] or next(iter(flow["names"]), None),
        "tls": flow["tls_version"],
        **{key: flow[key] for key in ("ja3", "ja4", "verdict", "score", "family")},
        "certificate_subject": certificate.get("subject"),
        "certificate_sha256": certificate.get("sha256"),
    }


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _line(cells: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
