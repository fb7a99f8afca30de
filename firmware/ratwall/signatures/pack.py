"""Signature packs: TOML files of rules, read strictly.

A pack loads whole or not at all, and an error names file, rule and key, what is allowed there and
what was found. Nothing is matched here.

Design note: a pack cannot make everyday facts dangerous. A rule that may block (`decisive`) must
ask for something that only the maker of a certificate chooses; every other rule stays below the
alert threshold and belongs to a group of which only the strongest counts.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ratwall.errors import UsageError
from ratwall.signatures.conditions import CONDITIONS, Test

# A rule's points: a fact that is worth nothing is not a rule, and the score ends at 100.
POINTS_LIMIT = 100

# The most that one fact may give when it is not decisive: below the default alert threshold of 60,
# so that no single such fact is ever reported.
WEAK_POINTS_LIMIT = 50

# Facts that mean much the same count once, by the strongest of them.
GROUPS = ("name", "certificate", "hello", "port")

# A pack of the size of all public rules for these families is a few dozen kilobytes.
PACK_BYTES_LIMIT = 1 << 20

# Each rule is asked of each new kind of connection; all packs shipped have some sixty together.
RULES_LIMIT = 256
NAME_LIMIT = 64  # characters; it becomes the name of a file
VERSION_LIMIT = 2**31 - 1  # one a second for sixty years

# The packs that come with this version lie beside the code.
SHIPPED = Path(__file__).parent

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TECHNIQUE = re.compile(r"T\d{4}(\.\d{3})?")
_PLACEHOLDER = re.compile(r"\{(.*?)\}")
PLACEHOLDERS = ("port", "common_name")


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One scored fact; `tests` are its conditions, the cheapest first, all of which must hold.

    `certificate_tests` are those among them that ask nothing but the certificate.
    """

    id: str
    points: int
    decisive: bool
    group: str
    family: str | None
    reason: str
    text: str
    technique: str | None
    conditions: Mapping[str, Any]
    tests: tuple[Test, ...]
    certificate_tests: frozenset[Test]
    of_certificate: bool


@dataclass(frozen=True, slots=True)
class Pack:
    """A named, versioned list of rules."""

    name: str
    version: int
    about: str
    family: str | None
    rules: tuple[Rule, ...]
    made: date | None = None  # when its maker last looked at it


def family_ports(packs: Iterable[Pack]) -> frozenset[int]:
    """Return the ports that the families of these packs use by default."""
    return frozenset(
        port for pack in packs for rule in pack.rules for port in rule.conditions.get("port", ())
    )


def load_packs(directory: Path | None = None) -> tuple[Pack, ...]:
    """Load every *.toml of a directory, by default the packs shipped; UsageError on any fault."""
    if directory is None:
        directory = SHIPPED
    if not directory.is_dir():
        raise UsageError(f"{directory}: no such directory of signature packs")
    paths = sorted(directory.glob("*.toml"))
    if not paths:
        raise UsageError(f"{directory}: no signature packs (*.toml) in it")
    return load_files(paths)


def load_files(paths: Iterable[Path]) -> tuple[Pack, ...]:
    """Load the given pack files together, refusing a pack name that two of them share."""
    packs: dict[str, Pack] = {}
    for path in paths:
        pack = load_pack(path)
        if pack.name in packs:
            raise UsageError(f'{path}: name: another pack is called "{pack.name}" already')
        packs[pack.name] = pack
    return tuple(packs.values())


