"""X.509 certificates: every fact that a signature needs, from bytes that may break every rule.

It never validates a chain, a date or a purpose, and never rejects what Windows would accept.

Design note: only the outer shell and the two names are required. Whatever else cannot be read is
left out and named in `defects`, so an odd certificate becomes evidence instead of an exception.
"""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ratwall.wire.errors import ParseError
from ratwall.wire.x509 import der, oid
from ratwall.wire.x509.name import Name, parse_name
from ratwall.wire.x509.primes import is_probable_prime
from ratwall.wire.x509.self_signature import signed_with

# Extensions read per certificate. Web certificates carry about ten.
EXTENSIONS_LIMIT = 64

# RFC 5280 §4.1.2.2: conforming serials have at most 20 octets (and are positive).
SERIAL_OCTETS_LIMIT = 20

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)

# Date and time to the minute, seconds, fraction, then "Z" or an offset from UTC.
_TIMES = {
    der.UTC_TIME: re.compile(rb"(\d{10})(\d\d)?()(?:(Z)|([+-]\d{4}))?"),
    der.GENERALIZED_TIME: re.compile(rb"(\d{12})(\d\d)?([.,]\d+)?(?:(Z)|([+-]\d{4}))?"),
}
_SECONDS_A_DAY = 86_400
REMEMBERED = 256  # certificates
REMEMBERED_BYTES = 2048  # of each at most, so 2 MB in all; larger ones are read each time


@dataclass(frozen=True, slots=True)
class CertificateExtension:
    """One extension (RFC 5280 §4.1); `value` is the content of its OCTET STRING."""

    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Certificate:
    """What one certificate says of itself. Times are Unix seconds, None where unreadable."""

    der_length: int
    sha1: str
    sha256: str
    version: int
    serial: int
    serial_bits: int
    signature_algorithm: str
    issuer: Name
    subject: Name
    not_before: int | None
    not_after: int | None
    not_after_generalized: bool
    key_type: str
    key_bits: int
    rsa_modulus: int | None
    rsa_exponent: int | None
    extensions: tuple[CertificateExtension, ...]
    is_ca: bool | None
    path_length: int | None
    defects: tuple[str, ...]
    _signed: bytes = field(repr=False, compare=False)
    _signature: bytes = field(repr=False, compare=False)

    def __hash__(self) -> int:
        """Return a hash without reading every field."""
        return hash(self.sha256)

    @property
    def self_issued(self) -> bool:
        """Whether subject and issuer are the same octets."""
        return self.subject == self.issuer

    @property
    def validity_days(self) -> float | None:
        """Days from not_before to not_after, None if either is unreadable."""
        if self.not_before is None or self.not_after is None:
            return None
        return (self.not_after - self.not_before) / _SECONDS_A_DAY

    def self_signature(self) -> bool | None:
        """Return True if signed with its own key, False if not, None if that is not decidable.

        RFC 8017 §8.2.2 with `pow`: about a millisecond, so ask on suspicion only.
        """
        if self.rsa_modulus is None or self.rsa_exponent is None:
            return None
        return signed_with(
            self.signature_algorithm,
            self._signed,
            self._signature,
            self.rsa_modulus,
            self.rsa_exponent,
        )

    def serial_is_prime(self) -> bool:
        """Return whether the serial is a probable prime: under a millisecond, on suspicion only."""
        return is_probable_prime(self.serial)


@dataclass(slots=True)
class _Key:
    type: str = "unreadable"
    bits: int = 0
    modulus: int | None = None
    exponent: int | None = None


def parse_certificate(data: bytes) -> Certificate:
    """Read one DER certificate (RFC 5280 §4.1); ParseError only if not even its names are there.

    Those read last are remembered: an office meets the same few hundred again and again.
    """
    return (_parse if len(data) <= REMEMBERED_BYTES else _parse.__wrapped__)(data)


@lru_cache(maxsize=REMEMBERED)
def _parse(data: bytes) -> Certificate:
    walker = der.Walker(data)
    outer = _outermost(walker)
    body = _clipped(walker, der.SEQUENCE, outer.content, outer.end)
    version, cursor = _version(walker, body)
    serial = walker.expect(der.INTEGER, cursor, body.end, "serial number")
    inner_algorithm = walker.expect(der.SEQUENCE, serial.after, body.end, "signature algorithm")
    issuer = walker.expect(der.SEQUENCE, inner_algorithm.after, body.end, "issuer")
    validity = walker.expect(der.SEQUENCE, issuer.after, body.end, "validity")
    subject = walker.expect(der.SEQUENCE, validity.after, body.end, "subject")
    issuer_name = parse_name(walker, issuer)
    subject_name = parse_name(walker, subject)
    not_before, not_after, generalized = _validity(walker, validity)
    key, cursor = _public_key(walker, subject.after, body.end)
    extensions = _extensions(walker, cursor, body.end)
    is_ca, path_length = _basic_constraints(walker, extensions)
    algorithm, signature = _signature(walker, inner_algorithm, body.after, outer.end)
    number = _serial(walker, serial)
    return Certificate(
        der_length=len(data),
        sha1=hashlib.sha1(data, usedforsecurity=False).hexdigest(),
        sha256=hashlib.sha256(data).hexdigest(),
        version=version,
        serial=number,
        serial_bits=number.bit_length(),
        signature_algorithm=algorithm,
        issuer=issuer_name,
        subject=subject_name,
        not_before=not_before,
        not_after=not_after,
        not_after_generalized=generalized,
        key_type=key.type,
        key_bits=key.bits,
        rsa_modulus=key.modulus,
        rsa_exponent=key.exponent,
        extensions=extensions,
        is_ca=is_ca,
        path_length=path_length,
        defects=tuple(walker.defects),
        _signed=data[body.start : body.after],
        _signature=signature,
    )


