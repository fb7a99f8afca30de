"""Certificates: what is read agrees with independent judges, and what breaks rules is kept."""

import json
import subprocess
import time
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from corpus import CERTIFICATES, require_corpus
from ratwall.wire.errors import ParseError
from ratwall.wire.x509.certificate import (
    EXTENSIONS_LIMIT,
    SERIAL_OCTETS_LIMIT,
    Certificate,
    parse_certificate,
)
from unit.wire.x509 import minting
from unit.wire.x509.minting import AKI, CA, SAN, SKI, assemble, mint, name, tlv

# Parsing goes on while packets wait behind it; a millisecond of delay is what a user may notice of
# a whole handshake, so a parse may take a fifth of that even on a slow day.
PARSE_SECONDS = 200e-6


def unix(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp())  # type: ignore[arg-type, misc]


def variants() -> dict[str, bytes]:
    return {
        "stock shape": mint("AsyncRAT Server"),
        "two names": mint("DcRat", issuer=name(("CN", "DcRat Server"), ("OU", "x"), ("C", "CN"))),
        "short validity": mint(until=datetime(2034, 1, 23, 2, 4, 30, tzinfo=UTC)),
        "past 2050": mint(until=datetime(2050, 1, 1, tzinfo=UTC)),
        "elliptic curve": mint(key=minting.ec_key(), digest=hashes.SHA256()),
        "rsa 1024": mint(key=minting.rsa_key(1024), serial=minting.prime(159)),
        "web site": mint("shop.example", extensions=(CA, AKI, SAN), digest=hashes.SHA256()),
        "no extension": mint(extensions=()),
        "umlauts": mint("Müller & Söhne"),
    }


@pytest.mark.parametrize("kind", variants())
def test_agrees_with_cryptography(kind: str) -> None:
    der = variants()[kind]
    ours, theirs = parse_certificate(der), x509.load_der_x509_certificate(der)
    assert ours.defects == ()
    assert ours.der_length == len(der)
    assert ours.sha1 == theirs.fingerprint(hashes.SHA1()).hex()
    assert ours.sha256 == theirs.fingerprint(hashes.SHA256()).hex()
    assert ours.version == 3
    assert ours.serial == theirs.serial_number
    assert ours.serial_bits == theirs.serial_number.bit_length()
    assert ours.not_before == int(theirs.not_valid_before_utc.timestamp())
    assert ours.not_after == int(theirs.not_valid_after_utc.timestamp())
    assert ours.not_after_generalized is (theirs.not_valid_after_utc.year >= 2050)
    assert ours.issuer.der == theirs.issuer.public_bytes()
    assert ours.subject.der == theirs.subject.public_bytes()
    assert ours.self_issued is (theirs.issuer == theirs.subject)
    assert [(e.oid, e.critical) for e in ours.extensions] == [
        (e.oid.dotted_string, e.critical) for e in theirs.extensions
    ]
    assert ours.key_bits == theirs.public_key().key_size  # type: ignore[union-attr]
    assert (
        ours.signature_algorithm
        == {
            "sha512": "sha512WithRSAEncryption",
            "sha256": "sha256WithRSAEncryption",
        }.get(theirs.signature_hash_algorithm.name, "")
        or ours.key_type == "ec"
    )  # type: ignore[union-attr]
    assert ours.is_ca is (True if CA in kind_extensions(theirs) else None)


def kind_extensions(certificate: x509.Certificate) -> set[str]:
    return {CA for e in certificate.extensions if isinstance(e.value, x509.BasicConstraints)}


@pytest.mark.parametrize("kind", variants())
def test_prints_names_as_openssl_does(kind: str) -> None:
    der = variants()[kind]
    command = ["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-issuer", "-serial"]
    command += ["-nameopt", "sep_comma_plus,utf8", "-text", "-certopt", "no_pubkey,no_extensions"]
    shown = subprocess.run(command, input=der, capture_output=True, check=True).stdout.decode()
    ours = parse_certificate(der)
    assert f"subject={ours.subject}\n" in shown
    assert f"issuer={ours.issuer}\n" in shown
    assert f"serial={ours.serial:X}\n" in shown
    assert f"Signature Algorithm: {ours.signature_algorithm}\n" in shown


