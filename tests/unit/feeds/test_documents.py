"""MISP events and STIX bundles: what is meant for detection, and nothing that was not said."""

import json
from typing import Any

import pytest

from ratwall.feeds.documents import read_misp, read_stix
from ratwall.feeds.errors import FeedError
from ratwall.feeds.indicator import Indicator, Kind
from ratwall.feeds.reading import moment
from unit.feeds.lists import JA3, SHA1, SHA256, attribute, bundle, event, indicator

SEEN = moment("2025-11-20 10:00")


def test_a_misp_event_names_servers_certificates_and_fingerprints() -> None:
    data = event(
        attribute("ip-dst|port", "198.51.100.7|6606"),
        attribute("ip-dst", "2001:db8::7"),
        attribute("domain|ip", "c2.rat.example|198.51.100.7"),
        objects=[
            {
                "name": "x509",
                "Attribute": [
                    attribute("x509-fingerprint-sha1", SHA1),
                    attribute("x509-fingerprint-sha256", SHA256),
                ],
            },
            {"name": "ja3", "deleted": False, "Attribute": [attribute("ja3-fingerprint-md5", JA3)]},
        ],
    )
    reading = read_misp(data)
    called = "AsyncRAT servers"
    assert reading.indicators == (
        Indicator(Kind.ENDPOINT, "198.51.100.7", 6606, called, SEEN),
        Indicator(Kind.ADDRESS, "2001:db8::7", 0, called, SEEN),
        Indicator(Kind.NAME, "c2.rat.example", 0, called, SEEN),
        Indicator(Kind.CERTIFICATE_SHA1, SHA1, 0, called, SEEN),
        Indicator(Kind.CERTIFICATE_SHA256, SHA256, 0, called, SEEN),
        Indicator(Kind.JA3, JA3, 0, called, SEEN),
    )


@pytest.mark.parametrize(
    "one",
    [
        attribute("ip-dst", "198.51.100.7", to_ids=False),
        attribute("ip-dst", "198.51.100.7", deleted=True),
        attribute("sha256", SHA256),
        attribute("ip-src", "198.51.100.7"),
        attribute("url", "https://c2.rat.example/"),
        attribute("made-up", "x"),
        {"type": ["ip-dst"], "value": {"a": 1}, "to_ids": True},
    ],
)
def test_what_is_not_for_detection_here_is_left_out_and_counted(one: dict[str, Any]) -> None:
    reading = read_misp(event(one))
    assert reading.indicators == ()
    assert sum(reading.skipped.values()) == 1


def test_a_list_of_events_is_read_too() -> None:
    one = json.loads(event(attribute("domain", "c2.rat.example")))
    assert len(read_misp(json.dumps([one, one]).encode()).indicators) == 1
    assert len(read_misp(json.dumps({"response": [one]}).encode()).indicators) == 1


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("[ipv4-addr:value = '198.51.100.7']", [(Kind.ADDRESS, "198.51.100.7", 0)]),
        ("[ipv6-addr:value='2001:db8::7']", [(Kind.ADDRESS, "2001:db8::7", 0)]),
        ("[domain-name:value = 'C2.rat.example']", [(Kind.NAME, "c2.rat.example", 0)]),
        (
            f"[x509-certificate:hashes.'SHA-1' = '{SHA1}']",
            [(Kind.CERTIFICATE_SHA1, SHA1, 0)],
        ),
        (
            f"[x509-certificate:hashes.\"SHA-256\" = '{SHA256}']",
            [(Kind.CERTIFICATE_SHA256, SHA256, 0)],
        ),
        (
            "[domain-name:value = 'a.example' OR (domain-name:value = 'b.example')]",
            [(Kind.NAME, "a.example", 0), (Kind.NAME, "b.example", 0)],
        ),
        (
            "[ipv4-addr:value = '198.51.100.7'] OR [domain-name:value = 'b.example']",
            [(Kind.ADDRESS, "198.51.100.7", 0), (Kind.NAME, "b.example", 0)],
        ),
        (
            "[network-traffic:dst_ref.value = '198.51.100.7' AND network-traffic:dst_port = 6606]",
            [(Kind.ENDPOINT, "198.51.100.7", 6606)],
        ),
    ],
)
def test_stix_patterns_of_the_subset(pattern: str, found: list[tuple[Kind, str, int]]) -> None:
    reading = read_stix(bundle(indicator(pattern)))
    assert [(one.kind, one.value, one.port) for one in reading.indicators] == found
    assert {(one.family, one.seen) for one in reading.indicators} == {("AsyncRAT", SEEN)}


@pytest.mark.parametrize(
    "pattern",
    [
        "[ipv4-addr:value = '198.51.100.7' AND domain-name:value = 'a.example']",
        "[ipv4-addr:value != '198.51.100.7']",
        "[ipv4-addr:value ISSUBSET '198.51.100.0/24']",
        "[ipv4-addr:value = '198.51.100.7'] FOLLOWEDBY [domain-name:value = 'a.example']",
        "[ipv4-addr:value = '198.51.100.7'] WITHIN 300 SECONDS",
        "[NOT ipv4-addr:value = '198.51.100.7']",
        "[ipv4-addr:value = '198.51.100.7' OR process:name = 'x.exe']",
        "[file:hashes.'SHA-256' = 'aa']",
        "[url:value = 'https://c2.rat.example/']",
        "ipv4-addr:value = '198.51.100.7'",
        "[]",
        "",
    ],
)
def test_a_pattern_that_asks_for_more_is_left_out_whole(pattern: str) -> None:
    reading = read_stix(bundle(indicator(pattern)))
    assert reading.indicators == ()
    assert sum(reading.skipped.values()) == 1


def test_what_a_feed_takes_back_or_limits_is_heeded() -> None:
    pattern = "[ipv4-addr:value = '198.51.100.7']"
    end = moment("2025-11-22")
    reading = read_stix(
        bundle(
            indicator(pattern, revoked=True),
            indicator(pattern, pattern_type="sigma"),
            indicator(pattern, valid_until="2025-11-22T00:00:00Z", confidence=30),
            {"type": "malware", "name": "AsyncRAT"},
        )
    )
    (only,) = reading.indicators
    assert (only.until, only.confidence) == (end, 30)
    assert SEEN is not None
    assert only.acts_until(SEEN) == 0  # the feed itself is not sure
    assert reading.rows == 3


def test_the_end_that_a_feed_sets_counts_when_it_comes_first() -> None:
    pattern, end = "[domain-name:value = 'c2.rat.example']", moment("2025-11-22")
    (only,) = read_stix(bundle(indicator(pattern, valid_until="2025-11-22T00:00:00Z"))).indicators
    assert SEEN is not None
    assert only.acts_until(SEEN) == end


@pytest.mark.parametrize("read", [read_misp, read_stix])
@pytest.mark.parametrize(
    "data",
    [b"{", b"[[[", b'"text"', b"[" * 100_000, b"{}", b"17", b'{"objects": 3}', b"[1, 2]"],
)
def test_what_is_no_such_document_is_refused(read: Any, data: bytes) -> None:
    with pytest.raises(FeedError):
        read(data)


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(FeedError, match="1 of 1 rows cannot be read, first object 1"):
        read_stix(bundle(indicator("[ipv4-addr:value = '198.51.100.777']")))
    with pytest.raises(FeedError, match="first attribute 1"):
        read_misp(event(attribute("ip-dst|port", "198.51.100.7|99999")))
