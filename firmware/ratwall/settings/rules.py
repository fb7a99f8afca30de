"""What one settings value may be: small rules that accept a TOML value or say what they expected.

Never reads a file and never knows which key it judges; the loader adds file, section and key.
A rule returns the value to keep, or raises `ValueError` with the words that follow "expected".
"""

import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ratwall.address import parse_place

INTERFACE_NAME_LIMIT = 15  # the kernel's IFNAMSIZ is 16 with the closing zero byte
# One rule, all of a pack, or all there are.
RULE_NAME = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+|\.\*)|\*")
# RFC 1123 section 2.1, with the underscore that names in use have; two labels at least.
HOST_NAME = re.compile(
    r"(?=.{4,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{1,62}"
)
PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")  # Ed25519
FOUND_LIMIT = 60  # a quoted value longer than this would push the advice off the line


class Rule(Protocol):
    """Anything that can judge one TOML value."""

    def accept(self, value: object) -> Any:
        """Return the value to keep; ValueError with what was expected instead."""


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int

    def accept(self, value: object) -> int:
        """Return the number; TOML booleans are no integers."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(self.expected)
        if not self.low <= value <= self.high:
            raise ValueError(self.expected)
        return value

    @property
    def expected(self) -> str:
        """Say the range in words."""
        return f"an integer from {self.low} to {self.high}"


@dataclass(frozen=True, slots=True)
class Boolean:
    """true or false, nothing else."""

    def accept(self, value: object) -> bool:
        """Return the truth value."""
        if not isinstance(value, bool):
            raise ValueError("true or false")
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def accept(self, value: object) -> str:
        """Return the word."""
        if not isinstance(value, str) or value not in self.words:
            raise ValueError(" or ".join(json.dumps(word) for word in self.words))
        return value


@dataclass(frozen=True, slots=True)
class Text:
    """A string that `check` does not refuse."""

    expected: str
    check: Callable[[str], bool]

    def accept(self, value: object) -> str:
        """Return the string unchanged."""
        if not isinstance(value, str) or not self.check(value):
            raise ValueError(self.expected)
        return value


@dataclass(frozen=True, slots=True)
class MarkMask:
    """Exactly eight neighbouring bits of a 32-bit packet mark."""

    width: int = field(default=8, init=False)  # the kernel rules need eight bits, see kernel marks

    def accept(self, value: object) -> int:
        """Return the mask."""
        expected = "eight neighbouring bits of 32, such as 0xff000000 or 0x00ff0000"
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**32:
            raise ValueError(expected)
        lowest_bit = value & -value
        if value // lowest_bit != (1 << self.width) - 1:
            raise ValueError(expected)
        return value


@dataclass(frozen=True, slots=True)
class Keys:
    """A list of public keys: by name, or written out."""

    names: tuple[str, ...]
    limit: int

    def accept(self, value: object) -> tuple[str, ...]:
        """Return the keys, each once, in the order given."""
        known = " or ".join(json.dumps(name) for name in self.names)
        expected = (
            f"a list of at most {self.limit} keys, each {known} or 64 lower-case hexadecimal digits"
        )
        if not isinstance(value, list) or len(value) > self.limit:
            raise ValueError(expected)
        for item in value:
            if not isinstance(item, str) or not (item in self.names or PUBLIC_KEY.fullmatch(item)):
                raise ValueError(expected)
        return tuple(dict.fromkeys(value))


@dataclass(frozen=True, slots=True)
class Addresses:
    """A list of IPv4 and IPv6 addresses."""

    limit: int

    def accept(self, value: object) -> tuple[str, ...]:
        """Return the addresses in their canonical spelling, each once, in the order given."""
        expected = f"a list of at most {self.limit} IPv4 or IPv6 addresses"
        if not isinstance(value, list) or len(value) > self.limit:
            raise ValueError(expected)
        canonical: dict[str, None] = {}
        for item in value:
            if not isinstance(item, str) or "%" in item:
                raise ValueError(f"{expected}; {describe(item)} is none")
            try:
                canonical[str(ipaddress.ip_address(item))] = None
            except ValueError:
                raise ValueError(f"{expected}; {describe(item)} is none") from None
        return tuple(canonical)


@dataclass(frozen=True, slots=True)
class Servers:
    """A list of servers, each by address or by name."""

    limit: int

    def accept(self, value: object) -> tuple[str, ...]:
        """Return addresses in their canonical spelling and names in lower case, each once."""
        expected = f"a list of at most {self.limit} addresses or host names"
        if not isinstance(value, list) or len(value) > self.limit:
            raise ValueError(expected)
        found: dict[str, None] = {}
        for item in value:
            if not isinstance(item, str) or "%" in item:
                raise ValueError(f"{expected}; {describe(item)} is none")
            try:
                found[str(ipaddress.ip_address(item))] = None
            except ValueError:
                name = item.lower().removesuffix(".")
                if not HOST_NAME.fullmatch(name):
                    raise ValueError(f"{expected}; {describe(item)} is none") from None
                found[name] = None
        return tuple(found)


@dataclass(frozen=True, slots=True)
class RuleNames:
    """A list of rules of detection: "asyncrat.port", or "rhythm.*" for all that begin so."""

    limit: int

    def accept(self, value: object) -> tuple[str, ...]:
        """Return the names, each once, in the order given."""
        expected = f'a list of at most {self.limit} rules such as "asyncrat.port" or "rhythm.*"'
        if not isinstance(value, list) or len(value) > self.limit:
            raise ValueError(expected)
        for item in value:
            if not isinstance(item, str) or not RULE_NAME.fullmatch(item):
                raise ValueError(f"{expected}; {describe(item)} is none")
        return tuple(dict.fromkeys(value))


def is_interface_name(name: str) -> bool:
    """Say whether the kernel would take `name` for a network interface."""
    return (
        0 < len(name.encode()) <= INTERFACE_NAME_LIMIT
        and name not in (".", "..")
        and not any(character in "/:" or character.isspace() for character in name)
        and name.isprintable()
    )


def is_listen(text: str) -> bool:
    """Say whether `text` is an address and a port to listen at."""
    try:
        parse_place(text)
    except ValueError:
        return False
    return True


def describe(value: object, as_mask: bool = False) -> str:
    """Return a found TOML value the way it stands in the file (masks in hex), cut to one line."""
    if as_mask and isinstance(value, int) and not isinstance(value, bool):
        text = f"0x{value:08x}"
    elif isinstance(value, dict):
        text = "a section"
    else:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except TypeError:  # dates and times have no JSON form
            text = str(value)
    return text if len(text) <= FOUND_LIMIT else text[: FOUND_LIMIT - 1] + "…"
