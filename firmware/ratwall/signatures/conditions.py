"""The vocabulary of rules: what a signature may ask of a connection, and how each is answered.

A condition never scores and never raises on odd facts; absent facts simply do not match.

Design note: answers differ in price from nanoseconds to a millisecond. Each condition knows its
cost, rules ask the cheap ones first, and what is derived from a certificate is derived once.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from ratwall.signatures.endpoint import Endpoint
from ratwall.wire.tls.facts import Anomaly, TlsFacts
from ratwall.wire.tls.registry import is_grease, version_name
from ratwall.wire.x509.certificate import Certificate

# Characters of a name value that are searched for words; X.520 allows a common name 64.
NAME_VALUE_LIMIT = 256

_NOT_A_WORD = re.compile(r"[\W_]+")


class Cost(IntEnum):
    """The order in which a rule's conditions are asked."""

    FIELD = 0  # a comparison
    DERIVED = 1  # microseconds, then kept
    PRIME = 2  # up to a millisecond
    SIGNATURE = 3  # about a millisecond


class Sight:
    """One connection as rules see it: its facts, its far end, and what is derived from them."""

    __slots__ = (
        "_own_key",
        "_prime_bits",
        "_words",
        "certificate",
        "endpoint",
        "facts",
        "names_server",
    )

    def __init__(self, facts: TlsFacts, endpoint: Endpoint) -> None:
        self.facts = facts
        self.endpoint = endpoint
        self.certificate: Certificate | None = facts.certificate
        self.names_server: bool | None = None  # unknown without a ClientHello
        if facts.client_hello is not None:
            self.names_server = facts.sni is not None
        self._words: str | None = None
        self._prime_bits: int | None = None
        self._own_key: bool | None = None

    def words(self, certificate: Certificate) -> str:
        """Every value of both names, folded to lower-case words: "| asyncrat server | …|"."""
        if self._words is None:
            names = (certificate.subject, certificate.issuer)
            values = {a.value for name in names for rdn in name.rdns for a in rdn}
            self._words = "|".join(f" {_folded(value)} " for value in sorted(values))
        return self._words

    def prime_bits(self, certificate: Certificate) -> int:
        """The serial number's bits if it is a positive prime, else 0."""
        if self._prime_bits is None:
            self._prime_bits = certificate.serial_bits if certificate.serial_is_prime() else 0
        return self._prime_bits

    def own_key(self, certificate: Certificate) -> bool:
        """Whether the certificate is proven to be signed with the key it carries."""
        if self._own_key is None:
            self._own_key = certificate.self_signature() is True
        return self._own_key

    def offered_version(self) -> str | None:
        """The highest version the client offers, as "TLS 1.0"; None without a ClientHello."""
        hello = self.facts.client_hello
        if hello is None:
            return None
        offered = [v for v in hello.supported_versions or () if not is_grease(v)]
        return version_name(max(offered, default=hello.legacy_version))


Test = Callable[[Sight], bool]
CertificateTest = Callable[[Sight, Certificate], bool]


@dataclass(frozen=True, slots=True)
class Condition:
    """One word of the vocabulary.

    `allowed` describes the value for error messages, `accepts` checks it, and `compiled` turns it
    into a test. `conclusive` conditions look at what only a family's maker chooses: a decisive
    rule needs at least one of them.
    """

    allowed: str
    accepts: Callable[[Any], bool]
    compiled: Callable[[Any], Test]
    cost: Cost = Cost.FIELD
    conclusive: bool = False
    of_certificate: bool = False


