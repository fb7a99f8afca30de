"""What a seed file says, checked whole before any of it is used.

Pure: bytes in, a `Seed` out or one line of error, short and printable whatever the bytes are: it is
shown on a screen and in a technician's terminal. A seed is the settings file (docs/settings.md)
with three sections of its own in front: `[site]`, `[admin]` and `[enrolment]`.
"""

import hashlib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ratwall.errors import UsageError
from ratwall.settings.edit import write
from ratwall.settings.load import FILE_SIZE_LIMIT, parse_settings

NAME_LENGTH = 64  # fits a line of the console page
# Made by libsodium or `argon2 -id`; the memory is bounded, since the page would have to find it.
# The hash has 32 bytes; a shorter one lost its end on the way, and nobody could ever log in.
PASSWORD_HASH = re.compile(
    r"\$argon2id\$v=19\$m=([0-9]{1,6}),t=([0-9]{1,2}),p=1\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{43}"
)
HASH_MEMORY_LOW = 19 * 1024  # KiB; what OWASP names as the least
HASH_MEMORY_HIGH = 128 * 1024  # KiB; half of what the page's unit may use
HASH_ROUNDS = range(1, 11)  # ten over 128 MB keep a Pi busy for seconds at each log-in
MESSAGE_LENGTH = 300  # three lines of the console page
TOKEN = re.compile(r"[A-Za-z0-9_.=+/-]{16,256}")
INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")  # what the ports script reads


@dataclass(frozen=True, slots=True)
class Seed:
    """A good seed; None is "not said"."""

    digest: str
    settings: str  # TOML of the sections that are settings
    network: str  # lines for the ports script, empty if nothing was said
    name: str | None
    password_hash: str | None
    token: str | None


def parse_seed(raw: bytes, source: str) -> Seed:
    """Return the seed in the bytes of a file; `source` names it in UsageError."""
    try:
        return _parse(raw, source)
    except UsageError as error:
        text = "".join(letter if letter.isprintable() else "?" for letter in str(error))
        short = text if len(text) <= MESSAGE_LENGTH else f"{text[: MESSAGE_LENGTH - 1]}…"
        raise UsageError(short) from error


def _parse(raw: bytes, source: str) -> Seed:
    if len(raw) > FILE_SIZE_LIMIT:
        raise UsageError(f"{source}: more than {FILE_SIZE_LIMIT} bytes: not a seed file")
    try:
        # Windows' Notepad puts a byte order mark in front.
        document = tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{source}: not UTF-8 text at byte {error.start}") from error
    except (ValueError, RecursionError) as error:  # the first also for a number of 5,000 digits
        raise UsageError(f"{source}: not valid TOML: {str(error).splitlines()[0]}") from error
    own = {
        section: _section(document.pop(section, {}), section, keys, source)
        for section, keys in OWN.items()
    }
    settings = parse_settings(document, source)
    for port in (settings.network.lan, settings.network.wan):
        if port is not None and not INTERFACE.fullmatch(port):
            raise UsageError(
                f"{source}: [network]: {port!r} is no name of a port of this box: "
                "letters, digits, dot, dash and underscore, at most 15"
            )
    said = document.get("network", {})
    network = "".join(
        f"{key.upper()}={said[key]}\n" for key in ("mode", "wan", "lan") if key in said
    )
    return Seed(
        hashlib.sha256(raw).hexdigest(),
        write(document),
        network,
        own["site"].get("name"),
        own["admin"].get("password_hash"),
        own["enrolment"].get("token"),
    )


def _name(text: str) -> str | None:
    fits = len(text) <= NAME_LENGTH and text.isprintable() and not text.isspace() and text
    return None if fits else f"1 to {NAME_LENGTH} printable characters"


def _password_hash(text: str) -> str | None:
    match = PASSWORD_HASH.fullmatch(text)
    if (
        match is not None
        and HASH_MEMORY_LOW <= int(match[1]) <= HASH_MEMORY_HIGH
        and int(match[2]) in HASH_ROUNDS
    ):
        return None
    return (
        f"an Argon2id hash of 32 bytes, whole ($argon2id$v=19$m=…,t=…,p=1$…$…), with m of "
        f"{HASH_MEMORY_LOW} to {HASH_MEMORY_HIGH} and t of {HASH_ROUNDS[0]} to {HASH_ROUNDS[-1]}; "
        "never the password itself"
    )


def _token(text: str) -> str | None:
    return None if TOKEN.fullmatch(text) else "16 to 256 letters, digits and _.=+/-"


# Section, key, and what says why a value does not fit.
OWN: Mapping[str, Mapping[str, Callable[[str], str | None]]] = {
    "site": {"name": _name},
    "admin": {"password_hash": _password_hash},
    "enrolment": {"token": _token},
}
# A value that must not be repeated on a screen or in a log.
SECRET = ("password_hash", "token")


def _section(
    table: Any, section: str, keys: Mapping[str, Callable[[str], str | None]], source: str
) -> dict[str, str]:
    if not isinstance(table, dict):
        raise UsageError(f"{source}: {section}: expected a section")
    for key, value in table.items():
        if key not in keys:
            raise UsageError(
                f"{source}: [{section}] {key}: unknown key; known are {', '.join(keys)}"
            )
        expected = keys[key](value) if isinstance(value, str) else "text"
        if expected is not None:
            found = "" if key in SECRET else f", found {value!r}"
            raise UsageError(f"{source}: [{section}] {key}: expected {expected}{found}")
    return table
