"""Certificates for tests: well-formed ones by `cryptography`, broken ones octet by octet."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ratwall.wire.x509.primes import is_probable_prime

END_OF_TIME = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
MADE = datetime(2024, 1, 23, 2, 4, 30, tzinfo=UTC)

SKI = "subject key identifier"
CA = "basic constraints"
SAN = "alternative name"
AKI = "authority key identifier"
STOCK_EXTENSIONS = (SKI, CA)


@cache
def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    """One key per size and number for the whole run; making RSA-4096 takes a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def prime(bits: int) -> int:
    """A random prime of exactly `bits` bits, as BigInteger.ProbablePrime draws it."""
    while True:
        number = secrets.randbits(bits) | 1 << (bits - 1) | 1
        if is_probable_prime(number):
            return number


def composite(bits: int) -> int:
    """A random number of exactly `bits` bits that is odd and not prime."""
    while True:
        number = secrets.randbits(bits) | 1 << (bits - 1) | 1
        if not is_probable_prime(number):
            return number


def name(*pairs: tuple[str, str]) -> x509.Name:
    kinds = {
        "CN": NameOID.COMMON_NAME,
        "O": NameOID.ORGANIZATION_NAME,
        "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
        "L": NameOID.LOCALITY_NAME,
        "C": NameOID.COUNTRY_NAME,
    }
    return x509.Name([x509.NameAttribute(kinds[kind], value) for kind, value in pairs])


def mint(
    common_name: str = "Acme Printing",
    *,
    subject: x509.Name | None = None,
    issuer: x509.Name | None = None,
    serial: int | None = None,
    made: datetime = MADE,
    until: datetime = END_OF_TIME,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None,
    signer: rsa.RSAPrivateKey | None = None,
    digest: hashes.HashAlgorithm | None = None,
    extensions: Sequence[str] = STOCK_EXTENSIONS,
) -> bytes:
    """DER of a certificate; without arguments it is AsyncRAT's shape under an honest name."""
    key = key or rsa_key()
    subject = subject or name(("CN", common_name))
    builder = x509.CertificateBuilder(
        issuer_name=issuer or subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=prime(120) if serial is None else serial,
        not_valid_before=made.replace(tzinfo=None),
        not_valid_after=until.replace(tzinfo=None),
    )
    for wanted in extensions:
        extension, critical = _extension(wanted, key)
        builder = builder.add_extension(extension, critical)
    return builder.sign(signer or key, digest or hashes.SHA512()).public_bytes(Encoding.DER)


def _extension(
    wanted: str, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
) -> tuple[x509.ExtensionType, bool]:
    public = key.public_key()
    return {
        SKI: (x509.SubjectKeyIdentifier.from_public_key(public), False),
        CA: (x509.BasicConstraints(ca=True, path_length=None), True),
        SAN: (x509.SubjectAlternativeName([x509.DNSName("shop.example")]), False),
        AKI: (x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False),
    }[wanted]


def days_3935() -> dict[str, datetime]:
    """The validity that DcRat and VenomRAT write."""
    return {"made": MADE - timedelta(days=285), "until": MADE + timedelta(days=3650)}


def tlv(tag: int, *parts: bytes) -> bytes:
    """One DER element around its parts."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


COMMON_NAME_OID = bytes.fromhex("0603550403")
SHA512_RSA = tlv(0x30, bytes.fromhex("06092a864886f70d01010d0500"))


def plain_name(value: bytes = b"printer", tag: int = 0x0C) -> bytes:
    return tlv(0x30, tlv(0x31, tlv(0x30, COMMON_NAME_OID, tlv(tag, value))))


def plain_key(modulus: int = (1 << 1023) | 1, exponent: int = 65537) -> bytes:
    numbers = tlv(
        0x30,
        tlv(0x02, b"\0" + modulus.to_bytes((modulus.bit_length() + 7) // 8, "big")),
        tlv(0x02, exponent.to_bytes(exponent.bit_length() // 8 + 1, "big")),
    )
    algorithm = tlv(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    return tlv(0x30, algorithm, tlv(0x03, b"\0", numbers))


def assemble(
    *,
    version: bytes = tlv(0xA0, b"\x02\x01\x02"),
    serial: bytes = b"\x01",
    algorithm: bytes = SHA512_RSA,
    issuer: bytes | None = None,
    validity: bytes | None = None,
    subject: bytes | None = None,
    key: bytes | None = None,
    rest: bytes = b"",
    outer_algorithm: bytes | None = None,
    signature: bytes = b"\0" + b"\x55" * 128,
) -> bytes:
    """An unsigned certificate from raw parts, each of which a test may break."""
    dates = tlv(0x17, b"240123020430Z") + tlv(0x18, b"99991231235959Z")
    body = tlv(
        0x30,
        version,
        tlv(0x02, serial),
        algorithm,
        plain_name() if issuer is None else issuer,
        tlv(0x30, dates if validity is None else validity),
        plain_name() if subject is None else subject,
        plain_key() if key is None else key,
        rest,
    )
    return tlv(0x30, body, outer_algorithm or algorithm, tlv(0x03, signature))
