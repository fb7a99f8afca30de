"""Answers of the API: JSON with a tag, in pages, with times that programs can read.

Reads nothing but the request. `ETag` is the hash of the body, so whoever polls and sends it back
(`If-None-Match`) gets 304 and no body while nothing changed.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from werkzeug.wrappers import Response as BaseResponse

from ratwall_web.api.problem import ProblemError
from ratwall_web.numbers import row_number
from ratwall_web.records import Row

TAG_DIGITS = 32
LIMIT_LOW, LIMIT_HIGH = 1, 200  # 200 connections are some 100 KB
LIMIT_DEFAULT = 50
LIMIT_DIGITS = 3
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A program keeps what it got, and asks each time whether it still holds.
CACHING = "private, no-cache"


def instant(moment: int | None) -> str | None:
    """Return UTC microseconds as RFC 3339 has it: `2026-11-24T18:00:00.000000Z`."""
    if moment is None:
        return None
    try:
        when = EPOCH + timedelta(microseconds=moment)
    except OverflowError:  # a clock that was very wrong: no year has that many digits
        return None
    return when.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def document(value: Any, status: int = 200, tag: str | None = None) -> BaseResponse:
    """Return a JSON document; 304 if the client has the same one. `tag` is its own, by default the
    hash of the body."""
    body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    return tagged(Response(body, status=status, content_type="application/json"), body, tag)


def tagged(response: Response, body: bytes, tag: str | None = None) -> BaseResponse:
    """Return an answer with its tag, or 304 if the client has it."""
    response.headers["Cache-Control"] = CACHING
    response.vary.add("Authorization")
    if request.method in ("GET", "HEAD"):
        response.set_etag(tag or hashlib.sha256(body).hexdigest()[:TAG_DIGITS])
        return response.make_conditional(request)
    return response


def take_parameters(*known: str) -> None:
    """ProblemError if the query has a parameter that is not known, or one twice."""
    for name in request.args:
        if name not in known:
            expected = ", ".join(known) or "none"
            raise bad(f"{name!r:.60}: no such parameter; expected {expected}")
        if len(request.args.getlist(name)) > 1:
            raise bad(f"{name}: given more than once")


def page(read: Callable[[int, int | None], list[Row]], shape: Callable[[Row], Row]) -> BaseResponse:
    """Return a page of a list, newest first; `read` gets a limit and the id to stay below."""

    def step(limit: int, before: int | None) -> tuple[list[Row], int | None]:
        rows = read(limit + 1, before)
        shown = rows[:limit]
        return shown, int(shown[-1]["id"]) if len(rows) > limit else None

    return steps(step, shape)


def steps(
    read: Callable[[int, int | None], tuple[list[Row], int | None]], shape: Callable[[Row], Row]
) -> BaseResponse:
    """Return a step of a search, newest first: `read` also gives the number to go on below.

    A step may have fewer rows than the limit, or none, and still be followed by others.
    """
    shown, further = read(_limit(), number("cursor"))
    following = None if further is None else str(further)
    answer = document({"items": [shape(row) for row in shown], "next": following})
    if following is not None:
        query = urlencode({**request.args, "cursor": following})
        answer.headers["Link"] = f'<{request.path}?{query}>; rel="next"'
    return answer


def number(name: str) -> int | None:
    """Return a row number from the query, None if there is none."""
    text = request.args.get(name)
    if text is None:
        return None
    try:
        return row_number(text)
    except ValueError:
        raise bad(f"{name}: expected a number that an answer gave, found {text!r:.60}") from None


def word(name: str, words: tuple[str, ...]) -> str | None:
    """Return one of `words` from the query, None if there is none."""
    text = request.args.get(name)
    if text is not None and text not in words:
        raise bad(f"{name}: expected one of {', '.join(words)}, found {text!r:.60}")
    return text


def text(name: str, most: int) -> str | None:
    """Return a text of at most `most` characters from the query, None if there is none."""
    value = request.args.get(name)
    if value is not None and len(value) > most:
        raise bad(f"{name}: expected at most {most} characters, found {len(value)}")
    return value


def bad(detail: str) -> ProblemError:
    """Return the refusal of a query that makes no sense."""
    return ProblemError(400, "bad-request", detail)


def missing() -> ProblemError:
    """Return the refusal of a number that no row has."""
    return ProblemError(404, "not-found", "There is no such entry, or it is no longer kept.")


def _limit() -> int:
    given = request.args.get("limit")
    if given is None:
        return LIMIT_DEFAULT
    if given.isascii() and given.isdecimal() and len(given) <= LIMIT_DIGITS:
        limit = int(given)
        if LIMIT_LOW <= limit <= LIMIT_HIGH:
            return limit
    raise bad(f"limit: expected a number from {LIMIT_LOW} to {LIMIT_HIGH}, found {given!r:.60}")
