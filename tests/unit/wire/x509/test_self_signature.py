"""Who signed a certificate: proven with its own key, or not."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from ratwall.wire.x509.certificate import parse_certificate
from ratwall.wire.x509.self_signature import (
    EXPONENT_BITS_LIMIT,
    MODULUS_BITS_LIMIT,
    signed_with,
)
from unit.wire.x509.minting import ec_key, mint, name, rsa_key

DIGESTS = [hashes.SHA224(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()]


@pytest.mark.parametrize("digest", DIGESTS, ids=lambda digest: digest.name)
def test_proves_a_certificate_signed_with_its_own_key(digest: hashes.HashAlgorithm) -> None:
    assert parse_certificate(mint(digest=digest)).self_signature() is True


def test_proves_it_too_when_the_issuer_is_invented() -> None:
    """DcRat names an issuer that does not exist: comparing names would miss it."""
    certificate = parse_certificate(mint("DcRat", issuer=name(("CN", "Loader Panel"))))
    assert not certificate.self_issued
    assert certificate.self_signature() is True


def test_disproves_a_certificate_that_another_key_signed() -> None:
    assert parse_certificate(mint(signer=rsa_key(number=1))).self_signature() is False
    larger = parse_certificate(mint(key=rsa_key(1024), signer=rsa_key(2048)))
    assert larger.self_signature() is False


def test_disproves_a_certificate_that_was_changed() -> None:
    der = mint("Acme Printing")
    assert parse_certificate(der.replace(b"Acme", b"Axme")).self_signature() is False


def test_does_not_decide_other_kinds_of_keys() -> None:
    assert parse_certificate(mint(key=ec_key())).self_signature() is None
    assert parse_certificate(mint(key=ec_key(), signer=rsa_key())).self_signature() is None


def test_accepts_a_digest_info_without_parameter() -> None:
    """RFC 8017 §9.2 note 1; `cryptography` writes the parameter, so the padding is made here."""
    key = rsa_key()
    numbers = key.private_numbers()
    digest = hashes.Hash(hashes.SHA512())
    digest.update(b"signed")
    info = bytes.fromhex("304f300b0609608648016503040203 0440".replace(" ", ""))
    info += digest.finalize()
    message = b"\0\1" + b"\xff" * (256 - 3 - len(info)) + b"\0" + info
    public = numbers.public_numbers
    signature = pow(int.from_bytes(message, "big"), numbers.d, public.n).to_bytes(256, "big")
    name_ = "sha512WithRSAEncryption"
    assert signed_with(name_, b"signed", signature, public.n, public.e) is True
    assert signed_with(name_, b"others", signature, public.n, public.e) is False


def test_a_signature_shifted_by_the_modulus_is_refused() -> None:
    """RFC 8017 §5.2.2: it verifies arithmetically, so anyone could write two of every one."""
    key = rsa_key(1025)  # 129 octets with room above the modulus
    public = key.public_key().public_numbers()
    signature = key.sign(b"signed", padding.PKCS1v15(), hashes.SHA512())
    shifted = (int.from_bytes(signature, "big") + public.n).to_bytes(129, "big")
    name_ = "sha512WithRSAEncryption"
    assert signed_with(name_, b"signed", signature, public.n, public.e) is True
    assert signed_with(name_, b"signed", shifted, public.n, public.e) is False


@pytest.mark.parametrize("algorithm", ["md5WithRSAEncryption", "sha1WithRSAEncryption"])
def test_proves_old_digests(algorithm: str) -> None:
    key, digest = rsa_key(), hashes.MD5() if "md5" in algorithm else hashes.SHA1()
    hashed = hashes.Hash(digest)
    hashed.update(b"signed")
    signature = key.sign(hashed.finalize(), padding.PKCS1v15(), Prehashed(digest))
    public = key.public_key().public_numbers()
    assert signed_with(algorithm, b"signed", signature, public.n, public.e) is True


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_keys_beyond_the_limits_are_not_decided(extra: int) -> None:
    """A huge key is the cheapest way to make an inspector think for a second."""
    undecided = None if extra > 0 else False
    long_exponent = (1 << (EXPONENT_BITS_LIMIT + extra - 1)) | 1
    size = MODULUS_BITS_LIMIT + extra
    long_modulus = (1 << (size - 1)) | 1
    algorithm = "sha512WithRSAEncryption"
    small = (1 << 1023) | 1
    assert signed_with(algorithm, b"", b"\1" * 128, small, long_exponent) is undecided
    assert signed_with(algorithm, b"", b"\1" * 1024, long_modulus, 65537) is undecided


@pytest.mark.parametrize("modulus", [0, 1 << 1023])
def test_a_key_that_is_none_is_not_decided(modulus: int) -> None:
    assert signed_with("sha512WithRSAEncryption", b"", b"\1" * 128, modulus, 65537) is None


def test_a_key_too_short_for_the_digest_proves_nothing() -> None:
    modulus = (1 << 255) | 1
    assert signed_with("sha512WithRSAEncryption", b"", b"\1" * 32, modulus, 3) is False