def _outermost(walker: der.Walker) -> der.Element:
    outer = _clipped(walker, der.SEQUENCE, 0, len(walker.data))
    if outer.after < len(walker.data):
        walker.note(f"{len(walker.data) - outer.after} bytes after its end")
    return outer


def _clipped(walker: der.Walker, tag: int, offset: int, end: int) -> der.Element:
    """Read a container, ending it at `end` if its length claims more than is there."""
    try:
        return walker.expect(tag, offset, end, "certificate")
    except ParseError:
        head = walker.data[offset : offset + 2]
        if len(head) < 2 or head[0] != tag or head[1] == 0x80:
            raise
        octets = head[1] - 0x80 if head[1] > 0x80 else 0
        content = offset + 2 + octets
        if octets > der.LENGTH_OCTETS_LIMIT or content >= end:
            raise
        walker.note("cut off before its end")
        return der.Element(tag, offset, content, end, end)


def _version(walker: der.Walker, body: der.Element) -> tuple[int, int]:
    """Return the version as people count it (1 to 3) and the offset behind it."""
    first = walker.element(body.content, body.end)
    if first.tag != der.CONTEXT_0:
        return 1, first.start
    number = walker.expect(der.INTEGER, first.content, first.end, "version")
    version = der.unsigned(walker.value(number)[:4]) + 1
    if not 1 <= version <= 3:
        walker.note(f"version {version}")
    return version, first.after


def _serial(walker: der.Walker, element: der.Element) -> int:
    content = walker.value(element)
    if not content:
        walker.note("empty serial number")
        return 0
    if len(content) > SERIAL_OCTETS_LIMIT + (content[0] == 0):
        walker.note(f"serial number of {len(content)} octets")
    if content[0] & 0x80:
        walker.note("negative serial number")
    return int.from_bytes(content, "big", signed=True)


def _algorithm(walker: der.Walker, element: der.Element) -> str:
    kind = walker.expect(der.OBJECT_IDENTIFIER, element.content, element.end, "algorithm")
    dotted = oid.dotted(walker.value(kind))
    return oid.SIGNATURE_NAMES.get(dotted, dotted)


def _signature(walker: der.Walker, inner: der.Element, offset: int, end: int) -> tuple[str, bytes]:
    """Return the algorithm and the signature's octets; the one that is signed names it."""
    algorithm = "unreadable"
    try:
        algorithm = _algorithm(walker, inner)
        outer = walker.expect(der.SEQUENCE, offset, end, "signature algorithm")
        if walker.value(outer) != walker.value(inner):
            walker.note("two different signature algorithms")
        bits = walker.expect(der.BIT_STRING, outer.after, end, "signature")
    except ParseError as error:
        walker.note(f"signature: {error}")
        return algorithm, b""
    return algorithm, walker.value(bits)[1:]


def _validity(walker: der.Walker, element: der.Element) -> tuple[int | None, int | None, bool]:
    try:
        first = walker.element(element.content, element.end)
        second = walker.element(first.after, element.end)
    except ParseError as error:
        walker.note(f"validity: {error}")
        return None, None, False
    return (
        _time(walker, first),
        _time(walker, second),
        second.tag == der.GENERALIZED_TIME,
    )


def _time(walker: der.Walker, element: der.Element) -> int | None:
    """Read a UTCTime or GeneralizedTime (RFC 5280 §4.1.2.5) as Unix seconds, None if it is none.

    What X.690 §11.7 forbids and §8 allows is read too: no seconds, fractions (ignored), offsets.
    """
    pattern = _TIMES.get(element.tag)
    match = pattern.fullmatch(walker.value(element)) if pattern is not None else None
    if match is None:
        walker.note("unreadable time")
        return None
    stamp, seconds, fraction, zulu, offset = match.groups()
    if seconds is None or fraction or zulu is None:
        walker.note("time not in the form that RFC 5280 asks for")
    if element.tag == der.UTC_TIME:  # RFC 5280 §4.1.2.5.1: years 50 to 99 are 1950 to 1999
        stamp = (b"20" if stamp < b"50" else b"19") + stamp
    year, month, day = int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8])
    hour, minute, second = int(stamp[8:10]), int(stamp[10:12]), int(seconds or 0)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:  # a month 13 or an hour 24 is no time
        walker.note("unreadable time")
        return None
    east = 0
    if offset is not None:
        east = int(offset[1:3]) * 3600 + int(offset[3:]) * 60
        east = -east if offset[:1] == b"-" else east
    return (moment - _EPOCH) // _SECOND - east


