"""`boxes.csv`: one line, one box, one seed. All are checked before the first card is asked for.

Pure. What all boxes share stands in one seed file; a line names the box and says what is its own,
in columns called like the keys of the seed. The product's own reader (ratwall.seed) judges each
seed as the box will. No message repeats a cell that may hold a secret.
"""

import csv
import io
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ratwall.errors import UsageError
from ratwall.seed.document import NAME_LENGTH, Seed, parse_seed
from ratwall.settings.edit import write

CSV_SIZE_LIMIT = 1024 * 1024  # a thousand boxes with hash and token need half of it
BOX_COUNT_LIMIT = 1000
NAME_COLUMN = "box"
# What may differ from box to box; the rest of a seed is the same for all.
COLUMNS = (
    "site.name",
    "admin.password_hash",
    "enrolment.token",
    "network.mode",
    "network.lan",
    "network.wan",
)


@dataclass(frozen=True, slots=True)
class Box:
    """A box to be, and the bytes of its seed; never shown, never kept."""

    name: str
    seed: bytes

    def __repr__(self) -> str:
        return f"Box({self.name!r})"


def check_seed(raw: bytes, source: str) -> Seed:
    """Return the seed as the box will read it; UsageError says what is wrong, without secrets."""
    return parse_seed(raw, source)


def read_boxes(raw: bytes, source: str, common: bytes) -> list[Box]:
    """Return the boxes of a CSV file in order; `common` is the seed that all start from."""
    rows = _rows(raw, source)
    header = [cell.strip() for cell in rows[0][1]]
    unknown = [name for name in header if name not in (NAME_COLUMN, *COLUMNS)]
    if NAME_COLUMN not in header or unknown or len(set(header)) != len(header):
        raise UsageError(
            f"{source}: first line: expected the columns {NAME_COLUMN} and any of "
            f"{', '.join(COLUMNS)}, each once, found {', '.join(header) or 'nothing'}"
        )
    shared = tomllib.loads(common.decode("utf-8-sig")) if common else {}
    boxes: list[Box] = []
    names: dict[str, int] = {}
    tokens: dict[str, int] = {}
    for number, cells in rows[1:]:
        where = f"{source}: line {number}"
        if len(cells) != len(header):
            raise UsageError(
                f"{where}: {len(cells)} cells, expected {len(header)} as in the first line; a "
                'password_hash has commas in it and stands in quotes: "$argon2id$…"'
            )
        said = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        name = said.pop(NAME_COLUMN)
        _check_name(name, where)
        document = _merge(shared, said, where)
        seed = write(document).encode()
        token = check_seed(seed, where).token
        _note(names, name, number, f"{where}: box {name!r}")
        if token is not None:
            _note(tokens, token, number, f"{where}: the enrolment token")
        boxes.append(Box(name, seed))
    if not boxes:
        raise UsageError(f"{source}: no box in it: one line for each, below the first line")
    return boxes


def _rows(raw: bytes, source: str) -> list[tuple[int, list[str]]]:
    """Return the lines that say something, with their numbers."""
    if len(raw) > CSV_SIZE_LIMIT:
        raise UsageError(f"{source}: more than {CSV_SIZE_LIMIT} bytes: not a list of boxes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{source}: not UTF-8 text at byte {error.start}; save it as 'CSV UTF-8'"
        ) from error
    # Where the comma is for decimals, spreadsheets write semicolons.
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, cells))
            if len(rows) > BOX_COUNT_LIMIT + 1:
                raise UsageError(f"{source}: more than {BOX_COUNT_LIMIT} boxes: make two lists")
    except csv.Error as error:
        raise UsageError(f"{source}: line {reader.line_num}: not CSV: {error}") from error
    if not rows:
        raise UsageError(f"{source}: empty; the first line names the columns")
    return rows


def _check_name(name: str, where: str) -> None:
    if not 0 < len(name) <= NAME_LENGTH or not name.isprintable():
        raise UsageError(
            f"{where}: {NAME_COLUMN}: expected 1 to {NAME_LENGTH} printable characters"
        )


def _merge(shared: dict[str, Any], said: dict[str, str], where: str) -> dict[str, Any]:
    document = dict(shared)
    for column, cell in said.items():
        if not cell:  # an empty cell says nothing
            continue
        section, _, key = column.partition(".")
        document[section] = {**document.get(section, {}), key: cell}
    if not document:
        raise UsageError(f"{where}: it says nothing but the name, and there is no --seed")
    return document


def _note(seen: dict[str, int], value: str, number: int, what: str) -> None:
    if value in seen:
        raise UsageError(f"{what} is in line {seen[value]} as well; each box has its own")
    seen[value] = number


def left(boxes: Sequence[Box], done: Sequence[str]) -> list[Box]:
    """Return the boxes that have no card yet, in order."""
    return [box for box in boxes if box.name not in done]
