"""Row numbers in addresses: whatever a browser sends, only what a row can have reaches the ledger.

Never says why not: a number that no row can have is a page that does not exist.
"""

from typing import Any

from werkzeug.routing import IntegerConverter, Map

# SQLite's integers end here; Python's do not, and the ledger would raise OverflowError beyond.
ROW_LIMIT = 2**63 - 1
ROW_DIGITS = len(str(ROW_LIMIT))


class RowNumber(IntegerConverter):
    """`<int:…>` of every route: from 0 to ROW_LIMIT, anything else is "404 Not Found"."""

    # Python converts no text of more than 4,300 digits: such a one must not get as far.
    regex = rf"[0-9]{{1,{ROW_DIGITS}}}"

    def __init__(self, map: Map, *args: Any, **kwargs: Any) -> None:
        super().__init__(map, *args, **{"max": ROW_LIMIT, **kwargs})


def row_number(text: str) -> int:
    """Return the row number in a query's value; ValueError if no row can have it."""
    if not text.isascii() or not text.isdecimal() or len(text) > ROW_DIGITS:
        raise ValueError("not a row number")
    number = int(text)
    if number > ROW_LIMIT:
        raise ValueError("not a row number")
    return number
