"""How each receiver fares, as the exporter writes it down and the controller reads it.

The two are different users and neither trusts the other: what is read is bounded, and what is not
as it should be counts as silence.
"""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

DIRECTORY: Final = "export"  # in the state directory, the exporter's own
FILE_NAME: Final = "status.json"
FILE_LIMIT: Final = 16_384  # bytes; five receivers have under 4,000
TEXT_LIMIT: Final = 400  # characters
SILENT_US: Final = 30_000_000  # it writes every few seconds; a locked ledger holds it up for two
RECEIVERS: Final = ("syslog", "webhook", "mqtt", "mail", "push")
_NUMBERS: Final = ("sent", "last_sent", "backlog", "error_since")
_TEXTS: Final = ("to", "error")

Row = dict[str, Any]


def receivers(directory: Path, now: int) -> Row | None:
    """Return what is known of each receiver by its name, None if the exporter is silent."""
    return _read(directory, now, "receivers", _checked)


def trials(directory: Path, now: int) -> Row | None:
    """Return what came of the newest test of each receiver, None if the exporter is silent."""
    return _read(directory, now, "trials", _trial)


def _read(directory: Path, now: int, part: str, check: Callable[[Row], Row]) -> Row | None:
    try:
        descriptor = os.open(
            directory / FILE_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            found = json.loads(file.read(FILE_LIMIT + 1))
        at, told = found["at"], found[part]
        if type(at) is not int or abs(now - at) > SILENT_US:
            return None
        return {name: check(told[name]) for name in RECEIVERS if name in told}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _trial(told: Row) -> Row:
    """Return what came of a test with its types as they should be; TypeError if not."""
    at, ok, answer = told["at"], told["ok"], told["answer"]
    if type(at) is not int or type(ok) is not bool or not isinstance(answer, str):
        raise TypeError("trial")
    return {"at": at, "ok": ok, "answer": answer[:TEXT_LIMIT]}


def _checked(told: Row) -> Row:
    """Return the facts of one receiver with their types as they should be; TypeError if not."""
    checked: Row = {}
    for name in _TEXTS:
        value = told[name]
        if value is not None and not isinstance(value, str):
            raise TypeError(name)
        checked[name] = value if value is None else value[:TEXT_LIMIT]
    for name in _NUMBERS:
        if told[name] is not None and type(told[name]) is not int:
            raise TypeError(name)
        checked[name] = told[name]
    return checked
