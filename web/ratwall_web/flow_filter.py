"""What somebody who searches connections has filled in, read field by field.

Pure. A field that makes no sense gets a sentence of its own, and nothing is searched: half a filter
shows what was not asked for. Times without a zone are on the box's clock.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ratwall.address import PORT_LIMIT
from ratwall.ledger.search import WORDS_LIMIT, Wanted
from ratwall_web.language import _
from ratwall_web.numbers import row_number

VERDICTS = ("clean", "watch", "alert", "block")
TLS_VERSIONS = ("TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3")
SCORE_LIMIT = 100
NUMBER_DIGITS = 5  # of a port; no number here has more
# A host name has at most 253 characters (RFC 1035 §2.3.4), a fingerprint 64.
TEXT_MOST = 253
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIELDS = (
    *("q", "device", "server", "port", "name", "verdict", "score", "tls", "fingerprint"),
    *("family", "certificate", "incident", "since", "until"),
)
# What the form keeps shut until somebody opens it.
MORE = tuple(field for field in FIELDS if field not in ("q", "verdict"))


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted, what was typed, and what is wrong with it by field."""

    wanted: Wanted
    typed: dict[str, str]
    problems: dict[str, str]

    @property
    def more(self) -> bool:
        """Tell whether a field is filled in that the form keeps shut."""
        return any(field in self.typed for field in MORE)


def read(given: Mapping[str, str]) -> Asked:
    """Read the fields of a form or a query; empty ones are left out."""
    typed = {field: text for field in FIELDS if (text := given.get(field, "").strip()[:TEXT_MOST])}
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field, text in typed.items():
        try:
            key, value = _READERS[field](text)
        except ValueError as error:
            problems[field] = str(error)
        else:
            values[key] = value
    wanted = Wanted(**values)
    if wanted.since is not None and wanted.until is not None and wanted.since > wanted.until:
        problems["until"] = _("This is before the start: swap the two times.")
    return Asked(wanted, typed, problems)


def _words(text: str) -> tuple[str, str]:
    if len(text.split()) > WORDS_LIMIT:
        raise ValueError(
            _("Search for at most %(number)s words at once: leave some out.", number=WORDS_LIMIT)
        )
    return "words", text


def _text(key: str) -> Callable[[str], tuple[str, str]]:
    return lambda text: (key, text)


def _choice(key: str, words: tuple[str, ...]) -> Callable[[str], tuple[str, str]]:
    def reader(text: str) -> tuple[str, str]:
        if text not in words:
            raise ValueError(_("Choose one of: %(words)s.", words=", ".join(words)))
        return key, text

    return reader


def _row(key: str) -> Callable[[str], tuple[str, int]]:
    def reader(text: str) -> tuple[str, int]:
        try:
            return key, row_number(text)
        except ValueError:
            raise ValueError(_("Give the number that a page of this box shows.")) from None

    return reader


def _number(key: str, low: int, high: int) -> Callable[[str], tuple[str, int]]:
    def reader(text: str) -> tuple[str, int]:
        right = text.isascii() and text.isdecimal() and len(text) <= NUMBER_DIGITS
        if not right or not low <= int(text) <= high:
            raise ValueError(_("Give a whole number from %(low)s to %(high)s.", low=low, high=high))
        return key, int(text)

    return reader


def _server(text: str) -> tuple[str, str]:
    try:
        return "server", str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(
            _("Give a whole address, such as 203.0.113.7; names go into the field for names.")
        ) from None


def _time(key: str) -> Callable[[str], tuple[str, int]]:
    def reader(text: str) -> tuple[str, int]:
        try:
            moment = datetime.fromisoformat(text).astimezone()
            return key, (moment - EPOCH) // timedelta(microseconds=1)
        except (ValueError, OverflowError, OSError):
            raise ValueError(_("Give a day and a time, such as 2026-11-24 18:00.")) from None

    return reader


_READERS: dict[str, Callable[[str], tuple[str, Any]]] = {
    "q": _words,
    "device": _row("device"),
    "server": _server,
    "port": _number("port", 1, PORT_LIMIT),
    "name": _text("name"),
    "verdict": _choice("verdict", VERDICTS),
    "score": _number("score", 0, SCORE_LIMIT),
    "tls": _choice("tls", TLS_VERSIONS),
    "fingerprint": _text("fingerprint"),
    "family": _text("family"),
    "certificate": _row("certificate"),
    "incident": _row("incident"),
    "since": _time("since"),
    "until": _time("until"),
}