def _public_key(walker: der.Walker, offset: int, end: int) -> tuple[_Key, int]:
    """Return the key and the offset behind it, an empty key if it cannot be read."""
    key = _Key()
    cursor = end
    try:
        info = walker.expect(der.SEQUENCE, offset, end, "public key")
        cursor = info.after
        algorithm = walker.expect(der.SEQUENCE, info.content, info.end, "key algorithm")
        kind = walker.expect(
            der.OBJECT_IDENTIFIER, algorithm.content, algorithm.end, "key algorithm"
        )
        dotted = oid.dotted(walker.value(kind))
        key.type = oid.KEY_NAMES.get(dotted, dotted)
        bits = walker.expect(der.BIT_STRING, algorithm.after, info.end, "public key")
        if key.type in ("rsa", "rsa-pss"):
            _rsa_key(walker, bits, key)
        elif key.type in ("ec", "dsa", "dh"):
            key.bits = _group_bits(walker, key.type, kind.after, algorithm.end)
        else:
            key.bits = oid.FIXED_KEY_BITS.get(key.type, 0)
    except ParseError as error:
        walker.note(f"public key: {error}")
    return key, cursor


def _rsa_key(walker: der.Walker, bits: der.Element, key: _Key) -> None:
    numbers = walker.expect(der.SEQUENCE, bits.content + 1, bits.end, "RSA key")
    modulus = walker.expect(der.INTEGER, numbers.content, numbers.end, "RSA modulus")
    exponent = walker.expect(der.INTEGER, modulus.after, numbers.end, "RSA exponent")
    key.modulus = der.unsigned(walker.value(modulus))
    key.exponent = der.unsigned(walker.value(exponent))
    key.bits = key.modulus.bit_length()


def _group_bits(walker: der.Walker, key_type: str, offset: int, end: int) -> int:
    """Bits of the curve's field, or of the prime of a DSA or DH group."""
    parameters = walker.element(offset, end)
    if key_type == "ec":
        return oid.CURVE_BITS.get(oid.dotted(walker.value(parameters)), 0)
    prime = walker.expect(der.INTEGER, parameters.content, parameters.end, "group prime")
    return der.unsigned(walker.value(prime)).bit_length()


def _extensions(walker: der.Walker, offset: int, end: int) -> tuple[CertificateExtension, ...]:
    found: list[CertificateExtension] = []
    try:
        while offset < end:  # steps over issuerUniqueID [1] and subjectUniqueID [2]
            holder = walker.element(offset, end)
            offset = holder.after
            if holder.tag != der.CONTEXT_3:
                continue
            rows = walker.expect(der.SEQUENCE, holder.content, holder.end, "extensions")
            for row in walker.children(rows, EXTENSIONS_LIMIT):
                found.append(_extension(walker, row))
            break
    except ParseError as error:
        walker.note(f"extensions: {error}")
    return tuple(found)


def _extension(walker: der.Walker, row: der.Element) -> CertificateExtension:
    kind = walker.expect(der.OBJECT_IDENTIFIER, row.content, row.end, "extension identifier")
    value = walker.element(kind.after, row.end)
    critical = False
    if value.tag == der.BOOLEAN:
        critical = walker.value(value) != b"\0"
        value = walker.element(value.after, row.end)
    if value.tag != der.OCTET_STRING:
        walker.note("extension value that is not an OCTET STRING")
    return CertificateExtension(oid.dotted(walker.value(kind)), critical, walker.value(value))


def _basic_constraints(
    walker: der.Walker, extensions: tuple[CertificateExtension, ...]
) -> tuple[bool | None, int | None]:
    """Return (is a CA, path length) of BasicConstraints (RFC 5280 §4.2.1.9), Nones without it."""
    for extension in extensions:
        if extension.oid != oid.BASIC_CONSTRAINTS:
            continue
        inside = der.Walker(extension.value)
        is_ca, path_length = False, None
        try:
            body = inside.expect(der.SEQUENCE, 0, len(inside.data), "BasicConstraints")
            for part in inside.children(body, 2):
                if part.tag == der.BOOLEAN:
                    is_ca = inside.value(part) != b"\0"
                elif part.tag == der.INTEGER:
                    path_length = der.unsigned(inside.value(part)[:4])
        except ParseError as error:
            walker.note(f"BasicConstraints: {error}")
            return None, None
        return is_ca, path_length
    return None, None
