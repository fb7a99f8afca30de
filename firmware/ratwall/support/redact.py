"""Takes secrets out of what is told to others; pure.

Three nets, so that one that tears is not all: settings whose names speak of a secret, the very
texts of the secrets that lie on this box, and what looks like one wherever it stands. Rather too
much is taken than too little.
"""

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

REMOVED = "(removed)"
SECRET_NAME = re.compile(r"pass|secret|token|hash|credential|api_?key|auth|user|private", re.I)
# Shorter texts are found by chance in any log, and are no secret worth the name.
SECRET_LEAST = 8
PATTERNS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
    re.compile(r"\$argon2[a-z]*\$\S+"),
    re.compile(r"ratwall_[0-9A-Za-z]{8}_[0-9A-Za-z_-]+"),
    re.compile(r"(?i)\b(bearer|basic) +[0-9A-Za-z._~+/=-]{8,}"),
    re.compile(r"(?<=://)[^\s/@]+@"),
)
# Said in so many words; what was written around it stays as it was, JSON too.
NAMED = re.compile(
    r'(?i)\b((?:password|passwd|secret|token|auth-key)"?\s*[=:]\s*)("[^"]*"|[^\s",}]+)'
)


def secrets_in(raw: bytes) -> set[str]:
    """Return the texts of a file that holds secrets: JSON's strings, else its lines."""
    text = raw.decode(errors="replace")
    try:
        found = set(_strings(json.loads(text)))
    except (ValueError, RecursionError):
        found = {line.strip() for line in text.splitlines()}
    return {each for each in found if len(each) >= SECRET_LEAST and "PRIVATE KEY" not in each}


def secrets_of_settings(value: Any, name: str = "") -> set[str]:
    """Return the texts in settings that must not be told: secrets, and what is behind a host."""
    if isinstance(value, dict):
        found = [secrets_of_settings(each, str(key)) for key, each in value.items()]
        return set().union(*found)
    if isinstance(value, list):
        return set().union(*(secrets_of_settings(each, name) for each in value))
    if not isinstance(value, str):
        return set()
    if "://" in value:
        tail = value.partition("://")[2]
        account, _, rest = tail.rpartition("@")
        _, _, path = rest.partition("/")
        words = {account, *account.split(":"), path, *re.split(r"[?&=#]", path)}
    else:
        # A name of a file says where a secret lies, and is none.
        words = {value} if SECRET_NAME.search(name) and not value.startswith("/") else set()
    return {word for word in words if len(word) >= SECRET_LEAST}


def _named(match: re.Match[str]) -> str:
    quote = '"' if match[2].startswith('"') else ""
    return f"{match[1]}{quote}{REMOVED}{quote}"


def _strings(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)


class Redaction:
    """Knows this box's secrets, and takes them out."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first: one may hold another.
        self._secrets = sorted(set(secrets), key=lambda each: (-len(each), each))

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, REMOVED)
        for pattern in PATTERNS:
            text = pattern.sub(REMOVED, text)
        return NAMED.sub(_named, text)

    def settings(self, value: Any, name: str = "") -> Any:
        """Return settings without secrets; of an address only the host is left."""
        if SECRET_NAME.search(name):
            return REMOVED
        if isinstance(value, dict):
            return {key: self.settings(each, str(key)) for key, each in value.items()}
        if isinstance(value, list):
            return [self.settings(each) for each in value]
        if isinstance(value, str):
            return self._address(value) if "://" in value else self.text(value)
        return value

    def _address(self, text: str) -> str:
        try:
            parts = urlsplit(text)
            return f"{parts.scheme}://{parts.hostname or ''}/{REMOVED}"
        except ValueError:
            return REMOVED
