"""What the feeds say of one handshake, or of one server: evidence.

Pure, and silent where nothing is listed. A listed certificate, or a listed name asked for, is
decisive: somebody has seen that very thing used for harm. A fingerprint is not: it is that of a
library which honest programs use as well. What has outlived its time only tells.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from ratwall.feeds.index import EMPTY, Hit, Index
from ratwall.feeds.indicator import (
    DAY,
    FINGERPRINTS,
    SECOND,
    Kind,
    digest_key,
    server_key,
    text_key,
)
from ratwall.feeds.rule import values_of
from ratwall.signatures.evidence import Evidence
from ratwall.wire.tls.facts import TlsFacts

CERTIFICATE, NAME, ADDRESS = "feed.certificate", "feed.name", "feed.address"
FINGERPRINT, RULE = "feed.fingerprint", "feed.rule"

CERTIFICATE_POINTS = 100  # the whole certificate: there is no other with this digest
SERVER_POINTS = 90  # a name or an address may have changed hands since
TOLD_POINTS = 60  # the default alert threshold: a person shall know, nothing is cut
FINGERPRINT_POINTS = 20  # what a weak fact of a hello is worth in the packs

# ATT&CK "Encrypted Channel: Asymmetric Cryptography".
_ENCRYPTED = "T1573.002"
_TOLD = " Much can change hands in that time, so it is told and not cut."
# What a rule is like: which goes first, its evidence and its points.
_RULE_IDS = {
    Kind.CERTIFICATE_SHA1: (0, RULE, CERTIFICATE_POINTS),
    Kind.HOST: (1, NAME, SERVER_POINTS),
    Kind.JA3: (2, FINGERPRINT, FINGERPRINT_POINTS),
}
PARENTS_LIMIT = 6  # labels of a name that are looked up: no list names what lies deeper


class Indicators:
    """The index in force; put another in its place at any time."""

    def __init__(self, index: Index = EMPTY) -> None:
        self.index = index

    def match(self, facts: TlsFacts, now: int) -> tuple[Evidence, ...]:
        """Return what is listed of a handshake, the strongest of each kind; `now` in UTC µs."""
        index = self.index
        if not len(index):
            return ()
        found = (
            _certificate(index, facts, now),
            _named(index, facts, now),
            _fingerprint(index, facts, now),
            _by_rule(index, facts, now),
        )
        return tuple(item for item in found if item is not None)

    def server(self, address: bytes, port: int, now: int) -> tuple[Evidence, Hit] | None:
        """Return what is listed of a server (4 or 16 octets): its port first, then any port."""
        for kind, number in ((Kind.ENDPOINT, port), (Kind.ADDRESS, 0)):
            hit = self.index.find(kind, server_key(address, number))
            if hit is not None and hit.told_until > now:
                what = "This server, on this port," if number else "This server"
                return _evidence(ADDRESS, what, hit, now, SERVER_POINTS, None), hit
        return None

    def name(self, name: str, now: int) -> tuple[Evidence, Hit] | None:
        """Return what is listed of a host name, or of one that it lies below."""
        hit = _find_name(self.index, name)
        if hit is None or hit.told_until <= now:
            return None
        return _evidence(NAME, "The name asked for", hit, now, SERVER_POINTS, None), hit


def only_named(evidence: Iterable[Evidence]) -> bool:
    """Say whether all that is decisive is the name that the client gave.

    It says nothing of the server: a client can say any name to any server, and one address serves
    many names. Then this connection is cut, and the server neither blocked nor remembered.
    """
    decisive = [item.id for item in evidence if item.decisive]
    return bool(decisive) and all(each == NAME for each in decisive)


def _certificate(index: Index, facts: TlsFacts, now: int) -> Evidence | None:
    certificate = facts.certificate
    if certificate is None:
        return None
    for kind, value in (
        (Kind.CERTIFICATE_SHA256, certificate.sha256),
        (Kind.CERTIFICATE_SHA1, certificate.sha1),
    ):
        if index.holds(kind):
            hit = index.find(kind, digest_key(value))
            if hit is not None and hit.told_until > now:
                what = "The server's certificate"
                return _evidence(CERTIFICATE, what, hit, now, CERTIFICATE_POINTS, _ENCRYPTED)
    return None


def _named(index: Index, facts: TlsFacts, now: int) -> Evidence | None:
    if facts.sni is None:
        return None
    hit = _find_name(index, facts.sni)
    if hit is None or hit.told_until <= now:
        return None
    return _evidence(NAME, "The name asked for", hit, now, SERVER_POINTS, None)


def _find_name(index: Index, name: str) -> Hit | None:
    plain = name.lower().removesuffix(".")
    if index.holds(Kind.HOST):
        hit = index.find(Kind.HOST, text_key(plain))
        if hit is not None:
            return hit
    if not index.holds(Kind.NAME):
        return None
    labels = plain.split(".")
    for start in range(max(0, len(labels) - PARENTS_LIMIT), len(labels) - 1):
        hit = index.find(Kind.NAME, text_key(".".join(labels[start:])))
        if hit is not None:
            return hit
    return None


def _fingerprint(index: Index, facts: TlsFacts, now: int) -> Evidence | None:
    for kind in (Kind.JA3, Kind.JA4):
        if not index.holds(kind):
            continue
        value = facts.ja3 if kind is Kind.JA3 else facts.ja4
        if value is None:
            continue
        hit = index.find(kind, digest_key(value) if kind is Kind.JA3 else text_key(value))
        if hit is not None and hit.told_until > now:
            text = (
                f"The client says hello as {_called(hit)} does (list {hit.feed}); "
                "so do other programs with the same library."
            )
            return Evidence(FINGERPRINT, FINGERPRINT_POINTS, text, _ENCRYPTED, family=hit.family)
    return None


def _by_rule(index: Index, facts: TlsFacts, now: int) -> Evidence | None:
    """Return what the first rule of the strongest kind says: certificate, name, fingerprint."""
    if not index.rules:
        return None
    values = values_of(facts)
    holding = [
        listed
        for listed in index.rules
        if listed.hit.told_until > now and listed.rule.holds(values)
    ]
    if not holding:
        return None
    listed = min(holding, key=lambda each: _RULE_IDS[each.rule.kind][0])
    _, identifier, points = _RULE_IDS[listed.rule.kind]
    rule, acts = listed.rule, listed.hit.acts_until > now
    decisive = acts and listed.rule.kind not in FINGERPRINTS
    text = f'The connection matches rule {rule.id} of the list {listed.hit.feed}: "{rule.text}".'
    if not acts:
        points, text = min(points, TOLD_POINTS), text + _TOLD
    return Evidence(identifier, points, text, _ENCRYPTED, decisive, rule.family)


def _evidence(
    identifier: str, what: str, hit: Hit, now: int, points: int, technique: str | None
) -> Evidence:
    """Say what is listed, by whom, when it was seen; past its time it is worth an alert at most."""
    acts = hit.acts_until > now
    text = f"{what} is on the list {hit.feed} as {_called(hit)}{_when(hit, now)}."
    if not acts:
        text += _TOLD
    return Evidence(
        id=identifier,
        points=points if acts else TOLD_POINTS,
        text=text,
        technique=technique,
        decisive=acts,
        family=hit.family,
    )


def _called(hit: Hit) -> str:
    return hit.family or "used for harm"


def _when(hit: Hit, now: int) -> str:
    if not hit.seen:
        return ""
    day = datetime.fromtimestamp(hit.seen / SECOND, UTC).date().isoformat()
    days = max(0, now - hit.seen) // DAY
    ago = "today" if not days else f"{days} days ago" if days > 1 else "a day ago"
    return f", last seen {day}, {ago}"
