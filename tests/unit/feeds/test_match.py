"""What feeds say of a handshake: decisive for a certificate or a name, never for a fingerprint."""

import pytest

from ratwall.feeds.index import Index, Listed, index_bytes
from ratwall.feeds.indicator import DAY, SECOND, Indicator, Kind, packed
from ratwall.feeds.match import Indicators, only_named
from ratwall.feeds.rule import TlsRule
from ratwall.feeds.suricata import read_suricata
from ratwall.signatures.evidence import Evidence
from ratwall.verdict.judge import Thresholds, Verdict, weigh
from ratwall.wire.tls.facts import TlsFacts
from unit.feeds.test_suricata import rule
from unit.signatures.seen import asyncrat_hello, facts, hello
from unit.wire.x509.minting import mint

NOW = 1_764_000_000 * SECOND
SEEN = facts(mint("shop.example"), client=hello(name=True))  # asks for shop.example


def listed(
    *indicators: Indicator, rules: tuple[TlsRule, ...] = (), edition: int = NOW
) -> Indicators:
    return Indicators(Index(index_bytes([Listed("own", edition, indicators, rules)], NOW)))


def of(kind: Kind, seen: TlsFacts = SEEN, age: int = 0) -> tuple[Evidence, ...]:
    certificate = seen.certificate
    assert certificate is not None
    value = {
        Kind.CERTIFICATE_SHA1: certificate.sha1,
        Kind.CERTIFICATE_SHA256: certificate.sha256,
        Kind.NAME: "shop.example",
        Kind.HOST: "shop.example",
        Kind.JA3: seen.ja3,
        Kind.JA4: seen.ja4,
    }[kind]
    item = Indicator(kind, str(value), 0, "AsyncRAT", NOW - age * DAY)
    return listed(item).match(seen, NOW)


def verdict(evidence: tuple[Evidence, ...]) -> Verdict:
    return weigh(evidence, Thresholds()).verdict


def test_nothing_listed_is_nothing_said() -> None:
    assert Indicators().match(SEEN, NOW) == ()
    assert listed(Indicator(Kind.NAME, "c2.rat.example")).match(SEEN, NOW) == ()


@pytest.mark.parametrize("kind", [Kind.CERTIFICATE_SHA1, Kind.CERTIFICATE_SHA256])
def test_a_listed_certificate_blocks(kind: Kind) -> None:
    (said,) = of(kind, age=300)
    assert (said.id, said.decisive, said.family) == ("feed.certificate", True, "AsyncRAT")
    assert said.text == (
        "The server's certificate is on the list own as AsyncRAT, last seen 2025-01-28, "
        "300 days ago."
    )
    assert verdict((said,)) is Verdict.BLOCK
    assert not only_named((said,))


@pytest.mark.parametrize("kind", [Kind.NAME, Kind.HOST])
def test_a_listed_name_blocks_this_connection_alone(kind: Kind) -> None:
    (said,) = of(kind)
    assert (said.id, said.decisive) == ("feed.name", True)
    assert verdict((said,)) is Verdict.BLOCK
    assert only_named((said,))


@pytest.mark.parametrize("kind", [Kind.JA3, Kind.JA4])
def test_a_listed_fingerprint_never_blocks(kind: Kind) -> None:
    seen = facts(mint("shop.example"), client=asyncrat_hello())
    (said,) = of(kind, seen)
    assert (said.id, said.decisive, said.points) == ("feed.fingerprint", False, 15)
    assert verdict((said,)) is Verdict.CLEAN


def test_a_name_means_what_is_below_it_and_a_host_does_not() -> None:
    above = Indicator(Kind.NAME, "example")
    assert [each.id for each in listed(above).match(SEEN, NOW)] == []  # a top-level domain never
    asked = "a.b.shop.example"
    below = listed(Indicator(Kind.NAME, "shop.example"))
    assert below.name(asked, NOW) is not None
    assert below.name("notshop.example", NOW) is None
    assert below.name("SHOP.example.", NOW) is not None
    host = listed(Indicator(Kind.HOST, "shop.example"))
    assert host.name("shop.example", NOW) is not None
    assert host.name(asked, NOW) is None


def test_an_old_name_is_told_and_not_cut() -> None:
    (fresh,) = of(Kind.NAME, age=179)
    (old,) = of(Kind.NAME, age=181)
    assert fresh.decisive
    assert not old.decisive
    assert old.text.endswith(
        "181 days ago. Much can change hands in that time, so it is told and not cut."
    )
    assert verdict((old,)) is Verdict.ALERT
    assert of(Kind.NAME, age=1096) == ()


def test_a_server_is_found_by_its_port_first() -> None:
    both = listed(
        Indicator(Kind.ADDRESS, "198.51.100.7", 0, "Any", NOW),
        Indicator(Kind.ENDPOINT, "198.51.100.7", 6606, "One", NOW),
    )
    server = packed("198.51.100.7")

    def family(port: int) -> str | None:
        found = both.server(server, port, NOW)
        return None if found is None else found[0].family

    assert family(6606) == "One"
    assert family(443) == "Any"
    assert both.server(packed("198.51.100.8"), 6606, NOW) is None


def test_the_article_s_servers_are_told_with_their_age() -> None:
    """Shipped, of December 2024: two years on nobody is cut off from who has that address now."""
    old = listed(Indicator(Kind.ENDPOINT, "185.49.126.50", 6606, "AsyncRAT", NOW - 690 * DAY))
    found = old.server(packed("185.49.126.50"), 6606, NOW)
    assert found is not None
    said, hit = found
    assert not said.decisive
    assert "690 days ago" in said.text
    assert hit.acts_until < NOW
    assert verdict((said,)) is Verdict.ALERT


def test_rules_of_certificates_block_and_of_fingerprints_do_not() -> None:
    def said(options: str, edition: int = NOW) -> Evidence:
        rules = read_suricata(rule(options)).rules
        (only,) = listed(rules=rules, edition=edition).match(SEEN, NOW)
        return only

    subject = said('tls.cert_subject; content:"CN=shop.ex"; startswith;')
    assert (subject.id, subject.decisive) == ("feed.rule", True)
    assert subject.text == 'The connection matches rule 7 of the list own: "made up".'
    name = said('tls.sni; content:"op.example"; endswith;')
    assert (name.id, name.decisive) == ("feed.name", True)
    assert only_named((name,))
    assert SEEN.ja3 is not None
    print_only = said(f'ja3.hash; content:"{SEEN.ja3}"; ja4.hash; content:"{SEEN.ja4}";')
    assert (print_only.id, print_only.decisive) == ("feed.fingerprint", False)
    old = said('tls.sni; content:"op.example"; endswith;', NOW - 200 * DAY)
    assert (old.decisive, old.points) == (False, 60)
