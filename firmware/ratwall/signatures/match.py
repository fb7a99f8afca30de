"""Matching: which rules of the packs hold for one connection.

Pure and silent: the same facts give the same evidence, and nothing is fetched or logged.

Design note: rules of one group describe the same thing from several sides (JA3 and JA4 of one
hello, a whole certificate shape and a part of it). Only the strongest of a group becomes evidence,
so saying a thing twice does not make it twice as bad. What a certificate rules out it rules out for
good, so that is remembered for as long as the certificate is.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from ratwall.signatures.conditions import Sight, Test
from ratwall.signatures.endpoint import Endpoint
from ratwall.signatures.evidence import Evidence
from ratwall.signatures.pack import Pack, Rule
from ratwall.wire.tls.facts import TlsFacts
from ratwall.wire.x509.certificate import Certificate

# Characters of a certificate's name quoted in a sentence; the whole name is shown beside it.
QUOTED_NAME_LIMIT = 64

_ruled_out: WeakKeyDictionary[Certificate, set[Rule]] = WeakKeyDictionary()


def match(packs: Sequence[Pack], facts: TlsFacts, endpoint: Endpoint) -> tuple[Evidence, ...]:
    """Return the strongest matching rule of each group as evidence, the earlier one on a tie."""
    sight = Sight(facts, endpoint)
    certificate = sight.certificate
    ruled_out = set() if certificate is None else _ruled_out.setdefault(certificate, set())
    best: dict[str, tuple[Pack, Rule]] = {}
    for pack in packs:
        for rule in pack.rules:
            if rule.of_certificate and (certificate is None or rule in ruled_out):
                continue
            held = best.get(rule.group)
            if held is not None and _strength(held[1]) >= _strength(rule):
                continue
            failed = _failed(rule, sight)
            if failed is None:
                best[rule.group] = (pack, rule)
            elif failed in rule.certificate_tests:
                ruled_out.add(rule)
    return tuple(_evidence(pack, rule, sight) for pack, rule in best.values())


def _failed(rule: Rule, sight: Sight) -> Test | None:
    """Return the first condition that does not hold, None if all do."""
    for test in rule.tests:
        if not test(sight):
            return test
    return None


def _strength(rule: Rule) -> tuple[bool, int]:
    return rule.decisive, rule.points


def _evidence(pack: Pack, rule: Rule, sight: Sight) -> Evidence:
    text = rule.text
    if "{" in text:
        text = text.replace("{port}", str(sight.endpoint.port))
        text = text.replace("{common_name}", _common_name(sight))
    return Evidence(
        id=rule.id,
        points=rule.points,
        text=text,
        technique=rule.technique,
        decisive=rule.decisive,
        family=rule.family,
    )


def _common_name(sight: Sight) -> str:
    certificate = sight.certificate
    names = certificate.subject.values("CN") if certificate is not None else ()
    name = names[0] if names else "without a name"
    return name if len(name) <= QUOTED_NAME_LIMIT else name[: QUOTED_NAME_LIMIT - 1] + "…"
