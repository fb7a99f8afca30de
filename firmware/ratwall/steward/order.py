"""What the steward may be asked for: one verb and its own keys, checked to the last one.

Pure: JSON in, a frozen order out, or one line of why not. Both ends use it: the controller before
it writes the order down, the steward before it does anything. Nothing that a stranger sends ever
becomes a part of a command line: an address and a key are written into files, hours are one of
three numbers.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from ratwall.errors import UsageError
from ratwall.steward.ssh_key import read_key

LINE_LIMIT = 8_192  # bytes of an order; the longest key has 2,000
URL_LIMIT = 1_000  # characters
HOURS = (1, 4, 8)  # a look, half a day, a working day: nobody leaves a door open for longer


class OrderError(UsageError):
    """An order that is not of the agreed form; nothing was done about it."""


class Verb(StrEnum):
    """Everything that the steward does."""

    RESTART = "restart"
    POWER_OFF = "power-off"
    FACTORY_RESET = "factory-reset"
    UPDATE = "update"  # from `url`, or, without one, the file that the page has taken in
    ROLLBACK = "rollback"
    SELFTEST = "selftest"
    SUPPORT_ON = "support-on"
    SUPPORT_OFF = "support-off"
    SUPPORT_BUNDLE = "support-bundle"


@dataclass(frozen=True, slots=True)
class Order:
    """One checked order; what its verb does not take is None."""

    verb: Verb
    url: str | None = None
    hours: int | None = None
    key: str | None = None
    incidents: bool | None = None

    def words(self) -> str:
        """Return it in words for the audit trail."""
        match self.verb:
            case Verb.UPDATE:
                return f"from {self.url}" if self.url else "from an uploaded file"
            case Verb.SUPPORT_ON:
                return f"for {self.hours} h, key {read_key(self.key or '').fingerprint}"
            case Verb.SUPPORT_BUNDLE:
                return "with the newest incidents" if self.incidents else "without incidents"
            case _:
                return "asked for"

    def line(self) -> bytes:
        """Return it as it is sent."""
        filled = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(filled, separators=(",", ":")).encode() + b"\n"


def read_order(values: Mapping[str, Any]) -> Order:
    """Return what an object asks for; OrderError names the key that is wrong."""
    try:
        verb = Verb(values.get("verb", ""))
    except (ValueError, TypeError):
        raise OrderError(f"steward: verb: expected one of {', '.join(Verb)}") from None
    taken: dict[Verb, set[str]] = {
        Verb.UPDATE: {"url"},
        Verb.SUPPORT_ON: {"hours", "key"},
        Verb.SUPPORT_BUNDLE: {"incidents"},
    }
    strange = sorted(set(values) - {"verb"} - taken.get(verb, set()))
    if strange:
        raise OrderError(f"steward: {verb}: takes no {strange[0]:.40}")
    if verb is Verb.UPDATE:
        return Order(verb, url=None if values.get("url") is None else https_address(values["url"]))
    if verb is Verb.SUPPORT_ON:
        hours, key = values.get("hours"), values.get("key")
        if isinstance(hours, bool) or hours not in HOURS:
            raise OrderError(f"steward: hours: expected one of {', '.join(map(str, HOURS))}")
        if not isinstance(key, str):
            raise OrderError("steward: key: expected a public SSH key")
        return Order(verb, hours=hours, key=read_key(key).text)
    if verb is Verb.SUPPORT_BUNDLE:
        if not isinstance(values.get("incidents"), bool):
            raise OrderError("steward: incidents: expected true or false")
        return Order(verb, incidents=values["incidents"])
    return Order(verb)


def parse_order(line: bytes) -> Order:
    """Return the order in a line; OrderError if there is none."""
    if len(line) > LINE_LIMIT:
        raise OrderError(f"steward: an order has at most {LINE_LIMIT} bytes")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise OrderError("steward: expected one JSON object in a line")
    return read_order(values)


def https_address(text: object) -> str:
    """Return an https address that can be asked as it is; OrderError otherwise."""
    wrong = OrderError(
        "update: expected an address such as https://example.com/ratwall-0.2.0-rpi5.raucb"
    )
    if not isinstance(text, str) or len(text) > URL_LIMIT or not text.isascii():
        raise wrong
    if not text.isprintable() or " " in text:
        raise wrong
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme != "https" or not parts.hostname or port == 0:
        raise wrong
    if parts.username is not None or parts.password is not None:
        # It would stand in the audit trail.
        raise OrderError("update: the address must hold no user name and no password")
    return text
