"""The record of a connection: exactly the keys of the contract, ready for JSON."""

import json

import pytest

from ratwall.signatures.pack import load_packs
from ratwall.verdict.judge import Thresholds, judge
from ratwall.verdict.record import TEXT_LIMIT, certificate_record, flow_record, iso_time
from ratwall.wire.tls.facts import TlsFacts
from ratwall.wire.tls.handshake import ServerHello
from ratwall.wire.x509.certificate import parse_certificate
from unit.signatures.seen import HTTPS, facts, hello
from unit.wire.x509.minting import assemble, mint, plain_name, tlv

KEYS = [
    *("client", "client_port", "server", "server_port", "start", "sni", "tls_version"),
    *("ja3", "ja4", "ja3s", "resumed", "certificate", "score", "verdict", "family", "evidence"),
]
CERTIFICATE_KEYS = [
    *("subject", "issuer", "sha1", "sha256", "serial", "not_before", "not_after"),
    *("self_issued", "key_type", "key_bits", "signature_algorithm"),
]
START = 1_705_975_470_000_123


def record(seen: TlsFacts) -> dict[str, object]:
    made = flow_record(
        client=bytes((192, 168, 1, 10)),
        client_port=50123,
        server=HTTPS.server,
        server_port=443,
        start_us=START,
        facts=seen,
        judgement=judge(load_packs(), Thresholds(), seen, HTTPS, None, START),
    )
    loaded: dict[str, object] = json.loads(json.dumps(made))
    assert loaded == made, "nothing in it needs translating to JSON"
    return loaded


def test_a_blocked_connection() -> None:
    serial = 0xEAE051748BB5594FC1BFB18C75E94F
    seen = facts(mint("AsyncRAT Server", serial=serial), client=hello())
    seen.server_hello = ServerHello(0x0303, bytes(32), b"", 0xC014, 0, ())
    made = record(seen)
    assert list(made) == KEYS
    assert made["client"] == "192.168.1.10"
    assert made["server"] == "203.0.113.7"
    assert made["start"] == "2024-01-23T02:04:30.000123Z"
    assert (made["sni"], made["tls_version"]) == (None, "TLS 1.2")
    assert (made["verdict"], made["score"], made["family"]) == ("block", 100, "AsyncRAT")
    certificate, evidence = made["certificate"], made["evidence"]
    assert isinstance(certificate, dict)
    assert list(certificate) == CERTIFICATE_KEYS
    assert certificate["subject"] == certificate["issuer"] == "CN=AsyncRAT Server"
    assert certificate["serial"] == "EAE051748BB5594FC1BFB18C75E94F"
    assert certificate["not_before"] == "2024-01-23T02:04:30Z"
    assert certificate["not_after"] == "9999-12-31T23:59:59Z"
    assert isinstance(evidence, list)
    assert [list(item) for item in evidence] == [["id", "points", "text", "technique"]] * 3


def test_a_connection_that_showed_nothing() -> None:
    made = record(TlsFacts())
    assert list(made) == KEYS
    assert (made["certificate"], made["ja3"], made["ja4"], made["ja3s"]) == (None,) * 4
    assert (made["verdict"], made["score"], made["evidence"]) == ("clean", 0, [])


def test_ipv6_addresses_are_written_short() -> None:
    seen = TlsFacts()
    made = flow_record(
        client=bytes.fromhex("fd00" + "00" * 13 + "0a"),
        client_port=1,
        server=bytes.fromhex("20010db8" + "00" * 11 + "07"),
        server_port=2,
        start_us=0,
        facts=seen,
        judgement=judge((), Thresholds(), seen, HTTPS, None, 0),
    )
    assert (made["client"], made["server"]) == ("fd00::a", "2001:db8::7")
    assert made["start"] == "1970-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("serial", "shown"), [(b"\x01", "01"), (b"\x0a\xbc", "0ABC"), (b"\xff", "-01"), (b"", "00")]
)
def test_serials_are_shown_as_openssl_does(serial: bytes, shown: str) -> None:
    assert certificate_record(parse_certificate(assemble(serial=serial)))["serial"] == shown


def test_unreadable_dates_are_null() -> None:
    odd = parse_certificate(assemble(validity=tlv(0x17, b"?") + tlv(0x18, b"00010101000000Z")))
    made = certificate_record(odd)
    assert (made["not_before"], made["not_after"]) == (None, "0001-01-01T00:00:00Z")


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_texts_that_strangers_choose_are_cut(extra: int) -> None:
    """A report is one packet; a name of 60 KB must not keep it from being sent."""
    size = TEXT_LIMIT - len("CN=") + extra
    odd = parse_certificate(
        assemble(subject=plain_name(b"n" * size), serial=b"\x7f" * (TEXT_LIMIT // 2 + extra))
    )
    made = certificate_record(odd)
    assert len(made["subject"]) == min(size + 3, TEXT_LIMIT)
    assert made["subject"].endswith("…") is (extra > 0)
    assert len(made["serial"]) == min(TEXT_LIMIT + 2 * extra, TEXT_LIMIT)


def test_times_keep_their_microseconds() -> None:
    assert iso_time(START) == "2024-01-23T02:04:30.000123Z"