def load_pack(path: Path) -> Pack:
    """Load one pack; UsageError naming file, key, what is allowed and what was found."""
    try:
        with path.open("rb") as file:
            content = file.read(PACK_BYTES_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    return read_pack(content, str(path))


def read_pack(content: bytes, place: str) -> Pack:
    """Read one pack from the bytes of a file; UsageError as of `load_pack`, `place` in front."""
    if len(content) > PACK_BYTES_LIMIT:
        raise UsageError(f"{place}: a pack may have {PACK_BYTES_LIMIT} bytes, found more")
    try:
        table = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad TOML, a number of 5,000 digits
        raise UsageError(f"{place}: not a TOML file: {error}") from error
    return _pack(_Table(table, f"{place}: "))


class _Table:
    """A TOML table that hands out its values checked, and names the place of a fault."""

    def __init__(self, values: dict[str, Any], place: str) -> None:
        self.values = values
        self.place = place

    def only(self, known: Iterable[str]) -> None:
        """Refuse keys that are not known."""
        allowed = sorted(known)
        for key in self.values:
            if key not in allowed:
                raise UsageError(
                    f"{self.place}{key}: unknown key; allowed are {', '.join(allowed)}"
                )

    def get(self, key: str, allowed: str, accepts: Callable[[Any], bool]) -> Any:
        """Return a required value; UsageError if absent or not accepted."""
        if key not in self.values:
            raise UsageError(f"{self.place}{key}: missing; allowed is {allowed}")
        return self.optional(key, allowed, accepts)

    def optional(self, key: str, allowed: str, accepts: Callable[[Any], bool]) -> Any:
        """Return a value or None; UsageError if there and not accepted."""
        value = self.values.get(key)
        if key in self.values and not accepts(value):
            raise UsageError(f"{self.place}{key}: allowed is {allowed}, found {_shown(value)}")
        return value

    def text(self, key: str) -> str:
        """Return a required text of at least one character."""
        value: str = self.get(key, "a text", _is_text)
        return " ".join(value.split())


def _shown(value: Any) -> str:
    """Show a found value in one line, cut to a length that leaves the message readable."""
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_slug(value: Any) -> bool:
    return isinstance(value, str) and _SLUG.fullmatch(value) is not None


def _pack(table: _Table) -> Pack:
    table.only(("name", "version", "about", "family", "made", "rule"))
    name = table.get(
        "name",
        f"lower-case letters, digits and single hyphens, at most {NAME_LIMIT}",
        lambda v: _is_slug(v) and len(v) <= NAME_LIMIT,
    )
    version = table.get(
        "version",
        f"a whole number from 1 to {VERSION_LIMIT}",
        lambda v: type(v) is int and 1 <= v <= VERSION_LIMIT,
    )
    about = table.text("about")
    family = table.optional("family", "a text", _is_text)
    made = table.optional("made", "a date such as 2026-11-24", lambda v: type(v) is date)
    rows = table.get(
        "rule",
        f"one [[rule]] or more, at most {RULES_LIMIT}",
        lambda v: (
            isinstance(v, list)
            and 1 <= len(v) <= RULES_LIMIT
            and all(isinstance(row, dict) for row in v)
        ),
    )
    rules: dict[str, Rule] = {}
    for number, row in enumerate(rows, start=1):
        place = f"{table.place}rule {number}"
        if _is_text(row.get("id")):
            place += f' "{row["id"]}"'
        rule = _rule(_Table(row, f"{place}: "), name, family)
        if rule.id in rules:
            raise UsageError(f"{place}: id: another rule has it already")
        rules[rule.id] = rule
    return Pack(name, version, about, family, tuple(rules.values()), made)


def _rule(table: _Table, pack: str, family: str | None) -> Rule:
    table.only(
        ("id", "points", "decisive", "group", "family", "reason", "text", "technique", "when")
    )
    identifier = table.get(
        "id",
        f'"{pack}." and lower-case letters, digits and single hyphens',
        lambda v: isinstance(v, str) and v.startswith(f"{pack}.") and _is_slug(v[len(pack) + 1 :]),
    )
    decisive = bool(table.optional("decisive", "true or false", lambda v: isinstance(v, bool)))
    limit = POINTS_LIMIT if decisive else WEAK_POINTS_LIMIT
    kind = "decisive" if decisive else "not decisive"
    points = table.get(
        "points",
        f"a whole number from 1 to {limit} for a rule that is {kind}",
        lambda v: type(v) is int and 1 <= v <= limit,
    )
    group = table.get(
        "group", "one of " + ", ".join(f'"{g}"' for g in GROUPS), lambda v: v in GROUPS
    )
    technique = table.optional(
        "technique",
        'a MITRE ATT&CK technique such as "T1573.002"',
        lambda v: isinstance(v, str) and _TECHNIQUE.fullmatch(v) is not None,
    )
    text = table.text("text")
    for word in _PLACEHOLDER.findall(text):
        if word not in PLACEHOLDERS:
            names = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise UsageError(
                f"{table.place}text: allowed placeholders are {names}, found {{{word}}}"
            )
    conditions = table.get(
        "when", "a table of conditions", lambda v: isinstance(v, dict) and bool(v)
    )
    tests, certificate_tests = _tests(_Table(conditions, f"{table.place}when."))
    if decisive and not any(CONDITIONS[key].conclusive for key in conditions):
        conclusive = ", ".join(key for key, c in CONDITIONS.items() if c.conclusive)
        raise UsageError(
            f"{table.place}decisive: allowed only together with one of the conditions "
            f"{conclusive}, found {', '.join(conditions)}"
        )
    return Rule(
        id=identifier,
        points=points,
        decisive=decisive,
        group=group,
        family=table.optional("family", "a text", _is_text) or family,
        reason=table.text("reason"),
        text=text,
        technique=technique,
        conditions=conditions,
        tests=tests,
        certificate_tests=certificate_tests,
        of_certificate=any(CONDITIONS[key].of_certificate for key in conditions),
    )


def _tests(table: _Table) -> tuple[tuple[Test, ...], frozenset[Test]]:
    table.only(CONDITIONS)
    for key, condition in CONDITIONS.items():
        table.optional(key, condition.allowed, condition.accepts)
    ordered = sorted(table.values, key=lambda key: CONDITIONS[key].cost)
    tests = {key: CONDITIONS[key].compiled(table.values[key]) for key in ordered}
    of_certificate = frozenset(
        test for key, test in tests.items() if CONDITIONS[key].of_certificate
    )
    return tuple(tests.values()), of_certificate
