"""JA3, JA3S and JA4: short names for how a peer says hello.

They identify a TLS library and its settings, never a program: Windows' own library gives a trojan
and a bookkeeping program the same fingerprint. JA4S and JA4X are left out for their licence.

Design note: each fingerprint is a readable raw string and a hash of it; the raw string is what
tests and people compare. GREASE (RFC 8701) is random by design and is left out everywhere.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from ratwall.wire.tls.handshake import ClientHello, Extension, ServerHello
from ratwall.wire.tls.registry import ExtensionType, ProtocolVersion

# The sixteen reserved values (RFC 8701 §2), as a set: every value of every hello is looked up.
_GREASE = frozenset(0x0A0A + 0x1010 * number for number in range(16))

# JA4 gives two characters to each count.
_COUNT_LIMIT = 99

# JA4 keeps the first 12 hexadecimal digits of SHA-256, and zeros where there is nothing to hash.
_HASH_DIGITS = 12
_NOTHING = "0" * _HASH_DIGITS

# Anything else, such as the drafts of TLS 1.3, is "00".
_JA4_VERSIONS: dict[int, str] = {
    ProtocolVersion.SSL_2_0: "s2",
    ProtocolVersion.SSL_3_0: "s3",
    ProtocolVersion.TLS_1_0: "10",
    ProtocolVersion.TLS_1_1: "11",
    ProtocolVersion.TLS_1_2: "12",
    ProtocolVersion.TLS_1_3: "13",
}

# JA4_a already says whether these are there, and what the first ALPN value is.
_JA4_UNLISTED = (ExtensionType.SERVER_NAME, ExtensionType.ALPN)


# What of a hello its fingerprints are made from, besides the types of its extensions.
_READ = frozenset(
    {
        ExtensionType.ALPN,
        ExtensionType.EC_POINT_FORMATS,
        ExtensionType.SIGNATURE_ALGORITHMS,
        ExtensionType.SUPPORTED_GROUPS,
        ExtensionType.SUPPORTED_VERSIONS,
    }
)
_REMEMBERED = 256  # kinds of hello: a program says the same one again and again
_REMEMBERED_BYTES = 1024  # longer ones are worked out each time: 256 KB are enough to keep


def prints(hello: ClientHello) -> tuple[str, str]:
    """Return JA3 and JA4; what a program said before is remembered."""
    kept = tuple(
        Extension(each.type, each.data if each.type in _READ else b"") for each in hello.extensions
    )
    size = 2 * len(hello.cipher_suites) + sum(4 + len(each.data) for each in kept)
    work_out = _prints if size <= _REMEMBERED_BYTES else _prints.__wrapped__
    return work_out(hello.legacy_version, hello.cipher_suites, kept)


@lru_cache(maxsize=_REMEMBERED)
def _prints(
    version: int, ciphers: tuple[int, ...], extensions: tuple[Extension, ...]
) -> tuple[str, str]:
    hello = ClientHello(version, version, b"", b"", ciphers, (), extensions)
    return ja3(hello), ja4(hello)


def ja3_raw(hello: ClientHello) -> str:
    """Return version,ciphers,extensions,groups,point formats in decimal, in wire order."""
    return ",".join(
        (
            str(hello.legacy_version),
            _decimal(hello.cipher_suites),
            _decimal(extension.type for extension in hello.extensions),
            _decimal(hello.groups),
            "-".join(map(str, hello.point_formats)),
        )
    )


def ja3(hello: ClientHello) -> str:
    """Return the JA3 of a ClientHello, 32 lower-case hexadecimal digits."""
    return _md5(ja3_raw(hello))


def ja3s_raw(hello: ServerHello) -> str:
    """Return version,cipher,extensions in decimal, in wire order."""
    extensions = _decimal(extension.type for extension in hello.extensions)
    return f"{hello.legacy_version},{hello.cipher_suite},{extensions}"


def ja3s(hello: ServerHello) -> str:
    """Return the JA3S of a ServerHello, 32 lower-case hexadecimal digits."""
    return _md5(ja3s_raw(hello))


def ja4_raw(hello: ClientHello, transport: str = "t") -> tuple[str, str, str]:
    """Return JA4_a, and what JA4_b and JA4_c are hashed from; `transport` is "t", "q" or "d"."""
    ciphers = [value for value in hello.cipher_suites if value not in _GREASE]
    extensions = [e.type for e in hello.extensions if e.type not in _GREASE]
    has_name = ExtensionType.SERVER_NAME in extensions
    head = (
        f"{transport}{_ja4_version(hello)}{'d' if has_name else 'i'}"
        f"{min(len(ciphers), _COUNT_LIMIT):02d}{min(len(extensions), _COUNT_LIMIT):02d}"
        f"{_ja4_alpn(hello.alpn)}"
    )
    listed = _hexadecimal(sorted(value for value in extensions if value not in _JA4_UNLISTED))
    algorithms = _hexadecimal(hello.signature_algorithms)
    if algorithms:
        listed = f"{listed}_{algorithms}"
    return head, _hexadecimal(sorted(ciphers)), listed


def ja4(hello: ClientHello, transport: str = "t") -> str:
    """Return the JA4 of a ClientHello, e.g. "t13d1516h2_8daaf6152771_b186095e22b6"."""
    head, ciphers, extensions = ja4_raw(hello, transport)
    return f"{head}_{_sha256(ciphers)}_{_sha256(extensions)}"


def _ja4_version(hello: ClientHello) -> str:
    offered = [v for v in hello.supported_versions or () if v not in _GREASE]
    return _JA4_VERSIONS.get(max(offered, default=hello.legacy_version), "00")


def _ja4_alpn(protocols: tuple[bytes, ...]) -> str:
    """First and last character of the first value; of its hexadecimal form if not alphanumeric."""
    if not protocols or not protocols[0]:
        return "00"
    first = protocols[0]
    text = first.decode("latin-1")
    if not (text[0].isascii() and text[0].isalnum() and text[-1].isascii() and text[-1].isalnum()):
        text = first.hex()
    return text[0] + text[-1]


def _decimal(values: Iterable[int]) -> str:
    return "-".join(str(value) for value in values if value not in _GREASE)


def _hexadecimal(values: Iterable[int]) -> str:
    return ",".join(f"{value:04x}" for value in values)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS] if text else _NOTHING
