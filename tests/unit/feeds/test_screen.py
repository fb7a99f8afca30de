"""The screen: what would cut an office off is refused with the reason, an ordinary list is not."""

import pytest

from ratwall.feeds.errors import FeedError
from ratwall.feeds.formats import READERS, read_feed
from ratwall.feeds.reading import Reading
from ratwall.feeds.screen import ESSENTIAL, screen
from unit.feeds.lists import (
    FEODO,
    PLAIN,
    SHA1,
    SSLBL,
    SSLBL_JA3,
    SURICATA,
    THREATFOX_14,
    THREATFOX_15,
)
from unit.feeds.test_suricata import rule

OWN = {"203.0.113.1": "the gateway", "203.0.113.53": "a resolver of this site"}


def plain(*lines: str) -> Reading:
    return read_feed("plain", "\n".join(lines).encode())


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("sslbl", SSLBL),
        ("sslbl-ja3", SSLBL_JA3),
        ("threatfox", THREATFOX_14),
        ("threatfox", THREATFOX_15),
        ("feodo", FEODO),
        ("plain", PLAIN),
        ("suricata", SURICATA),
    ],
)
def test_ordinary_lists_pass(kind: str, data: bytes) -> None:
    screen(read_feed(kind, data), OWN)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("10.0.0.7", "no address of the internet"),
        ("192.168.1.1:443", "no address of the internet"),
        ("172.31.255.255", "no address of the internet"),
        ("100.64.0.1", "no address of the internet"),
        ("127.0.0.1", "no address of the internet"),
        ("0.0.0.0", "no address of the internet"),
        ("224.0.0.1", "no address of the internet"),
        ("255.255.255.255", "no address of the internet"),
        ("::1", "no address of the internet"),
        ("fd00::7", "no address of the internet"),
        ("fe80::7", "no address of the internet"),
        ("203.0.113.1:80", "the gateway"),
        ("203.0.113.53", "a resolver of this site"),
        ("8.8.8.8", "a name server that everybody uses"),
        ("2606:4700:4700::1111", "a name server that everybody uses"),
        ("com", "a whole top-level domain"),
        ("microsoft.com", "a name that everybody uses"),
        ("*.windowsupdate.com", "a name that everybody uses"),
        ("co.uk", "a name that everybody uses"),
        ("live.com", "a name that everybody uses"),
        ("0" * 40, "no digest of anything"),
        ("0" * 64, "no digest of anything"),
    ],
)
def test_one_poisoned_line_refuses_the_list(line: str, why: str) -> None:
    with pytest.raises(FeedError, match=rf"it lists .*, {why}: a poisoned or a wrong list"):
        screen(plain("198.51.100.7:6606", line, SHA1), OWN)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "172.32.0.1",
            "172.15.0.1",
            "100.128.0.1",
            "9.255.255.255",
            "11.0.0.0",
            "223.255.255.255",
        ),
        *("evil.blogspot.com", "x7.duckdns.org", "notmicrosoft.com", "2001:db8::7", "203.0.113.2"),
    ],
)
def test_neighbours_of_the_forbidden_pass(line: str) -> None:
    screen(plain(line), OWN)


@pytest.mark.parametrize(
    "options",
    [
        'tls.cert_subject; content:"CN=*.google.com";',
        'tls.cert_subject; content:".com"; endswith; content:"CN=www";',
        'tls.cert_issuer; content:"O=Let\'s Encrypt";',
        'tls.cert_issuer; content:"digicert"; nocase; tls.cert_subject; content:"microsoft.com";',
        'tls.sni; content:"google.com"; endswith; content:!"evil";',
    ],
)
def test_a_rule_for_what_everybody_uses_refuses_the_list(options: str) -> None:
    with pytest.raises(FeedError, match=r"its rule 7 .* everybody uses"):
        screen(read_feed("suricata", rule(options)), OWN)


@pytest.mark.parametrize(
    "options",
    [
        'tls.cert_subject; content:"CN=AsyncRAT Server";',
        'tls.cert_issuer; content:"O=Let\'s Encrypt"; tls.sni; content:"rat.example"; endswith;',
        'tls.cert_issuer; content:"CN=localhost"; tls.cert_subject; content:"O=Rat Ltd";',
    ],
)
def test_a_rule_with_one_thing_of_its_own_passes(options: str) -> None:
    screen(read_feed("suricata", rule(options)), OWN)


def test_the_list_of_essential_names_is_well_formed() -> None:
    words = [
        line.partition("#")[0].strip()
        for line in ESSENTIAL.read_text().splitlines()
        if not line.startswith("=")
    ]
    names = [word for word in words if word]
    assert len(names) == len(set(names)) > 300
    assert len(plain(*names).indicators) == len(names), "each can be read as what it is"


@pytest.mark.parametrize("kind", list(READERS))
def test_an_empty_file_is_no_feed(kind: str) -> None:
    with pytest.raises(FeedError, match="an empty file"):
        read_feed(kind, b" \r\n")