def _folded(value: str) -> str:
    return _NOT_A_WORD.sub(" ", value[:NAME_VALUE_LIMIT].casefold()).strip()


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _list_of(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def accepts_list(value: Any) -> bool:
        return isinstance(value, list) and bool(value) and all(accepts(item) for item in value)

    return accepts_list


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_words(value: Any) -> bool:
    return _is_text(value) and _folded(value) == value


def _number(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _matches(pattern: str) -> Callable[[Any], bool]:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _is_utc(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


def _on_certificate(
    allowed: str,
    accepts: Callable[[Any], bool],
    compiled: Callable[[Any], CertificateTest],
    cost: Cost = Cost.FIELD,
    conclusive: bool = False,
) -> Condition:
    """A condition that is false as long as no certificate has been read."""

    def compile_test(value: Any) -> Test:
        test = compiled(value)

        def on_sight(sight: Sight) -> bool:
            return sight.certificate is not None and test(sight, sight.certificate)

        return on_sight

    return Condition(allowed, accepts, compile_test, cost, conclusive, of_certificate=True)


def _name_words(phrases: list[str]) -> CertificateTest:
    wanted = [f" {phrase} " for phrase in phrases]
    return lambda sight, c: any(phrase in sight.words(c) for phrase in wanted)


def _common_name_suffix(suffixes: list[str]) -> CertificateTest:
    wanted = tuple(suffixes)
    return lambda _, c: any(
        value.endswith(wanted) and value not in wanted
        for name in (c.subject, c.issuer)
        for value in name.values("CN")
    )


def _extensions(wanted: list[str]) -> CertificateTest:
    shape = tuple((oid, mark == "critical") for oid, _, mark in (w.partition(" ") for w in wanted))
    return lambda _, c: (
        len(c.extensions) == len(shape)
        and tuple((e.oid, e.critical) for e in c.extensions) == shape
    )


def _lacks_extensions(unwanted: list[str]) -> CertificateTest:
    return lambda _, c: not any(extension.oid in unwanted for extension in c.extensions)


def _not_after(moment: datetime) -> CertificateTest:
    seconds = int(moment.timestamp())
    return lambda _, c: c.not_after == seconds


def _der_length(base: int) -> CertificateTest:
    """`base` octets and two for each octet of the subject's only attribute, issuer alike."""

    def test(_: Sight, c: Certificate) -> bool:
        names = c.subject.values("CN")
        return len(names) == 1 and c.der_length == base + 2 * len(names[0].encode())

    return test


_OID = r"\d+(\.\d+)+"
_VERSIONS = r"SSL 2\.0|SSL 3\.0|TLS 1\.[0-3]"
_TRUE_OR_FALSE = "true or false"

CONDITIONS: dict[str, Condition] = {
    "port": Condition(
        "a list of TCP ports from 1 to 65535",
        _list_of(_number(1, 65535)),
        lambda ports: lambda sight: sight.endpoint.port in ports,
    ),
    "sni": Condition(
        _TRUE_OR_FALSE,
        _is_bool,
        lambda wanted: lambda sight: sight.names_server is wanted,
    ),
    "offered_version": Condition(
        'a list of versions such as "TLS 1.0"',
        _list_of(_matches(_VERSIONS)),
        lambda versions: lambda sight: sight.offered_version() in versions,
    ),
    "ja3": Condition(
        "a list of MD5 hashes, 32 lower-case hexadecimal digits each",
        _list_of(_matches(r"[0-9a-f]{32}")),
        lambda hashes: lambda sight: sight.facts.ja3 in hashes,
        Cost.DERIVED,
    ),
    "ja4": Condition(
        'a list of JA4 fingerprints such as "t10i070500_c50f5591e341_950472255fe9"',
        _list_of(_matches(r"[tqd]\w\w[di]\d{4}\w\w_[0-9a-f]{12}_[0-9a-f]{12}")),
        lambda prints: lambda sight: sight.facts.ja4 in prints,
        Cost.DERIVED,
    ),
    "anomaly": Condition(
        "a list out of: " + ", ".join(f'"{anomaly}"' for anomaly in Anomaly),
        _list_of(lambda value: value in set(Anomaly)),
        lambda wanted: lambda sight: not sight.facts.anomalies.isdisjoint(wanted),
    ),
    "chain_length": Condition(
        "a list of numbers of certificates from 1 to 16",
        _list_of(_number(1, 16)),
        lambda lengths: lambda sight: sight.facts.chain_length in lengths,
    ),
    "defects": _on_certificate(
        _TRUE_OR_FALSE, _is_bool, lambda wanted: lambda _, c: bool(c.defects) is wanted
    ),
    "name_words": _on_certificate(
        "a list of phrases in lower case, words parted by one space",
        _list_of(_is_words),
        _name_words,
        Cost.DERIVED,
        conclusive=True,
    ),
    "common_name_suffix": _on_certificate(
        "a list of texts",
        _list_of(_is_text),
        _common_name_suffix,
        Cost.DERIVED,
        conclusive=True,
    ),
    "self_issued": _on_certificate(
        _TRUE_OR_FALSE, _is_bool, lambda wanted: lambda _, c: c.self_issued is wanted
    ),
    "own_key": _on_certificate(
        _TRUE_OR_FALSE,
        _is_bool,
        lambda wanted: lambda sight, c: sight.own_key(c) is wanted,
        Cost.SIGNATURE,
    ),
    "subject_attributes": _on_certificate(
        'a list of attribute names such as "CN"',
        _list_of(_is_text),
        lambda wanted: lambda _, c: list(c.subject.attribute_names) == wanted,
    ),
    "not_after": _on_certificate(
        "a date and time in UTC such as 9999-12-31T23:59:59Z", _is_utc, _not_after
    ),
    "validity_days": _on_certificate(
        "a list of whole days from 1 to 3650000",
        _list_of(_number(1, 3_650_000)),
        lambda days: lambda _, c: c.validity_days in days,
    ),
    "key_type": _on_certificate(
        'a list of key types such as "rsa"',
        _list_of(_is_text),
        lambda types: lambda _, c: c.key_type in types,
    ),
    "key_bits": _on_certificate(
        "a list of key sizes from 1 to 16384 bits",
        _list_of(_number(1, 16_384)),
        lambda sizes: lambda _, c: c.key_bits in sizes,
    ),
    "signature_algorithm": _on_certificate(
        'a list of names such as "sha512WithRSAEncryption"',
        _list_of(_is_text),
        lambda names: lambda _, c: c.signature_algorithm in names,
    ),
    "is_ca": _on_certificate(
        _TRUE_OR_FALSE, _is_bool, lambda wanted: lambda _, c: (c.is_ca is True) is wanted
    ),
    "extensions": _on_certificate(
        'the exact list of identifiers, "critical" behind those that are, as "2.5.29.19 critical"',
        _list_of(_matches(_OID + r"( critical)?")),
        _extensions,
    ),
    "lacks_extensions": _on_certificate(
        "a list of identifiers", _list_of(_matches(_OID)), _lacks_extensions
    ),
    "serial_prime_bits": _on_certificate(
        "a list of sizes from 64 to 256 bits",
        _list_of(_number(64, 256)),
        lambda sizes: lambda sight, c: c.serial_bits in sizes and sight.prime_bits(c) in sizes,
        Cost.PRIME,
        conclusive=True,
    ),
    "der_length": _on_certificate(
        "octets from 1 to 65535 besides two for each octet of the common name",
        _number(1, 65_535),
        _der_length,
    ),
}
