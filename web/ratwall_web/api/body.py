"""What programs send: one small JSON object, checked to the last key before anything is done.

Never acts. The types are read by the controller's own `Fields`, so that both say the same of what
is wrong; the controller checks everything once more.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from flask import request

from ratwall.address import PORT_LIMIT
from ratwall.controller.messages import (
    ALLOW_SECONDS_HIGH,
    ALLOW_SECONDS_LOW,
    SHA256_LENGTH,
    TEXT_LIMIT,
    Fields,
    MessageError,
    is_sha256,
)
from ratwall.settings.schema import (
    BLOCK_SECONDS_HIGH,
    BLOCK_SECONDS_LOW,
    PAUSE_SECONDS_HIGH,
    PAUSE_SECONDS_LOW,
)
from ratwall_web.api.problem import ProblemError
from ratwall_web.numbers import ROW_LIMIT

T = TypeVar("T")

BODY_LIMIT = 8 * 1024  # bytes: the longest body has a reason of 500 characters and little else
REASON_LIMIT = 500  # as the controller's
REASON = "by the API"

BLOCK_SPAN = (BLOCK_SECONDS_LOW, BLOCK_SECONDS_HIGH)
ALLOW_SPAN = (ALLOW_SECONDS_LOW, ALLOW_SECONDS_HIGH)
PAUSE_SPAN = (PAUSE_SECONDS_LOW, PAUSE_SECONDS_HIGH)


class Body:
    """The object of one request; each reader raises ProblemError in words."""

    def __init__(self, *known: str) -> None:
        values = read_object()
        strange = sorted(set(values) - set(known))
        if strange:
            expected = ", ".join(known) or "none"
            raise _wrong(f"{strange[0]!r:.60}: no such key; expected {expected}")
        self._fields = Fields(values, "body")

    def address(self, key: str) -> str:
        """Return an IP address."""
        return self._taken(self._fields.address, key)

    def optional_address(self, key: str) -> str | None:
        """Return an IP address, None for none."""
        return self._taken(self._fields.optional_address, key)

    def text(self, key: str, most: int = TEXT_LIMIT) -> str:
        """Return a text of at most `most` characters."""
        return self._taken(self._fields.text, key, most)

    def port(self, key: str = "server_port") -> int | None:
        """Return a port, None for none."""
        return self._taken(self._fields.optional_integer, key, 1, PORT_LIMIT)

    def incident(self) -> int | None:
        """Return the number of an incident, None for none."""
        return self._taken(self._fields.optional_integer, "incident", 1, ROW_LIMIT)

    def seconds(self, span: tuple[int, int]) -> int:
        """Return how long."""
        return self._taken(self._fields.integer, "seconds", *span)

    def optional_seconds(self, span: tuple[int, int]) -> int | None:
        """Return how long, None if that is left to the box, or for ever."""
        return self._taken(self._fields.optional_integer, "seconds", *span)

    def certificate(self) -> str | None:
        """Return a certificate's SHA-256, None for none."""
        key = "certificate_sha256"
        text = self._taken(self._fields.optional_text, key, SHA256_LENGTH)
        if text is not None and not is_sha256(text):
            raise _wrong(f"body: {key}: expected {SHA256_LENGTH} hexadecimal digits")
        return None if text is None else text.lower()

    def reason(self) -> str:
        """Return why, for the audit trail."""
        text = self._taken(self._fields.optional_text, "reason", REASON_LIMIT)
        return " ".join((text or "").split()) or REASON

    @staticmethod
    def _taken(read: Callable[..., T], key: str, *limits: int) -> T:
        try:
            return read(key, *limits)
        except MessageError as error:
            raise _wrong(str(error)) from error


def read_object() -> dict[str, Any]:
    """Return the object of the request; ProblemError if it is none."""
    data = request.get_data()
    if not data:
        return {}
    if len(data) > BODY_LIMIT:
        raise ProblemError(
            413, "body-too-large", f"body: expected at most {BODY_LIMIT} bytes, found {len(data)}"
        )
    if request.mimetype != "application/json":
        raise ProblemError(415, "not-json", "Send JSON, as Content-Type: application/json.")
    try:
        values = json.loads(data, parse_float=_number, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ProblemError(400, "bad-request", "body: not JSON") from None
    if not isinstance(values, dict):
        raise _wrong("body: expected a JSON object")
    return values


def _number(text: str) -> int | float:
    """Return `60.0` as 60: in JSON both are the same number."""
    value = float(text)
    return int(value) if value.is_integer() else value


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _wrong(detail: str) -> ProblemError:
    return ProblemError(422, "invalid", detail)
