"""Against tshark: what 853 captures that nobody here made hold, stream by stream.

Each field must equal tshark's on at least 99.5 % of the streams for which tshark has a value; and
each difference, whichever side sees more, is listed below by name with its reason. A difference
that is not listed fails, and so does one that is listed and has gone.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from replay.conftest import Corpus, Record, StreamName

SHARE = 0.995
SECONDS_LIMIT = 60  # for the whole corpus, on one slow core; about two are needed
FILE_SECONDS_LIMIT = 10

CERTIFICATE = ("leaf SHA-1", "subject", "issuer", "not before", "not after")
FIELDS = ("SNI", "version", "JA3", "JA4", "JA3S", *CERTIFICATE)

NDPI = "ndpi/tests/cfgs/default/pcap/"
MERCURY = "mercury/"
Explained = dict[StreamName, tuple[str, ...]]

# The server answered one SYN twice, with different numbers. tshark begins another stream with the
# second SYN-ACK and finds only half of the handshake in each; here it is one connection, whole.
SPLIT_BY_TSHARK: Explained = {
    (NDPI + "KakaoTalk_chat.pcap", 2): ("version", "JA3S", *CERTIFICATE),
    (NDPI + "KakaoTalk_chat.pcap", 4): ("JA3", "JA4"),
}

# The capture ends, or the chain breaks, behind the leaf. tshark wants the whole record or message;
# a verdict that waited for it would come too late.
LEAF_OF_AN_UNFINISHED_MESSAGE: Explained = {
    (NDPI + "KakaoTalk_chat.pcap", 19): ("version", "JA3S", *CERTIFICATE),
    (MERCURY + "test/afl_data/corner-cases.pcap", 11): CERTIFICATE,
    (MERCURY + "test/afl_data/full_cert_empty_second_cert.pcap", 0): CERTIFICATE,
    (NDPI + "imaps.pcap", 1): CERTIFICATE,
    (NDPI + "pops.pcapng", 0): CERTIFICATE,
    (NDPI + "tls_port_80.pcapng", 0): CERTIFICATE,
}

# OpenVPN on port 443, which tshark takes for TLS by its port; the handshake inside is read here.
OPENVPN_ON_443: Explained = {
    (NDPI + "openvpn.pcap", 1): ("version", "JA3", "JA4", "JA3S", *CERTIFICATE),
}

# Segments of zeros went ahead with the same numbers, and the first copy wins on both sides; later
# records of the server stand on their own and show the leaf.
BEHIND_ZEROS: Explained = {(NDPI + "heuristic_tcp_ack_payload.pcap", 0): CERTIFICATE}

# tshark reads on behind the end of an empty supported_versions, behind a ServerHello of length 0,
# and behind the end of a list of groups.
READ_BEYOND_THE_END_BY_TSHARK: Explained = {
    ("arkime/tests/pcap/arkime_synthetic.pcap", 97): ("version",),
    (MERCURY + "test/afl_data/corner-cases.pcap", 2): ("version", "JA3S"),
    ("pcapplusplus/Tests/Packet++Test/PacketExamples/ssl-malformed1.pcap", 0): ("JA3",),
}

# Nine bytes that are no certificate: nothing is reported of them but the anomaly.
NO_CERTIFICATE_IN_THE_MESSAGE: Explained = {
    ("suricata-verify/tests/bug-1450-04/tls_DER-incomplete-header.pcap", 0): ("leaf SHA-1",),
    ("suricata-verify/tests/bug-1450-05/tls_DER-incomplete-content.pcap", 0): ("leaf SHA-1",),
}

EXPLAINED: Explained = {
    **SPLIT_BY_TSHARK,
    **LEAF_OF_AN_UNFINISHED_MESSAGE,
    **OPENVPN_ON_443,
    **BEHIND_ZEROS,
    **READ_BEYOND_THE_END_BY_TSHARK,
    **NO_CERTIFICATE_IN_THE_MESSAGE,
}

# Streams that tshark counts and replay does not list.
NOT_LISTED: dict[StreamName, str] = {
    (NDPI + "KakaoTalk_chat.pcap", 4): "the other half of stream 2",
    (NDPI + "KakaoTalk_chat.pcap", 16): "another protocol on port 443",
    (NDPI + "KakaoTalk_talk.pcap", 7): "another protocol on port 443",
    (NDPI + "wechat.pcap", 0): "the middle of a record on port 443, and nothing after it",
    (NDPI + "waze.pcap", 30): "another protocol on port 443",
    (NDPI + "openvpn.pcap", 2): "OpenVPN on port 443, handshake encrypted",
    (MERCURY + "unit_tests/pcaps/emix.pcap", 488): "OpenVPN with an HMAC of unknown size",
    (MERCURY + "unit_tests/pcaps/openvpn_tcp_single.pcap", 0): "the same capture on its own",
    (MERCURY + "test/afl_data/corner-cases.pcap", 9): "listed with the sides exchanged: "
    "a Certificate is all there is, and taken for the server's",
    (NDPI + "6in4tunnel.pcap", 0): "a piece of TLS quoted in an ICMP error, no TCP at all",
    ("pcapplusplus/Tests/ExamplesTest/pcap_examples/tcp-reassembly.pcap", 6): "quoted in ICMP too",
}

DAMAGED = {
    "suricata-verify/tests/bug-1450-04/tls_DER-incomplete-header.pcap",
    "suricata-verify/tests/bug-1450-05/tls_DER-incomplete-content.pcap",
}

_VERSIONS = {
    "SSLv3": "SSL 3.0",
    "TLS1.0": "TLS 1.0",
    "TLS1.1": "TLS 1.1",
    "TLS1.2": "TLS 1.2",
    "TLS1.3": "TLS 1.3",
    "0xfb1a": "TLS 1.3",  # Facebook's draft
    "0x7e01": "TLS 1.3",  # Google's experiment
}


def true_facts(stream: Record) -> dict[str, Any]:
    client, server, leaf = (stream.get(part) or {} for part in ("ch", "sh", "leaf"))
    version = server.get("version")
    if version is not None:
        version = "TLS 1.3" if "draft" in version else _VERSIONS.get(version, version)
    return {
        "SNI": client.get("sni"),
        "version": version,
        "JA3": client.get("ja3"),
        "JA4": client.get("ja4"),
        "JA3S": server.get("ja3s"),
        "leaf SHA-1": leaf.get("sha1"),
        "subject": leaf.get("subject"),
        "issuer": leaf.get("issuer"),
        "not before": leaf.get("not_before") and leaf["not_before"].replace(" ", "T"),
        "not after": leaf.get("not_after") and leaf["not_after"].replace(" ", "T"),
    }


def read_facts(record: Record | None) -> dict[str, Any]:
    record = record or {}
    certificate = record.get("certificate") or {}
    return {
        "SNI": record.get("sni"),
        "version": record.get("tls_version"),
        "JA3": record.get("ja3"),
        "JA4": record.get("ja4"),
        "JA3S": record.get("ja3s"),
        "leaf SHA-1": certificate.get("sha1"),
        "subject": certificate.get("subject"),
        "issuer": certificate.get("issuer"),
        "not before": certificate.get("not_before"),
        "not after": certificate.get("not_after"),
    }


def compare(corpus: Corpus) -> Iterator[tuple[StreamName, str, Any, Any]]:
    for name, stream in corpus.truth.items():
        truth, read = true_facts(stream), read_facts(corpus.matched.get(name))
        for field in FIELDS:
            yield name, field, truth[field], read[field]


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_equals_tsharks_on_995_streams_of_1000(corpus: Corpus, field: str) -> None:
    pairs = [(true, read) for _, one, true, read in compare(corpus) if one == field]
    known = [true == read for true, read in pairs if true is not None]
    assert len(known) > 400
    assert sum(known) / len(known) >= SHARE


def test_every_difference_is_explained_and_every_explanation_is_needed(corpus: Corpus) -> None:
    different: dict[StreamName, list[str]] = defaultdict(list)
    for name, field, true, read in compare(corpus):
        if true != read:
            different[name].append(field)
    assert {name: tuple(fields) for name, fields in different.items()} == EXPLAINED


def test_every_stream_is_listed_or_it_is_said_why_not(corpus: Corpus) -> None:
    assert set(corpus.truth) - set(corpus.matched) == set(NOT_LISTED)


def test_resumption_is_never_claimed_where_a_certificate_was_shown(corpus: Corpus) -> None:
    for name, record in corpus.matched.items():
        if record["resumed"]:
            assert not corpus.truth[name].get("leaf"), name


def test_no_file_crashes_and_the_unreadable_ones_say_why(corpus: Corpus) -> None:
    assert len(corpus.records) == len(corpus.files) == 853
    for file, message in corpus.errors.items():
        assert ("cut short" if file in DAMAGED else "link type") in message
        assert "\n" not in message
    assert set(corpus.errors) >= DAMAGED


def test_no_file_hangs(corpus: Corpus) -> None:
    assert sum(corpus.seconds.values()) < SECONDS_LIMIT
    assert max(corpus.seconds.values()) < FILE_SECONDS_LIMIT
