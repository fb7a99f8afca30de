"""Certificates with the outside of the RATs', and honest ones that look like them.

The RATs share one BouncyCastle routine: X.509 v3, a prime serial of exactly 120 or 160 bits,
SubjectKeyIdentifier and critical BasicConstraints CA:TRUE and nothing else, sha512WithRSA, signed
with its own key whatever the issuer says. It never copies a real certificate: keys and serials are
new. Design note: `CertificateBuilder.serial_number()` refuses 160 bits (RFC 5280 allows 20 octets
with the sign bit clear), but DcRat's serial has them, so the builder gets it by its constructor.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ratwall_lab.keys import KeyCabinet, KeyKind, PrivateKey, random_prime

RDN = tuple[x509.ObjectIdentifier, str]

END_OF_TIME = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # .NET's DateTime.MaxValue
BACKDATED = timedelta(days=2)  # AsyncRAT and Quasar: notBefore lies two days back
QWQDANCHUN_BACKDATED = timedelta(days=285)  # DcRat and VenomRAT: 285 days back ...
QWQDANCHUN_LIFETIME = timedelta(days=3935)  # ... to 3650 days after it was made
ROOT_LIFETIME, LEAF_LIFETIME = timedelta(days=7300), timedelta(days=90)  # a public CA's habits
FORGOTTEN_SECONDS = 86_400  # a certificate's file is of no use to anybody a day later
APPLIANCE_LIFETIME = timedelta(days=3650)  # what firmware makes at its first start

# Of the arc for examples (RFC 9371 "32473"): known to nobody.
PADDING_OID = x509.ObjectIdentifier("1.3.6.1.4.1.32473.1")

# What a strict reader (Python from 3.13 on) wants of an authority: RFC 5280 section 4.2.1.3.
SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)

ROOT_NAME: tuple[RDN, ...] = (
    (NameOID.ORGANIZATION_NAME, "Lab Trust"),
    (NameOID.COMMON_NAME, "Root X1"),
)


@dataclass(frozen=True, slots=True)
class Family:
    """The outside of one family's certificate."""

    name: str
    subject: tuple[RDN, ...]
    issuer: tuple[RDN, ...]
    key_kind: KeyKind
    serial_bits: int
    backdated: timedelta
    lifetime: timedelta | None  # None: to the end of time


@dataclass(frozen=True, slots=True)
class Identity:
    """What a TLS server needs: files for `load_cert_chain`, and the leaf to compare with."""

    name: str
    chain_file: Path
    key_file: Path
    chain: tuple[x509.Certificate, ...]

    @property
    def der(self) -> bytes:
        """The leaf as it goes over the wire."""
        return self.chain[0].public_bytes(Encoding.DER)


def _common_name(text: str) -> tuple[RDN, ...]:
    return ((NameOID.COMMON_NAME, text),)


def _qwqdanchun_issuer(server: str, product: str) -> tuple[RDN, ...]:
    return (
        (NameOID.COMMON_NAME, server),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "qwqdanchun"),
        (NameOID.ORGANIZATION_NAME, f"{product} By qwqdanchun"),
        (NameOID.LOCALITY_NAME, "SH"),
        (NameOID.COUNTRY_NAME, "CN"),
    )


def asyncrat_family(common_name: str = "AsyncRAT Server", name: str = "AsyncRAT") -> Family:
    """Return AsyncRAT's shape, which Quasar and many forks share, under any common name."""
    subject = _common_name(common_name)
    return Family(name, subject, subject, "rsa4096", 120, BACKDATED, None)


def qwqdanchun_family(product: str = "DcRat", server: str | None = None) -> Family:
    """Return DcRat's shape, which VenomRAT shares; `server` is the issuer's common name."""
    issuer = _qwqdanchun_issuer(server or f"{product} Server", product)
    return Family(
        product,
        _common_name(product),
        issuer,
        "rsa1024",
        160,
        QWQDANCHUN_BACKDATED,
        QWQDANCHUN_LIFETIME,
    )


ASYNCRAT = asyncrat_family()
QUASAR = asyncrat_family("Quasar Server CA", "Quasar")
SXN = asyncrat_family("SXN Server CA", "SXN")
RENAMED = asyncrat_family("Acme Printing Ltd", "renamed AsyncRAT")  # no name to match, only shape
DCRAT = qwqdanchun_family("DcRat")
VENOMRAT = qwqdanchun_family("VenomRAT")
LOADER_PANEL = qwqdanchun_family("DcRat", "Loader Panel")  # an issuer that an operator renamed
FAMILIES = {
    "asyncrat": ASYNCRAT,
    "quasar": QUASAR,
    "sxn": SXN,
    "renamed": RENAMED,
    "dcrat": DCRAT,
    "venomrat": VENOMRAT,
    "loader-panel": LOADER_PANEL,
}


