"""The screen: a feed that would cut off what an office lives by is refused whole, with the reason.

Pure. A list can be poisoned, or wrong by a slip; either way whoever made it did not look, so
nothing of it is believed and what was held before stays. Not screened is what a feed is right to
list though it hurts: a single server of a big provider, a name below a service's own.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from ratwall.address import is_local
from ratwall.feeds.errors import FeedError
from ratwall.feeds.indicator import FINGERPRINTS, NAMES, SERVERS, packed
from ratwall.feeds.reading import Reading, quoted
from ratwall.feeds.rule import TlsRule

ESSENTIAL = Path(__file__).with_name("essential.txt")
_PLAIN = re.compile(r"[a-z0-9.-]+")


def screen(reading: Reading, own: Mapping[str, str]) -> None:
    """Let a feed through, or raise FeedError; `own` is addresses of this site and what they are."""
    parents, addresses = _essential()
    for item in reading.indicators:
        if item.kind in SERVERS:
            what = own.get(item.value) or addresses.get(item.value)
            if what is None and is_local(packed(item.value)):
                what = "no address of the internet"
        elif item.kind in NAMES:
            what = _name(item.value, parents)
        elif item.kind not in FINGERPRINTS and not item.value.strip("0"):
            what = "no digest of anything"
        else:
            what = None
        if what is not None:
            raise FeedError(f"it lists {item.value}, {what}: a poisoned or a wrong list")
    for rule in reading.rules:
        if _is_wide(rule, subjects(), issuers()):
            raise FeedError(
                f"its rule {rule.id} ({quoted(rule.text)}) matches certificates or names that "
                "everybody uses: a poisoned or a wrong list"
            )


def _name(name: str, parents: frozenset[str]) -> str | None:
    if "." not in name:
        return "a whole top-level domain"
    return "a name that everybody uses" if name in parents else None


@cache
def _essential() -> tuple[frozenset[str], Mapping[str, str]]:
    """Return the names that must not be listed (each essential one and what it lies in), and the
    addresses likewise."""
    names: set[str] = set()
    addresses: dict[str, str] = {}
    for word in _words():
        try:
            addresses[str(ip_address(word))] = "a name server that everybody uses"
        except ValueError:
            labels = word.split(".")
            names |= {".".join(labels[start:]) for start in range(len(labels))}
    return frozenset(names), addresses


def _words() -> Iterable[str]:
    for line in ESSENTIAL.read_text().splitlines():
        word = line.partition("#")[0].strip()
        if word and not word.startswith("="):
            yield word


@cache
def subjects() -> tuple[str, ...]:
    """Return subjects of certificates, and names, that everybody meets."""
    names = [word for word in _words() if not word[0].isdigit() and _PLAIN.fullmatch(word)]
    return (
        *(f"CN={name}" for name in names),
        *(f"CN=*.{name}" for name in names),
        *(f"C=US, ST=California, L=San Francisco, O=Example, Inc., CN=www.{n}" for n in names[:40]),
    )


@cache
def issuers() -> tuple[str, ...]:
    """Return issuers of certificates that everybody meets."""
    return tuple(
        line[1:].strip() for line in ESSENTIAL.read_text().splitlines() if line.startswith("=")
    )


def _is_wide(rule: TlsRule, subjects: tuple[str, ...], issuers: tuple[str, ...]) -> bool:
    """Say whether every field that a rule asks for can be one that everybody meets."""
    samples = {
        "subject": subjects,
        "issuer": issuers,
        "sni": tuple(subject.rpartition("CN=")[2].removeprefix("*.") for subject in subjects),
    }
    asked = {each.field for each in rule.conditions} & set(samples)
    if "sha1" in rule.fields or not asked:
        return False
    for field in asked:
        conditions = [each for each in rule.conditions if each.field == field]
        if not any(all(c.holds(value) for c in conditions) for value in samples[field]):
            return False
    return True
