"""Suricata rules: the subset is applied whole, everything else is left out whole and named."""

import pytest

from ratwall.feeds.errors import FeedError
from ratwall.feeds.indicator import Indicator, Kind
from ratwall.feeds.reading import RULES_LIMIT
from ratwall.feeds.rule import Condition, values_of
from ratwall.feeds.suricata import read_suricata
from unit.feeds.lists import JA3, SHA1, SURICATA
from unit.signatures.seen import facts, hello
from unit.wire.x509.minting import mint


def rule(options: str, head: str = "alert tls any any -> any any") -> bytes:
    return f'{head} (msg:"made up"; {options} sid:7; rev:1;)\n'.encode()


def test_a_file_of_rules() -> None:
    reading = read_suricata(SURICATA)
    assert reading.indicators == (
        Indicator(Kind.CERTIFICATE_SHA1, SHA1, family="AsyncRAT"),
        Indicator(Kind.JA3, JA3, family="AsyncRAT"),
        Indicator(Kind.HOST, "c2.rat.example"),
        Indicator(Kind.NAME, "dyn.rat.example"),
    )
    (only,) = reading.rules
    assert only.id == "1000005"
    assert only.text == "A certificate by two names; the second, |26|"
    assert only.conditions == (
        Condition("subject", "CN=Evil CA", at_start=True),
        Condition("issuer", "Let's Encrypt", negated=True),
    )
    assert reading.skipped == {"rule asks for pcre": 1}
    assert reading.rows == 6


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ('tls.cert_subject; content:"CN=Evil CA"; distance:4;', "distance"),
        ('tls.cert_subject; content:"CN=Evil CA"; depth:20;', "depth"),
        ('tls.version:1.0; tls.cert_subject; content:"CN=Evil CA";', "tls.version"),
        ('tls.cert_subject; content:"CN=Evil CA"; isdataat:20;', "isdataat"),
        ('tls.cert_subject; content:"CN=Evil CA"; flowbits:noalert;', "flowbits"),
        ('tls.cert_subject; content:"CN=Evil CA"; threshold:type limit, count 1;', "threshold"),
        ('flow:established,only_stream; tls.sni; content:"rat.example";', "flow"),
        ('content:"CN=Evil CA";', "content outside a TLS buffer"),
        ('tls.sni; content:"rat.example"; bsize:>5;', "bsize of a range"),
        ('tls.sni; dotprefix; content:"rat.example";', "dotprefix otherwise"),
        ('tls.sni; content:!"rat.example";', "nothing that must be there"),
        ('tls.cert_subject; content:"CN=a";', "too short a text"),
        ('tls.cert_subject; content:"CN=Evil CA"; tls.cert_issuer;', "a buffer without content"),
        ("tls.cert_subject; nocase;", "nocase without content"),
    ],
)
def test_a_rule_that_asks_for_more_is_named_and_left_out_whole(options: str, asked: str) -> None:
    reading = read_suricata(rule(options))
    assert (reading.indicators, reading.rules) == ((), ())
    (reason,) = reading.skipped
    assert reason.startswith(f"rule asks for {asked}")


@pytest.mark.parametrize(
    ("head", "asked"),
    [
        ("pass tls any any -> any any", "the action pass"),
        ("alert tcp any any -> any any", "the protocol tcp"),
        ("alert tls any any -> any 443", "addresses or ports"),
        ("alert tls any any -> 198.51.100.7 any", "addresses or ports"),
        ("alert tls !$HOME_NET any -> any any", "addresses or ports"),
    ],
)
def test_a_rule_for_other_traffic_is_left_out(head: str, asked: str) -> None:
    reading = read_suricata(rule('tls.sni; content:"rat.example";', head))
    assert reading.rules == ()
    assert list(reading.skipped) == [f"rule asks for {asked}"]


@pytest.mark.parametrize(
    "line",
    [
        b"alert tls any any -> any any (msg:",
        b'alert tls any any -> any any (tls.sni; content:"rat.example";)',
        b'alert tls any any -> any any (tls.sni; content:"rat.example; sid:1;)',
        b'alert tls any any -> any any (tls.sni; content:"|4|"; sid:1;)',
        b'alert tls any any -> any any (tls.cert_fingerprint; content:"aa:bb"; sid:1;)',
        b"198.51.100.7",
    ],
)
def test_what_is_no_rule_is_named(line: bytes) -> None:
    with pytest.raises(FeedError, match="1 of 1 rows cannot be read, first line 1"):
        read_suricata(line)


def test_older_spellings() -> None:
    old = rule('tls_sni; content:"rat.example"; isdataat:!1,relative; nocase;')
    (only,) = read_suricata(old).rules
    assert only.conditions == (Condition("sni", "rat.example", nocase=True, at_end=True),)
    (found,) = read_suricata(rule(f'tls.fingerprint:"{SHA1}";')).indicators
    assert found == Indicator(Kind.CERTIFICATE_SHA1, SHA1)
    (whole,) = read_suricata(rule('tls.sni; content:"rat.example"; bsize:11;')).indicators
    assert whole == Indicator(Kind.HOST, "rat.example")


def test_rules_hold_of_handshakes_when_all_their_conditions_do() -> None:
    seen = facts(mint("AsyncRAT Server"), client=hello(name=True))
    values = values_of(seen)
    assert values["subject"] == "CN=AsyncRAT Server"

    def holds(options: str) -> bool:
        (only,) = read_suricata(rule(options)).rules
        return only.holds(values)

    assert holds('tls.cert_subject; content:"AsyncRAT Server"; endswith;')
    assert holds('tls.cert_issuer; content:"cn=asyncrat"; nocase; startswith;')
    assert not holds('tls.cert_issuer; content:"cn=asyncrat"; startswith;')
    assert holds('tls.sni; content:"op.example"; endswith; tls.cert_subject; content:"AsyncRAT";')
    assert not holds('tls.sni; content:"cat.example"; tls.cert_subject; content:"AsyncRAT";')
    assert not holds('tls.cert_subject; content:"AsyncRAT"; content:!"Server";')
    # What a connection does not show holds nothing, not even that something is not there.
    nameless = values_of(facts(mint("AsyncRAT Server"), client=hello()))
    (ruled,) = read_suricata(
        rule('tls.cert_subject; content:"AsyncRAT"; tls.sni; content:!"good.example";')
    ).rules
    assert ruled.holds(values)
    assert not ruled.holds({**nameless, "sni": None})


def test_more_rules_than_can_be_tried_are_refused() -> None:
    lines = [
        f'alert tls any any -> any any (tls.sni; content:"rat{n}.example"; sid:{n};)'
        for n in range(1, RULES_LIMIT + 2)
    ]
    assert len(read_suricata("\n".join(lines[:-1]).encode()).rules) == RULES_LIMIT
    with pytest.raises(FeedError, match="more than 2000 rules"):
        read_suricata("\n".join(lines).encode())
