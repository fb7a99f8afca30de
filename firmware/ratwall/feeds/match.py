"""What the feeds say of one handshake, or of one server: evidence.

Pure, and silent where nothing is listed. A listed certificate, or a listed name asked for, is
decisive: somebody has seen that very thing used for harm. A fingerprint is not: it is that of a
library which honest programs use as well. What has outlived its time only tells.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial

from ratwall.feeds.index import EMPTY, Hit, Index, ListedRule
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
FINGERPRINT_POINTS = 15  # what the packs give to a known fingerprint

# ATT&CK "Encrypted Channel: Asymmetric Cryptography".
_ENCRYPTED = "T1573.002"
_TOLD = " Much can change hands in that time, so it is told and not cut."
# What a rule is like: which goes first, its evidence and its points.
_RULE_IDS = {
    Kind.CERTIFICATE_SHA1: (0, RULE, CERTIFICATE_POINTS),
    Kind.HOST: (1, NAME, SERVER_POINTS),
    Kind.JA3: (2, FINGERPRINT, FINGERPRINT_POINTS),
}
REMEMBERED = 1024  # look-ups of a kind, some 200 KB: what an office of fifty asks for in minutes
PARENTS_LIMIT = 6  # labels of a name that are looked up: no list names what lies deeper

# What the rules are asked about: SHA-256 of the certificate, name, JA3, JA4.
_Shown = tuple[str | None, str | None, str | None, str | None]


class Indicators:
    """The index in force; put another in its place at any time.

    What was looked up is remembered, found or not: a program says the same hello again and again,
    and a server shows the same certificate.
    """

    def __init__(self, index: Index = EMPTY) -> None:
        self.index = index

    @property
    def index(self) -> Index:
        """The index that is looked up in."""
        return self._index

    @index.setter
    def index(self, index: Index) -> None:
        self._index = index
        remembered = lru_cache(REMEMBERED)
        self._certificate = remembered(partial(_find_certificate, index))
        self._name = remembered(partial(_find_name, index))
        self._fingerprint = remembered(partial(_find_fingerprint, index))
        self._rules: OrderedDict[_Shown, tuple[ListedRule, ...]] = OrderedDict()

    def match(self, facts: TlsFacts, now: int) -> tuple[Evidence, ...]:
        """Return what is listed of a handshake, the strongest of each kind; `now` in UTC µs."""
        if not len(self._index):
            return ()
        found: list[Evidence] = []
        certificate, sni = facts.certificate, facts.sni
        if certificate is not None:
            hit = self._certificate(certificate.sha256, certificate.sha1)
            if hit is not None and hit.told_until > now:
                what = "The server's certificate"
                points = CERTIFICATE_POINTS
                found.append(_evidence(CERTIFICATE, what, hit, now, points, _ENCRYPTED))
        if sni is not None and (said := self.name(sni, now)) is not None:
            found.append(said[0])
        hit = self._fingerprint(facts.ja3, facts.ja4)
        if hit is not None and hit.told_until > now:
            found.append(_library(hit))
        if self._index.rules and (rule := self._rule(facts, now)) is not None:
            found.append(rule)
        return tuple(found)

    def server(self, address: bytes, port: int, now: int) -> tuple[Evidence, Hit] | None:
        """Return what is listed of a server (4 or 16 octets): its port first, then any port."""
        for kind, number in ((Kind.ENDPOINT, port), (Kind.ADDRESS, 0)):
            hit = self._index.find(kind, server_key(address, number))
            if hit is not None and hit.told_until > now:
                what = "This server, on this port," if number else "This server"
                return _evidence(ADDRESS, what, hit, now, SERVER_POINTS, None), hit
        return None

    def name(self, name: str, now: int) -> tuple[Evidence, Hit] | None:
        """Return what is listed of a host name, or of one that it lies below."""
        hit = self._name(name)
        if hit is None or hit.told_until <= now:
            return None
        return _evidence(NAME, "The name asked for", hit, now, SERVER_POINTS, None), hit

    def _rule(self, facts: TlsFacts, now: int) -> Evidence | None:
        """Return what the first rule of the strongest kind says: certificate, name, fingerprint."""
        certificate = facts.certificate
        shown = (
            None if certificate is None else certificate.sha256,
            facts.sni,
            facts.ja3,
            facts.ja4,
        )
        holding = self._rules.get(shown)
        if holding is None:
            values = values_of(facts)
            holding = tuple(each for each in self._index.rules if each.rule.holds(values))
            self._rules[shown] = holding
            if len(self._rules) > REMEMBERED:
                self._rules.popitem(last=False)
        alive = [each for each in holding if each.hit.told_until > now]
        return _ruled(alive, now) if alive else None


def only_named(evidence: Iterable[Evidence]) -> bool:
    """Say whether all that is decisive is the name that the client gave.

    It says nothing of the server: a client can say any name to any server, and one address serves
    many names. Then this connection is cut, and the server neither blocked nor remembered.
    """
    decisive = [item.id for item in evidence if item.decisive]
    return bool(decisive) and all(each == NAME for each in decisive)


def _find_certificate(index: Index, sha256: str, sha1: str) -> Hit | None:
    for kind, value in ((Kind.CERTIFICATE_SHA256, sha256), (Kind.CERTIFICATE_SHA1, sha1)):
        if index.holds(kind):
            hit = index.find(kind, digest_key(value))
            if hit is not None:
                return hit
    return None


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


def _find_fingerprint(index: Index, ja3: str | None, ja4: str | None) -> Hit | None:
    if ja3 is not None and index.holds(Kind.JA3):
        hit = index.find(Kind.JA3, digest_key(ja3))
        if hit is not None:
            return hit
    if ja4 is not None and index.holds(Kind.JA4):
        return index.find(Kind.JA4, text_key(ja4))
    return None


def _library(hit: Hit) -> Evidence:
    text = (
        f"The client says hello as {_called(hit)} does (list {hit.feed}); "
        "so do other programs with the same library."
    )
    return Evidence(FINGERPRINT, FINGERPRINT_POINTS, text, _ENCRYPTED, family=hit.family)


def _ruled(holding: Sequence[ListedRule], now: int) -> Evidence:
    listed = min(holding, key=lambda each: _RULE_IDS[each.rule.kind][0])
    _, identifier, points = _RULE_IDS[listed.rule.kind]
    rule, acts = listed.rule, listed.hit.acts_until > now
    decisive = acts and rule.kind not in FINGERPRINTS
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
