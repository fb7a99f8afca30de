"""The support bundle: one zip of texts, each bounded and each without secrets.

Pure but for the clock that is passed in: it is given what to ask, asks it, and says in the first
file what is in it. A part that cannot be had is a sentence in the zip, never a failure.
"""

import io
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ratwall.errors import RatwallError
from ratwall.support.redact import Redaction

PART_LIMIT = 2 << 20  # bytes of one part before it is packed: some 20,000 lines of a log
WHOLE_SECONDS = 60.0  # what has not been asked by then is left out
CONTENTS = "README.txt"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the bundle: its name, what it says in plain words, and where it comes from."""

    name: str
    about: str
    read: Callable[[], str]
    # Names of servers and devices stand in it: only if whoever makes the bundle wants that.
    traffic: bool = False


def chosen(parts: Sequence[Part], *, traffic: bool) -> list[Part]:
    """Return the parts that go in."""
    return [part for part in parts if traffic or not part.traffic]


def make(
    parts: Sequence[Part],
    redaction: Redaction,
    now: datetime,
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """Return the zip; it takes about WHOLE_SECONDS at most, since each part has a bound too."""
    deadline = clock() + WHOLE_SECONDS
    texts = [(part, redaction.text(_read(part, deadline, clock))) for part in parts]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        moment = now.astimezone(UTC)
        for name, text in [
            (CONTENTS, _contents(parts, moment)),
            *((part.name, text) for part, text in texts),
        ]:
            entry = zipfile.ZipInfo(name, moment.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, text)
    return target.getvalue()


def _read(part: Part, deadline: float, clock: Callable[[], float]) -> str:
    if clock() > deadline:
        return "left out: the box was too slow to answer\n"
    try:
        text = part.read()
    except (RatwallError, OSError, ValueError) as error:
        return f"could not be had: {error}\n"
    raw = text.encode(errors="replace")
    if len(raw) <= PART_LIMIT:
        return text
    # The end of a log says more than its beginning.
    return f"(the first {len(raw) - PART_LIMIT} bytes are left out)\n" + raw[-PART_LIMIT:].decode(
        errors="replace"
    )


def _contents(parts: Sequence[Part], moment: datetime) -> str:
    lines = [f"  {part.name}: {part.about}" for part in parts]
    return "\n".join(
        [
            f"How a Ratwall box fared on {moment:%Y-%m-%d %H:%M} UTC.",
            "Look at it before you send it to anybody.",
            "Passwords, keys, tokens and addresses' secret parts were taken out.",
            "",
            *lines,
            "",
        ]
    )
