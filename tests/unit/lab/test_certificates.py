"""The lab's certificates have every fact of the routine that the RATs share, and no other.

Byte anchors and lengths were measured on genuine certificates (never copied here).
"""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from ratwall_lab.certificates import (
    DCRAT,
    FAMILIES,
    QUASAR,
    VENOMRAT,
    Family,
    Identity,
    Notary,
    asyncrat_family,
)
from ratwall_lab.keys import is_probable_prime, random_prime

SHA512_WITH_RSA = bytes.fromhex("300d06092a864886f70d01010d0500")
UNTIL_9999 = b"\x18\x0f99991231235959Z"
MADE = datetime(2024, 1, 25, 2, 4, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def notary() -> Notary:
    return Notary()


def test_primes_have_exactly_the_bits_asked_for() -> None:
    for bits in (119, 120, 121, 160):
        assert random_prime(bits).bit_length() == bits


def test_primality_at_known_numbers() -> None:
    assert [number for number in range(60) if is_probable_prime(number)] == [
        *(2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59)
    ]
    assert is_probable_prime(2**127 - 1)
    assert not is_probable_prime((2**61 - 1) * (2**89 - 1))
    assert not is_probable_prime(561), "a Carmichael number fools Fermat, not us"


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_family_is_signed_with_its_own_key_and_has_a_prime_serial(
    notary: Notary, family: Family
) -> None:
    certificate = notary.rat(family).chain[0]
    assert certificate.version is x509.Version.v3
    assert certificate.serial_number.bit_length() == family.serial_bits
    assert is_probable_prime(certificate.serial_number)
    assert certificate.signature_algorithm_oid == SignatureAlgorithmOID.RSA_WITH_SHA512
    assert [(one.oid, one.critical) for one in certificate.extensions] == [
        (ExtensionOID.SUBJECT_KEY_IDENTIFIER, False),
        (ExtensionOID.BASIC_CONSTRAINTS, True),
    ]
    key, algorithm = certificate.public_key(), certificate.signature_hash_algorithm
    assert isinstance(key, rsa.RSAPublicKey) and algorithm is not None
    key.verify(
        certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), algorithm
    )


@pytest.mark.parametrize("name", ["A", "AsyncRAT Server", "Quasar Server CA", "x" * 64])
def test_asyncrat_der_is_1240_plus_twice_the_name(notary: Notary, name: str) -> None:
    der = notary.rat(asyncrat_family(name), now=MADE).der
    assert len(der) == 1240 + 2 * len(name)
    assert der[8:16] == bytes.fromhex("a003020102021000"), "version 3, then 120 bits of serial"
    assert SHA512_WITH_RSA in der
    assert b"\x30\x20\x17\x0d240123020430Z" + UNTIL_9999 in der, "two days back, to year 9999"
    assert b"\x0c" + bytes([len(name)]) + name.encode() in der, "the name is a UTF8String"


@pytest.mark.parametrize(
    ("family", "length", "subject", "issuer_name"),
    [
        (DCRAT, 564, "CN=DcRat", b"DcRat Server"),
        (VENOMRAT, 573, "CN=VenomRAT", b"VenomRAT Server"),
    ],
)
def test_qwqdanchun_shape(
    notary: Notary, family: Family, length: int, subject: str, issuer_name: bytes
) -> None:
    identity = notary.rat(family, now=MADE)
    certificate = identity.chain[0]
    assert len(identity.der) == length
    assert certificate.subject.rfc4514_string() == subject
    assert certificate.subject != certificate.issuer
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime.days == 3935 and lifetime.seconds == 0
    wire = [identity.der.find(text) for text in (issuer_name, b"qwqdanchun", b"\x0c\x02SH")]
    assert wire == sorted(wire) and -1 not in wire, "CN, OU, …, L in this order on the wire"


def openssl_verifies(identity: Identity, root: Path, folder: Path) -> bool:
    parts = identity.chain_file.read_text().split("-----BEGIN CERTIFICATE-----")[1:]
    leaf, rest = folder / "leaf.pem", folder / "rest.pem"
    leaf.write_text("-----BEGIN CERTIFICATE-----" + parts[0])
    rest.write_text("".join("-----BEGIN CERTIFICATE-----" + part for part in parts[1:]))
    argv = ["openssl", "verify", "-CAfile", str(root), "-untrusted", str(rest), str(leaf)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(("kind", "intermediates"), [("ec256", 1), ("rsa2048", 2)])
def test_web_sites_have_a_chain_that_openssl_accepts(
    notary: Notary, tmp_path: Path, kind: str, intermediates: int
) -> None:
    site = notary.web_site("www.example.com", kind=kind, intermediates=intermediates)  # type: ignore[arg-type]
    assert len(site.chain) == intermediates + 1
    assert openssl_verifies(site, notary.trust_root(), tmp_path)
    assert not is_probable_prime(site.chain[0].serial_number)


def test_honest_look_alikes_share_traits_but_not_the_shape(notary: Notary) -> None:
    appliance, printer = notary.appliance().chain[0], notary.printer().chain[0]
    for certificate in (appliance, printer):
        assert certificate.subject == certificate.issuer, "self-issued, like AsyncRAT"
        assert not is_probable_prime(certificate.serial_number)
    assert printer.not_valid_after_utc.year == 9999
    assert len(list(printer.extensions)) == 0


def test_two_certificates_of_a_family_differ(notary: Notary) -> None:
    assert notary.rat(QUASAR).der != notary.rat(QUASAR).der