def test_reads_the_ten_genuine_certificates_as_their_index_says() -> None:
    """Certificates of real command servers, from published configurations and captures."""
    require_corpus()
    rows = [json.loads(line) for line in (CERTIFICATES / "index.jsonl").read_text().splitlines()]
    for row in rows:
        ours = parse_certificate((CERTIFICATES / f"{row['sha1']}.der").read_bytes())
        assert (ours.sha1, ours.sha256) == (row["sha1"], row["sha256"])
        assert (str(ours.subject), str(ours.issuer)) == (row["subject"], row["issuer"])
        assert f"{ours.serial:X}" == row["serial"]
        assert ours.serial_bits in (120, 160)
        assert ours.serial_is_prime()
        assert ours.self_signature() is True, "all ten are signed with the key they carry"
        assert ours.defects == ()
    assert len(rows) == 10


def test_parses_in_a_fifth_of_a_millisecond() -> None:
    der = mint("AsyncRAT Server", key=minting.rsa_key(4096))
    best = min(_timed(der) for _ in range(200))
    assert best < PARSE_SECONDS


def _timed(der: bytes) -> float:
    start = time.perf_counter()
    parse_certificate(der)
    return time.perf_counter() - start


# --- what Windows forgives ---------------------------------------------------------------------


def shape(certificate: Certificate) -> tuple[object, ...]:
    """What a signature looks at, which no harmless re-encoding may change."""
    return (
        certificate.serial,
        str(certificate.subject),
        certificate.not_after,
        [(e.oid, e.critical) for e in certificate.extensions],
        certificate.signature_algorithm,
    )


def test_bytes_behind_the_certificate_are_a_defect() -> None:
    der = mint()
    odd = parse_certificate(der + b"\0\0\0")
    assert odd.defects == ("3 bytes after its end",)
    assert shape(odd) == shape(parse_certificate(der))


def test_lengths_in_long_form_are_a_defect() -> None:
    der = mint()
    assert der[:2] == b"\x30\x82"
    odd = parse_certificate(b"\x30\x84\0\0" + der[2:])
    assert odd.defects == ("length not in its shortest form",)
    assert shape(odd) == shape(parse_certificate(der))


def test_an_indefinite_outer_length_is_a_defect() -> None:
    der = mint()
    odd = parse_certificate(b"\x30\x80" + der[4:] + b"\0\0")
    assert odd.defects == ("indefinite length",)
    assert shape(odd) == shape(parse_certificate(der))
    assert odd.self_signature() is True


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.99])
def test_a_certificate_that_is_cut_off_keeps_what_is_there(kept: float) -> None:
    der = mint()
    odd = parse_certificate(der[: int(len(der) * kept)])
    assert "cut off before its end" in odd.defects
    assert str(odd.subject) == "CN=Acme Printing"


def test_nothing_useful_is_an_error() -> None:
    for nothing in (b"", b"\x30", b"\x30\x80", b"\x30\x03\x02\x01", b"hello, world", mint()[:60]):
        with pytest.raises(ParseError):
            parse_certificate(nothing)


def test_two_signature_algorithms_that_differ_are_a_defect() -> None:
    odd = parse_certificate(assemble(outer_algorithm=tlv(0x30, bytes.fromhex("06032b6570"))))
    assert odd.defects == ("two different signature algorithms",)
    assert odd.signature_algorithm == "sha512WithRSAEncryption"


def test_a_missing_signature_is_a_defect() -> None:
    whole = assemble()
    body = whole[4 : 4 + 4 + int.from_bytes(whole[6:8], "big")]
    odd = parse_certificate(tlv(0x30, body))
    assert len(odd.defects) == 1
    assert odd.defects[0].startswith("signature: ")
    assert odd.self_signature() is False


