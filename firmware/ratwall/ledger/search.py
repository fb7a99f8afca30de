"""Searching flows by every column, a bounded step at a time.

Never looks at more than LOOKED flows in one call, however many there are and however few match:
what a page shows comes quickly, and says how far back was looked. The step starts from the index
that narrows most; the rest is tested row by row. Design note: the alternative is an index for each
column, which each handshake of the office would pay for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ratwall.errors import UsageError
from ratwall.ledger.queries import flows_of
from ratwall.ledger.store import Ledger

# Flows looked at in one step: half a tenth of a second where the words of a search are many.
LOOKED: Final = 10_000
# Words of one search, each looked for in twelve columns.
WORDS_LIMIT: Final = 16
DAY: Final = 86_400_000_000  # microseconds
# What is reported late, or while the clock was set, may stand that far out of order.
DISORDER: Final = DAY

Row = dict[str, Any]

# All that is searched as one text: a word has no space, so it is never found across two of them.
_ALWAYS: Final = ("f.client", "f.server", "f.server_port")
_SOMETIMES: Final = (
    *("f.sni", "f.family", "f.ja3", "f.ja4"),
    *("d.name", "d.mac", "c.subject", "c.sha1", "c.sha256"),
)
_COLUMNS: Final = (*_ALWAYS, *(f"coalesce({column}, '')" for column in _SOMETIMES))
_TEXT: Final = " || ' ' || ".join(_COLUMNS)
# What is compared as it is, by the filter's field.
_SAME: Final = (
    ("device", "f.device_id"),
    ("server", "f.server"),
    ("port", "f.server_port"),
    ("incident", "f.incident_id"),
    ("certificate", "f.certificate_id"),
    ("verdict", "f.verdict"),
    ("tls", "f.tls_version"),
    ("family", "f.family"),
)
# Columns with an index of their own, the ones that narrow most first.
_LEADS: Final = (
    ("incident", "incident_id"),
    ("server", "server"),
    ("certificate", "certificate_id"),
    ("device", "device_id"),
    ("verdict", "verdict"),
)
# Of these the ones that narrow more than a time does.
_BEFORE_TIME: Final = 3


class SearchError(UsageError):
    """A search that is not made; the text says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a flow must be like: all that is not None or empty; times are UTC microseconds.

    `words` are looked for in every column that a person would look at, `name` in the name asked
    for, `fingerprint` in JA3 and JA4; `since` and `until` are of its start, both included.
    """

    words: str = ""
    device: int | None = None
    server: str | None = None
    port: int | None = None
    name: str | None = None
    verdict: str | None = None
    score: int | None = None  # at least
    tls: str | None = None
    fingerprint: str | None = None
    family: str | None = None
    certificate: int | None = None
    incident: int | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A step of a search: rows, newest first; go on below `further`, None: there is no more.

    `back_to` is the start of the oldest flow looked at where the step ended before the rows did.
    """

    rows: list[Row]
    further: int | None
    back_to: int | None


def search(ledger: Ledger, wanted: Wanted, limit: int, before_id: int | None = None) -> Found:
    """Return the newest flows that are as wanted, `limit` at most, of the next LOOKED ones.

    SearchError if it has more than WORDS_LIMIT words; LedgerError if the ledger cannot be read.
    """
    words = wanted.words.split()
    if len(words) > WORDS_LIMIT:
        raise SearchError(f"search: at most {WORDS_LIMIT} words, found {len(words)}")
    step = _step(ledger, wanted, before_id)
    tested, values = _tests(wanted, words)
    joined = (
        "CROSS JOIN device AS d ON d.id = f.device_id "
        "LEFT JOIN certificate AS c ON c.id = f.certificate_id "
        if words
        else ""
    )
    found = ledger.tuples(
        f"SELECT f.id FROM flow AS f {step.index} {joined}"  # noqa: S608  # columns of ours
        f"WHERE {' AND '.join((*step.bounds, *tested)) or '1'} ORDER BY {step.order} LIMIT ?",
        (*step.values, *values, limit + 1),
    )
    ids = [number for (number,) in found]
    if len(ids) > limit:
        return Found(flows_of(ledger, ids[:limit]), ids[limit - 1], None)
    rows = flows_of(ledger, ids)
    if step.last is None or (wanted.since is not None and step.last[1] < wanted.since - DISORDER):
        return Found(rows, None, None)
    return Found(rows, *step.last)


@dataclass(frozen=True, slots=True)
class _Step:
    """Which flows are looked at: by which index, within which bounds, in which order.

    `last` is the id and the start of the last one, None if it is the oldest of all.
    """

    index: str
    bounds: tuple[str, ...]
    values: tuple[Any, ...]
    order: str
    last: tuple[int, int] | None


