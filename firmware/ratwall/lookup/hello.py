"""The one thing that a look-up says: a ClientHello of TLS 1.2 that old servers understand too.

Pure. It offers the suites of TLS 1.0 to 1.2, under which a server shows its certificate in clear,
and no version 1.3, which would hide it. It names a server only where the device did.
"""

import struct

from ratwall.wire.tls.handshake import ClientHello, Extension, push_client_hello
from ratwall.wire.tls.registry import (
    ContentType,
    ExtensionType,
    HandshakeType,
    ProtocolVersion,
)

# What Schannel and OpenSSL servers of any age pick from: ECDHE and plain RSA, AES and 3DES, in the
# order of Windows, whose servers these families' are.
CIPHER_SUITES = (
    *(0xC02C, 0xC02B, 0xC030, 0xC02F, 0xC024, 0xC023, 0xC028, 0xC027),
    *(0xC00A, 0xC009, 0xC014, 0xC013, 0x009F, 0x009E, 0x0039, 0x0033),
    *(0x009D, 0x009C, 0x003D, 0x003C, 0x0035, 0x002F, 0x000A),
)
GROUPS = (29, 23, 24, 25)  # x25519, P-256, P-384, P-521 (RFC 8422 section 5.1.1)
# RSA-PKCS1, RSA-PSS, ECDSA, DSA with SHA-1 to SHA-512 (RFC 5246 section 7.4.1.4.1, RFC 8446).
SIGNATURES = (
    *(0x0401, 0x0501, 0x0601, 0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806),
    *(0x0201, 0x0203, 0x0202),
)
_HOST_NAME = 0


def client_hello(random: bytes, name: str | None) -> bytes:
    """Return the whole record; `random` is 32 bytes, `name` what the device asked for."""
    named = () if name is None else (Extension(ExtensionType.SERVER_NAME, _server_name(name)),)
    hello = ClientHello(
        record_version=ProtocolVersion.TLS_1_0,
        legacy_version=ProtocolVersion.TLS_1_2,
        random=random,
        session_id=b"",
        cipher_suites=CIPHER_SUITES,
        compression_methods=(0,),
        extensions=(
            *named,
            Extension(ExtensionType.SUPPORTED_GROUPS, _numbers(GROUPS)),
            Extension(ExtensionType.EC_POINT_FORMATS, b"\x01\x00"),
            Extension(ExtensionType.SIGNATURE_ALGORITHMS, _numbers(SIGNATURES)),
            Extension(ExtensionType.RENEGOTIATION_INFO, b"\x00"),
        ),
    )
    body = push_client_hello(hello)
    message = bytes((HandshakeType.CLIENT_HELLO,)) + len(body).to_bytes(3, "big") + body
    header = struct.pack(">BHH", ContentType.HANDSHAKE, ProtocolVersion.TLS_1_0, len(message))
    return header + message


def _server_name(name: str) -> bytes:
    host = name.encode("ascii", "replace")
    entry = struct.pack(">BH", _HOST_NAME, len(host)) + host
    return len(entry).to_bytes(2, "big") + entry


def _numbers(values: tuple[int, ...]) -> bytes:
    return struct.pack(f">H{len(values)}H", 2 * len(values), *values)