def test_a_broken_key_is_a_defect() -> None:
    odd = parse_certificate(assemble(key=tlv(0x30, b"\x05\x00")))
    assert (odd.key_type, odd.key_bits, odd.rsa_modulus) == ("unreadable", 0, None)
    assert odd.self_signature() is None
    assert any(defect.startswith("public key: ") for defect in odd.defects)


@pytest.mark.parametrize(
    ("version", "read", "odd"), [(0, 1, False), (1, 2, False), (2, 3, False), (3, 4, True)]
)
def test_counts_versions_as_people_do(version: int, read: int, odd: bool) -> None:
    certificate = parse_certificate(assemble(version=tlv(0xA0, bytes((2, 1, version)))))
    assert certificate.version == read
    assert bool(certificate.defects) is odd


def test_an_absent_version_is_version_one() -> None:
    assert parse_certificate(assemble(version=b"")).version == 1


@pytest.mark.parametrize("octets", [SERIAL_OCTETS_LIMIT + n for n in (-1, 0, 1)])
@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_serials_longer_than_allowed_are_a_defect(octets: int, padding: bytes) -> None:
    """A 160-bit serial with its leading zero, as DcRat writes it, is within the rule."""
    top = b"\xff" if padding else b"\x7f"
    certificate = parse_certificate(assemble(serial=padding + top + b"\x01" * (octets - 1)))
    assert bool(certificate.defects) is (octets > SERIAL_OCTETS_LIMIT)
    assert certificate.serial_bits == 8 * octets - (0 if padding else 1)


def test_negative_and_empty_serials_are_defects() -> None:
    negative = parse_certificate(assemble(serial=b"\xff\x01"))
    assert (negative.serial, negative.defects) == (-255, ("negative serial number",))
    assert not negative.serial_is_prime()
    empty = parse_certificate(assemble(serial=b""))
    assert (empty.serial, empty.defects) == (0, ("empty serial number",))


UTC_TIME, GENERALIZED = 0x17, 0x18
ODD_TIME = ("time not in the form that RFC 5280 asks for",)
NO_TIME = ("unreadable time",)


@pytest.mark.parametrize(
    ("tag", "text", "seconds", "defects"),
    [
        (UTC_TIME, b"240123020430Z", unix(2024, 1, 23, 2, 4, 30), ()),
        (UTC_TIME, b"491231235959Z", unix(2049, 12, 31, 23, 59, 59), ()),
        (UTC_TIME, b"500101000000Z", unix(1950, 1, 1), ()),
        (GENERALIZED, b"99991231235959Z", 253402300799, ()),
        (GENERALIZED, b"00010101000000Z", unix(1, 1, 1), ()),
        (GENERALIZED, b"20240229000000Z", unix(2024, 2, 29), ()),
        (UTC_TIME, b"2401230204Z", unix(2024, 1, 23, 2, 4), ODD_TIME),
        (UTC_TIME, b"240123073430+0530", unix(2024, 1, 23, 2, 4, 30), ODD_TIME),
        (UTC_TIME, b"240122210430-0500", unix(2024, 1, 23, 2, 4, 30), ODD_TIME),
        (GENERALIZED, b"20240123020430.25Z", unix(2024, 1, 23, 2, 4, 30), ODD_TIME),
        (GENERALIZED, b"20240123020430", unix(2024, 1, 23, 2, 4, 30), ODD_TIME),
        (GENERALIZED, b"202401230204Z", unix(2024, 1, 23, 2, 4), ODD_TIME),
        (UTC_TIME, b"241323020430Z", None, NO_TIME),
        (UTC_TIME, b"240123240430Z", None, NO_TIME),
        (GENERALIZED, b"20230229000000Z", None, NO_TIME),
        (GENERALIZED, b"00000101000000Z", None, NO_TIME),
        (GENERALIZED, b"240123020430Z", None, ODD_TIME + NO_TIME),
        (UTC_TIME, b"", None, NO_TIME),
        (0x0C, b"240123020430Z", None, NO_TIME),
    ],
)
def test_reads_times(tag: int, text: bytes, seconds: int | None, defects: tuple[str, ...]) -> None:
    start = tlv(UTC_TIME, b"240123020430Z")
    certificate = parse_certificate(assemble(validity=start + tlv(tag, text)))
    assert certificate.not_after == seconds
    assert certificate.not_after_generalized is (tag == GENERALIZED)
    assert certificate.defects == defects