def _step(ledger: Ledger, wanted: Wanted, before_id: int | None) -> _Step:
    for key, column in _LEADS[:_BEFORE_TIME]:
        if (value := getattr(wanted, key)) is not None:
            return _by_index(ledger, column, value, before_id)
    if wanted.until is not None:
        return _by_time(ledger, wanted.until, before_id)
    for key, column in _LEADS[_BEFORE_TIME:]:
        if (value := getattr(wanted, key)) is not None:
            return _by_index(ledger, column, value, before_id)
    return _by_number(ledger, before_id)


def _by_index(ledger: Ledger, column: str, value: Any, before_id: int | None) -> _Step:
    """Look at the flows that have this value, the newest first."""
    bounds, values = [f"f.{column} = ?"], [value]
    if before_id is not None:
        bounds.append("f.id < ?")
        values.append(before_id)
    index = f"INDEXED BY flow_{column}"
    last = ledger.tuples(
        f"SELECT f.id FROM flow AS f {index} WHERE {' AND '.join(bounds)} "  # noqa: S608
        "ORDER BY f.id DESC LIMIT 1 OFFSET ?",
        (*values, LOOKED - 1),
    )
    if not last:
        return _Step(index, tuple(bounds), tuple(values), "f.id DESC", None)
    number = int(last[0][0])
    bounds.append("f.id >= ?")
    values.append(number)
    return _Step(index, tuple(bounds), tuple(values), "f.id DESC", (number, _start(ledger, number)))


def _by_number(ledger: Ledger, before_id: int | None) -> _Step:
    """Look at all flows, the newest first."""
    newest, oldest = ledger.tuples("SELECT (SELECT MAX(id) FROM flow), (SELECT MIN(id) FROM flow)")[
        0
    ]
    if newest is None:
        return _Step("NOT INDEXED", (), (), "f.id DESC", None)
    above = newest + 1 if before_id is None else min(before_id, newest + 1)
    lowest = above - LOOKED  # numbers may have gaps: so many flows at most
    bounds, values = ("f.id < ?", "f.id >= ?"), (above, lowest)
    last = None if lowest <= oldest else (lowest, _start(ledger, lowest))
    return _Step("NOT INDEXED", bounds, values, "f.id DESC", last)


def _by_time(ledger: Ledger, until: int, before_id: int | None) -> _Step:
    """Look at the flows up to a time, the newest first; the number of the last one stands for its
    time."""
    bounds, values = ["f.start <= ?"], [until]
    if before_id is not None:
        bounds.append("(f.start, f.id) < (?, ?)")
        # What is gone was the oldest, and so is all that came behind it.
        values += [_start(ledger, before_id), before_id]
    index, order = "INDEXED BY flow_start", "f.start DESC, f.id DESC"
    last = ledger.tuples(
        f"SELECT f.id, f.start FROM flow AS f {index} WHERE {' AND '.join(bounds)} "  # noqa: S608
        f"ORDER BY {order} LIMIT 1 OFFSET ?",
        (*values, LOOKED - 1),
    )
    if not last:
        return _Step(index, tuple(bounds), tuple(values), order, None)
    number, start = last[0]
    bounds.append("(f.start, f.id) >= (?, ?)")
    values += [start, number]
    return _Step(index, tuple(bounds), tuple(values), order, (number, start))


def _start(ledger: Ledger, number: int) -> int:
    """Return when a flow began, of one that is gone when the next older did; 0 without any."""
    found = ledger.tuples(
        "SELECT start FROM flow WHERE id <= ? ORDER BY id DESC LIMIT 1", (number,)
    )
    return int(found[0][0]) if found else 0


def _tests(wanted: Wanted, words: Sequence[str]) -> tuple[list[str], list[Any]]:
    """Return what each flow looked at must fulfil, and the values in it."""
    tests: list[str] = []
    values: list[Any] = []

    def test(condition: str, *given: Any) -> None:
        tests.append(condition)
        values.extend(given)

    for key, column in _SAME:
        if (value := getattr(wanted, key)) is not None:
            test(f"{column} = ?", value)
    if wanted.score is not None:
        test("f.score >= ?", wanted.score)
    if wanted.since is not None:
        test("f.start >= ?", wanted.since)
    if wanted.until is not None:
        test("f.start <= ?", wanted.until)
    if wanted.name is not None:
        # A connection that named nobody is shown by the names that its server was asked for by.
        test(
            "(instr(lower(f.sni), ?) > 0 OR f.sni IS NULL AND f.server IN "
            "(SELECT address FROM resolution WHERE instr(name, ?) > 0))",
            *(wanted.name.lower(),) * 2,
        )
    if wanted.fingerprint is not None:
        test("? IN (f.ja3, f.ja4)", wanted.fingerprint.lower())
    for word in words:
        test(f"instr(lower({_TEXT}), ?) > 0", word.lower())
    return tests, values
