"""How values become text on a page; what came over the wire is hostile until it has been here.

Escaping is Jinja's work and always on. What escaping does not stop, `clean` does, for every value
that any template prints: characters that turn the direction of text or move the cursor are made
visible, and text of any length is cut.
"""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from markupsafe import Markup

from ratwall.address import place
from ratwall_web import amounts, wording
from ratwall_web.language import _, decimal, grouped, language, ngettext
from ratwall_web.records import now_us
from ratwall_web.told import told

# No label on a page is longer; a certificate subject of 10,000 characters is an attack on the eye.
TEXT_LIMIT = 600
# Control, format (direction overrides, zero width), line ends, and code points without meaning.
INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Co", "Cn", "Cs"})
TECHNIQUE = re.compile(r"T[0-9]{4}(\.[0-9]{3})?")
MICROSECONDS = 1_000_000
MINUTE, HOUR, DAY = 60, 3600, 86400


def install(app: Flask) -> None:
    """Make the filters known to every template, and `clean` the last step of every value."""
    app.jinja_env.finalize = clean
    app.jinja_env.filters.update(
        attack=attack,
        brief=brief,
        bytes=amounts.of_bytes,
        rate=amounts.of_rate,
        clock=clock,
        decimal=decimal,
        endpoint=endpoint,
        grouped=grouped,
        lines=lines,
        person=person,
        span=span,
        told=told,
    )
    app.jinja_env.tests["later"] = is_later
    app.jinja_env.globals["wording"] = wording


def clean(value: Any) -> Any:
    """Return text without invisible or direction-changing characters, cut at TEXT_LIMIT.

    Markup made by our own templates passes as it is; None becomes a dash.
    """
    if value is None:
        return "\N{EN DASH}"
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return brief(value, TEXT_LIMIT)


def brief(value: str, limit: int = 80) -> str:
    """Return at most `limit` characters of `value`, and say how many there were."""
    cut = value[:limit]
    shown = "".join(map(_visible, cut)) if not cut.isascii() or not cut.isprintable() else cut
    if len(value) <= limit:
        return shown
    length = _("(%(number)s characters)", number=grouped(len(value)))
    return f"{shown}\N{HORIZONTAL ELLIPSIS} {length}"


def clock(moment: int | None) -> Markup | None:
    """Return UTC microseconds as a `time` element; the page's script turns it into local time."""
    if moment is None:
        return None
    when = datetime.fromtimestamp(moment / MICROSECONDS, UTC)
    machine = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    pattern = "%d.%m.%Y %H:%M UTC" if language() == "de" else "%d %b %Y %H:%M UTC"
    return Markup('<time datetime="{}">{}</time>').format(machine, when.strftime(pattern))


def is_later(moment: int | None) -> bool:
    """Tell whether a time in UTC microseconds is still to come; None is not."""
    return moment is not None and moment > now_us()


def endpoint(server: str, port: int | None = None) -> str:
    """Return `203.0.113.7:6606`, or `[2001:db8::7]:6606`."""
    if port is None:
        return server
    return place(server, port)


def lines(value: str) -> Markup:
    """Return a text of several lines, whole, for a field in which it is edited."""
    return Markup("\n").join(brief(line, len(line)) for line in value.split("\n"))


def attack(technique: str) -> str | None:
    """Return where MITRE describes a technique of ATT&CK, None of what is none."""
    if not TECHNIQUE.fullmatch(technique):
        return None
    return f"https://attack.mitre.org/techniques/{technique.replace('.', '/')}/"


def person(device: dict[str, Any] | None) -> str:
    """Return how people know a device: its name, else its address."""
    if device is None:
        return _("An unknown device")
    return str(device.get("name") or device.get("address") or device.get("mac") or "?")


def span(seconds: float) -> str:
    """Return a length of time in words, rounded up: `4 minutes`."""
    if seconds > DAY:
        days = _whole(seconds, DAY)
        return ngettext("%(num)s day", "%(num)s days", days, num=days)
    if seconds > HOUR:
        hours = _whole(seconds, HOUR)
        return ngettext("%(num)s hour", "%(num)s hours", hours, num=hours)
    minutes = _whole(seconds, MINUTE)
    return ngettext("%(num)s minute", "%(num)s minutes", minutes, num=minutes)


def _whole(seconds: float, size: int) -> int:
    return -(-int(seconds + 0.999) // size)


def _visible(char: str) -> str:
    if unicodedata.category(char) in INVISIBLE:
        return f"\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}U+{ord(char):04X}\u203a"
    return char
