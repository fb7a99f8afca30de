"""The numbers of the IANA TLS registries that Ratwall reads, one IntEnum a registry.

Parsers keep raw integers, because unknown numbers are normal on the wire; these enums only name
the known ones and are never used to validate.
"""

from enum import IntEnum

_GREASE_MASK = 0x0F0F
_GREASE_VALUE = 0x0A0A


class ContentType(IntEnum):
    """TLS record content types (RFC 8446 §5.1, RFC 6520)."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23
    HEARTBEAT = 24


class HandshakeType(IntEnum):
    """TLS handshake message types (RFC 8446 §4, RFC 5246 §7.4, RFC 6066 §8)."""

    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    NEW_SESSION_TICKET = 4
    END_OF_EARLY_DATA = 5
    HELLO_RETRY_REQUEST = 6  # TLS 1.3 drafts up to 21 only
    ENCRYPTED_EXTENSIONS = 8
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20
    CERTIFICATE_URL = 21
    CERTIFICATE_STATUS = 22
    SUPPLEMENTAL_DATA = 23
    KEY_UPDATE = 24
    COMPRESSED_CERTIFICATE = 25
    NEXT_PROTOCOL = 67  # NPN, never standardised, still seen
    MESSAGE_HASH = 254


class ExtensionType(IntEnum):
    """Hello extensions whose content Ratwall reads."""

    SERVER_NAME = 0
    SUPPORTED_GROUPS = 10
    EC_POINT_FORMATS = 11
    SIGNATURE_ALGORITHMS = 13
    ALPN = 16
    EXTENDED_MASTER_SECRET = 23
    SESSION_TICKET = 35
    PRE_SHARED_KEY = 41
    EARLY_DATA = 42
    SUPPORTED_VERSIONS = 43
    KEY_SHARE = 51
    RENEGOTIATION_INFO = 65281


class ProtocolVersion(IntEnum):
    """Protocol versions as they stand in hellos and records."""

    SSL_2_0 = 0x0002
    SSL_3_0 = 0x0300
    TLS_1_0 = 0x0301
    TLS_1_1 = 0x0302
    TLS_1_2 = 0x0303
    TLS_1_3 = 0x0304


class AlertLevel(IntEnum):
    """Alert levels (RFC 5246 §7.2)."""

    WARNING = 1
    FATAL = 2


class AlertDescription(IntEnum):
    """Alert descriptions (IANA "TLS Alerts")."""

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    DECRYPTION_FAILED = 21
    RECORD_OVERFLOW = 22
    DECOMPRESSION_FAILURE = 30
    HANDSHAKE_FAILURE = 40
    NO_CERTIFICATE = 41
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    EXPORT_RESTRICTION = 60
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    INAPPROPRIATE_FALLBACK = 86
    USER_CANCELED = 90
    NO_RENEGOTIATION = 100
    MISSING_EXTENSION = 109
    UNSUPPORTED_EXTENSION = 110
    CERTIFICATE_UNOBTAINABLE = 111
    UNRECOGNIZED_NAME = 112
    BAD_CERTIFICATE_STATUS_RESPONSE = 113
    BAD_CERTIFICATE_HASH_VALUE = 114
    UNKNOWN_PSK_IDENTITY = 115
    CERTIFICATE_REQUIRED = 116
    NO_APPLICATION_PROTOCOL = 120


_VERSION_NAMES: dict[int, str] = {
    ProtocolVersion.SSL_2_0: "SSL 2.0",
    ProtocolVersion.SSL_3_0: "SSL 3.0",
    ProtocolVersion.TLS_1_0: "TLS 1.0",
    ProtocolVersion.TLS_1_1: "TLS 1.1",
    ProtocolVersion.TLS_1_2: "TLS 1.2",
    ProtocolVersion.TLS_1_3: "TLS 1.3",
}

# Deployed pre-standards of TLS 1.3 announce themselves as 0x7f00 + draft, Google's experiments as
# 0x7e00 + number, Facebook's as 0xfb00 + draft.
_DRAFT_HIGH_BYTE = 0x7F
_PRESTANDARD_HIGH_BYTES = (_DRAFT_HIGH_BYTE, 0x7E, 0xFB)


def is_grease(value: int) -> bool:
    """Whether a 16-bit code point is one of the reserved GREASE values (RFC 8701 §2)."""
    return value & _GREASE_MASK == _GREASE_VALUE and value >> 8 == value & 0xFF


def is_early_draft(version: int) -> bool:
    """Whether a hello's version field names a TLS 1.3 draft (up to 21 it stood there)."""
    return version >> 8 == _DRAFT_HIGH_BYTE


def is_tls13(version: int) -> bool:
    """Whether a negotiated version hides the certificate: TLS 1.3 or a pre-standard of it."""
    return version == ProtocolVersion.TLS_1_3 or version >> 8 in _PRESTANDARD_HIGH_BYTES


def version_name(version: int) -> str:
    """Name a protocol version for people: "TLS 1.2"; unknown numbers in hexadecimal."""
    if is_tls13(version):
        return _VERSION_NAMES[ProtocolVersion.TLS_1_3]
    return _VERSION_NAMES.get(version, f"0x{version:04x}")