@dataclass(frozen=True, slots=True)
class Notary:
    """Makes certificates from the keys of one cabinet, and files for them beside the keys."""

    cabinet: KeyCabinet = field(default_factory=KeyCabinet)

    def rat(
        self,
        family: Family,
        *,
        now: datetime | None = None,
        key: int = 0,
        padding: int = 0,
    ) -> Identity:
        """Return a new certificate of a family's shape (`now`: its time of making, UTC).

        `padding`: bytes of an extension that nobody knows, in front of the others.
        """
        private = self.cabinet.key(family.key_kind, key)
        start = (now or datetime.now(UTC)).replace(microsecond=0) - family.backdated
        end = END_OF_TIME if family.lifetime is None else start + family.lifetime
        builder = x509.CertificateBuilder(
            issuer_name=_name(family.issuer),
            subject_name=_name(family.subject),
            public_key=private.public_key(),
            serial_number=random_prime(family.serial_bits),
            not_valid_before=start.replace(tzinfo=None),
            not_valid_after=end.replace(tzinfo=None),
        )
        if padding:
            unknown = x509.UnrecognizedExtension(PADDING_OID, bytes(padding))
            builder = builder.add_extension(unknown, critical=False)
        identifier = x509.SubjectKeyIdentifier.from_public_key(private.public_key())
        certificate = (
            builder.add_extension(identifier, critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(private, hashes.SHA512())
        )
        return self._identity(family.name, [certificate], self.cabinet.path(family.key_kind, key))

    def web_site(self, host: str, *, kind: KeyKind = "ec256", intermediates: int = 1) -> Identity:
        """Return a site's certificate below a public-CA-like chain of `intermediates` + 1 (the
        root is not sent, as servers do not), with SAN, AKI, EKU and an AIA."""
        issuer, issuer_key = _name(ROOT_NAME), self.cabinet.key("rsa4096", 1)
        chain: list[x509.Certificate] = []
        for depth in range(intermediates):
            key = self.cabinet.key("rsa2048", 10 + depth)
            rdns = ((NameOID.ORGANIZATION_NAME, "Lab Trust"), (NameOID.COMMON_NAME, f"R{depth}"))
            builder = _builder(issuer, _name(rdns), key, ROOT_LIFETIME)
            builder = builder.add_extension(
                x509.BasicConstraints(ca=True, path_length=intermediates - depth - 1), critical=True
            ).add_extension(_authority(issuer_key), critical=False)
            builder = builder.add_extension(SIGNS_CERTIFICATES, critical=True)
            builder = builder.add_extension(_subject(key), critical=False)
            chain.insert(0, builder.sign(issuer_key, hashes.SHA256()))
            issuer, issuer_key = _name(rdns), key
        leaf_key = self.cabinet.key(kind, 2)
        builder = (
            _builder(issuer, _name(_common_name(host)), leaf_key, LEAF_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_authority(issuer_key), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        chain.insert(0, builder.sign(issuer_key, hashes.SHA256()))
        return self._identity(host, chain, self.cabinet.path(kind, 2))

    def trust_root(self) -> Path:
        """Return the PEM file of the root above every `web_site`, for a client's trust store."""
        own, key = _name(ROOT_NAME), self.cabinet.key("rsa4096", 1)
        builder = (
            _builder(own, own, key, ROOT_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(SIGNS_CERTIFICATES, critical=True)
            .add_extension(_subject(key), critical=False)
        )
        root = builder.sign(key, hashes.SHA256())
        return self._identity("root", [root], self.cabinet.path("rsa4096", 1)).chain_file

    def appliance(self, name: str = "nas.local", address: str | None = None) -> Identity:
        """Return a self-issued certificate as a NAS or firewall makes it at its first start."""
        key = self.cabinet.key("rsa2048", 3)
        own = _name(
            (
                (NameOID.COUNTRY_NAME, "TW"),
                (NameOID.ORGANIZATION_NAME, "Lab Storage Inc."),
                (NameOID.COMMON_NAME, name),
            )
        )
        names: list[x509.GeneralName] = [x509.DNSName(name)]
        if address is not None:
            names.append(x509.IPAddress(ip_address(address)))
        builder = (
            _builder(own, own, key, APPLIANCE_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        return self._identity(
            name, [builder.sign(key, hashes.SHA256())], self.cabinet.path("rsa2048", 3)
        )

    def printer(self, name: str = "PRN0A1B2C") -> Identity:
        """Return a printer's: self-issued, RSA-1024, SHA-256, no extension at all, no end."""
        key = self.cabinet.key("rsa1024", 4)
        own = _name(((NameOID.COMMON_NAME, name), (NameOID.ORGANIZATION_NAME, "Lab Printers")))
        builder = _builder(own, own, key, None)
        return self._identity(
            name, [builder.sign(key, hashes.SHA256())], self.cabinet.path("rsa1024", 4)
        )

    def _identity(self, name: str, chain: list[x509.Certificate], key_file: Path) -> Identity:
        folder = self.cabinet.directory / "certificates"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{chain[0].fingerprint(hashes.SHA256()).hex()}.pem"
        path.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in chain))
        for old in folder.iterdir():
            if time.time() - old.stat().st_mtime > FORGOTTEN_SECONDS:
                old.unlink(missing_ok=True)
        return Identity(name, path, key_file, tuple(chain))


def _name(rdns: Sequence[RDN]) -> x509.Name:
    """Return a name whose RDNs stand in the given order on the wire."""
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in rdns])


def _builder(
    issuer: x509.Name, subject: x509.Name, key: PrivateKey, lifetime: timedelta | None
) -> x509.CertificateBuilder:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(_composite_serial())
        .not_valid_before(start)
        .not_valid_after(END_OF_TIME if lifetime is None else start + lifetime)
    )


def _composite_serial() -> int:
    """Return an honest 128-bit serial that is even, so that no test depends on one in 83."""
    return (secrets.randbits(126) | 1 << 126) << 1


def _subject(key: PrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _authority(key: PrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
