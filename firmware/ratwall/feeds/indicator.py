"""An indicator: one thing that somebody has seen used for harm, and how long that stays true.

Pure. An indicator says nothing of a connection; `match` does. Values are canonical, so that the
same thing from two feeds is the same indicator.

Design note: how long an indicator is believed depends on what it names. Servers and names change
hands, certificates and fingerprints do not. One that has outlived its time may no longer have a
connection cut; for a while yet it is told of with its age, then it is forgotten.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, inet_pton

SECOND = 1_000_000  # microseconds
DAY = 86_400 * SECOND
PORT_LIMIT = 65_535
CONFIDENCE_LIMIT = 100
KEY_BYTES = 20  # a SHA-1; longer digests are cut to it: 160 bits are never met by chance
CONFIDENCE_ACTS = 50  # a feed that gives a row less than even odds does not mean it to be blocked

_MAPPED = bytes(10) + b"\xff\xff"  # an IPv4 address within IPv6 (RFC 4291 section 2.5.5.2)
_HEXADECIMAL = re.compile(r"[0-9a-f]+")
_JA4 = re.compile(r"[tqd][0-9a-z]{2}[di][0-9]{4}[0-9a-z]{2}_[0-9a-f]{12}_[0-9a-f]{12}")
# RFC 1123 section 2.1, with the underscore that names in use have. A single label is read too: that
# it stands for half of the internet is for the screen to say.
_NAME = re.compile(
    r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
)


class Kind(IntEnum):
    """What an indicator names; the numbers stand in index files."""

    ADDRESS = 1  # a server, on every port
    ENDPOINT = 2  # a server and one port of it
    NAME = 3  # a host name, and every name below it
    CERTIFICATE_SHA1 = 4  # of the whole certificate in DER
    CERTIFICATE_SHA256 = 5
    JA3 = 6
    JA4 = 7
    HOST = 8  # a host name alone


@dataclass(frozen=True, slots=True)
class Age:
    """For how many days an indicator may have a connection cut, and for how many it is told of."""

    acts: int
    tells: int


AGES = {
    # One address serves many, and rented ones are handed on within weeks.
    Kind.ADDRESS: Age(acts=14, tells=1095),
    # With its port it is one program on that machine; it goes when the machine is given back.
    Kind.ENDPOINT: Age(acts=30, tells=1095),
    # Registered for a year at a time; half of that after it was last seen it is likely abandoned.
    Kind.NAME: Age(acts=180, tells=1095),
    Kind.HOST: Age(acts=180, tells=1095),
    # Never handed on: whoever shows it has its key. As long as such a box may be in use.
    Kind.CERTIFICATE_SHA1: Age(acts=3650, tells=3650),
    Kind.CERTIFICATE_SHA256: Age(acts=3650, tells=3650),
    # Belongs to a library, not to a program: it never cuts, and holds as long as the library.
    Kind.JA3: Age(acts=3650, tells=3650),
    Kind.JA4: Age(acts=3650, tells=3650),
}
_AGES_US = {kind: (age.acts * DAY, age.tells * DAY) for kind, age in AGES.items()}
CERTIFICATES = (Kind.CERTIFICATE_SHA1, Kind.CERTIFICATE_SHA256)
FINGERPRINTS = (Kind.JA3, Kind.JA4)
SERVERS = (Kind.ADDRESS, Kind.ENDPOINT)
NAMES = (Kind.NAME, Kind.HOST)


@dataclass(frozen=True, slots=True)
class Indicator:
    """One of them; times are UTC microseconds.

    `seen` is when it was last seen used, None where the feed does not say; `until` when the feed
    itself says that it ends.
    """

    kind: Kind
    value: str
    port: int = 0
    family: str | None = None
    seen: int | None = None
    until: int | None = None
    confidence: int = CONFIDENCE_LIMIT

    @property
    def key(self) -> bytes:
        """What it is looked up by: `KEY_BYTES` bytes."""
        match self.kind:
            case Kind.ADDRESS | Kind.ENDPOINT:
                return server_key(packed(self.value), self.port)
            case Kind.NAME | Kind.HOST | Kind.JA4:
                return text_key(self.value)
            case _:
                return digest_key(self.value)

    def acts_until(self, edition: int) -> int:
        """Return until when it may have a connection cut; `edition` is when the feed was made."""
        return self.ends(edition)[0]

    def told_until(self, edition: int) -> int:
        """Return until when it is told of at all."""
        return self.ends(edition)[1]

    def ends(self, edition: int) -> tuple[int, int]:
        """Return both, until when it acts (0 if never) and until when it is told of."""
        # What is said to be seen tomorrow does not live longer for it.
        seen = edition if self.seen is None or self.seen > edition else self.seen
        acts, tells = _AGES_US[self.kind]
        if self.confidence < CONFIDENCE_ACTS or self.kind in FINGERPRINTS:
            return 0, seen + tells
        end = seen + acts
        return end if self.until is None else min(end, self.until), seen + tells


def server_key(address: bytes, port: int) -> bytes:
    """Return the key of an address of 4 or 16 octets and a port, 0 for any."""
    return address.ljust(KEY_BYTES - 4, b"\0") + bytes((0, len(address))) + port.to_bytes(2, "big")


def text_key(text: str) -> bytes:
    """Return the key of a name or of a JA4."""
    return sha256(text.encode()).digest()[:KEY_BYTES]


def digest_key(hexadecimal: str) -> bytes:
    """Return the key of a digest of 32, 40 or 64 digits."""
    return bytes.fromhex(hexadecimal)[:KEY_BYTES].ljust(KEY_BYTES, b"\0")


def packed(text: str) -> bytes:
    """Return the 4 or 16 octets of an address; ValueError if it is none.

    An IPv4 address inside an IPv6 one is the IPv4 address: that is what stands in packets.
    """
    try:
        octets = inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, UnicodeEncodeError):
        raise ValueError(text) from None
    return octets[12:] if octets.startswith(_MAPPED) else octets


def address(text: str) -> str:
    """Return an address in its canonical spelling; ValueError if it is none."""
    octets = packed(text)
    # Of IPv4 only the canonical spelling was taken; and this is done a hundred thousand times.
    return text if ":" not in text else str(ip_address(octets))


def endpoint(text: str) -> tuple[str, int]:
    """Return (address, port) of "192.0.2.1:443" or "[2001:db8::1]:443"; ValueError if it is none.

    Feeds write IPv6 without brackets too, as "2001:db8::1:443": that is not told from an address,
    and is one.
    """
    host, _, number = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host or not host:
        raise ValueError(text)
    return address(host), port(number)


def port(text: str) -> int:
    """Return a port; ValueError if it is none."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= PORT_LIMIT):
        raise ValueError(text)
    return int(text)


def name(text: str) -> str:
    """Return a host name in its canonical spelling; ValueError if it is none.

    People write "evil[.]example" and "*.evil.example"; both mean the name and what is below it.
    """
    plain = text.strip().lower().replace("[.]", ".").removesuffix(".").removeprefix("*.")
    if not plain.isascii():
        try:
            plain = plain.encode("idna").decode()
        except UnicodeError:
            raise ValueError(text) from None
    if _NAME.fullmatch(plain) is None:
        raise ValueError(text)
    return plain


def digest(text: str, digits: int) -> str:
    """Return a digest of so many hexadecimal digits, colons left out; ValueError if it is none."""
    plain = text.strip().lower().replace(":", "")
    if len(plain) != digits or _HEXADECIMAL.fullmatch(plain) is None:
        raise ValueError(text)
    return plain


def ja4(text: str) -> str:
    """Return a JA4 fingerprint; ValueError if it is none."""
    plain = text.strip().lower()
    if _JA4.fullmatch(plain) is None:
        raise ValueError(text)
    return plain