def test_a_validity_of_one_date_is_a_defect() -> None:
    certificate = parse_certificate(assemble(validity=tlv(UTC_TIME, b"240123020430Z")))
    assert (certificate.not_before, certificate.validity_days) == (None, None)
    assert certificate.defects[0].startswith("validity: ")


def extension(oid: bytes, critical: bytes, value: bytes) -> bytes:
    return tlv(0x30, tlv(0x06, oid), critical, value)


BASIC = bytes.fromhex("551d13")


def with_extensions(*rows: bytes) -> Certificate:
    return parse_certificate(assemble(rest=tlv(0xA3, tlv(0x30, *rows))))


@pytest.mark.parametrize(
    ("body", "is_ca", "path_length"),
    [
        (tlv(0x30), False, None),
        (tlv(0x30, b"\x01\x01\xff"), True, None),
        (tlv(0x30, b"\x01\x01\x01"), True, None),
        (tlv(0x30, b"\x01\x01\x00"), False, None),
        (tlv(0x30, b"\x01\x01\xff", b"\x02\x01\x03"), True, 3),
        (b"\x30\x05", None, None),
    ],
)
def test_reads_basic_constraints(body: bytes, is_ca: bool | None, path_length: int | None) -> None:
    certificate = with_extensions(extension(BASIC, b"\x01\x01\xff", tlv(0x04, body)))
    assert (certificate.is_ca, certificate.path_length) == (is_ca, path_length)
    assert certificate.extensions[0].critical
    assert bool(certificate.defects) is (is_ca is None)


@pytest.mark.parametrize("count", [EXTENSIONS_LIMIT - 1, EXTENSIONS_LIMIT, EXTENSIONS_LIMIT + 1])
def test_reads_extensions_up_to_the_limit(count: int) -> None:
    row = extension(bytes.fromhex("551d0e"), b"", tlv(0x04, b"\x04\x00"))
    certificate = with_extensions(*[row] * count)
    assert len(certificate.extensions) == min(count, EXTENSIONS_LIMIT)
    assert bool(certificate.defects) is (count > EXTENSIONS_LIMIT)


def test_unique_identifiers_before_the_extensions_are_stepped_over() -> None:
    row = extension(BASIC, b"", tlv(0x04, tlv(0x30)))
    rest = tlv(0x81, b"\0issuer") + tlv(0x82, b"\0subject") + tlv(0xA3, tlv(0x30, row))
    assert parse_certificate(assemble(rest=rest)).is_ca is False


def test_a_broken_extension_keeps_those_before_it() -> None:
    good = extension(BASIC, b"", tlv(0x04, tlv(0x30)))
    certificate = with_extensions(good, tlv(0x30, b"\x02\x01\x05"))
    assert [e.oid for e in certificate.extensions] == ["2.5.29.19"]
    assert certificate.defects[0].startswith("extensions: extension identifier has tag 0x02")


def test_an_extension_value_of_another_type_is_a_defect() -> None:
    certificate = with_extensions(extension(BASIC, b"", tlv(0x0C, b"x")))
    assert "extension value that is not an OCTET STRING" in certificate.defects


def test_the_stock_shape_has_the_size_that_its_name_gives() -> None:
    """AsyncRAT's certificate: 1240 octets and two for each octet of the name."""
    for common_name in ("AsyncRAT Server", "x", "n" * 64):
        der = mint(common_name, key=minting.rsa_key(4096), extensions=(SKI, CA))
        assert len(der) == 1240 + 2 * len(common_name)
