"""Connections as rules see them, for tests: a certificate, a hello, a port."""

from ratwall.signatures.endpoint import Endpoint
from ratwall.wire.tls.facts import Anomaly, TlsFacts
from ratwall.wire.tls.handshake import ClientHello, Extension
from ratwall.wire.x509.certificate import parse_certificate

HTTPS = Endpoint(bytes((203, 0, 113, 7)), 443)

_SNI = Extension(0, b"\0\x0f\0\0\x0cshop.example")


def at_port(port: int) -> Endpoint:
    return Endpoint(HTTPS.server, port)


def hello(*, name: bool = False, version: int = 0x0303) -> ClientHello:
    """A client that offers `version`, naming its server or not."""
    return ClientHello(version, version, bytes(32), b"", (0xC014,), (0,), (_SNI,) if name else ())


def asyncrat_hello() -> ClientHello:
    """AsyncRAT's client on Windows 10 (JA3 fc54e0d1…): TLS 1.0 without a server name."""
    extensions = (
        Extension(10, bytes.fromhex("0006001d00170018")),
        Extension(11, bytes.fromhex("0100")),
        Extension(35, b""),
        Extension(23, b""),
        Extension(65281, b"\0"),
    )
    ciphers = (49162, 49161, 49172, 49171, 53, 47, 10)
    return ClientHello(0x0301, 0x0301, bytes(32), b"", ciphers, (0,), extensions)


def facts(
    der: bytes | None = None,
    *,
    client: ClientHello | None = None,
    chain: int = 1,
    anomalies: set[Anomaly] | None = None,
) -> TlsFacts:
    """What a handshake with this certificate would have shown."""
    return TlsFacts(
        client_hello=client,
        certificate=None if der is None else parse_certificate(der),
        certificate_der=der,
        chain_length=0 if der is None else chain,
        anomalies=anomalies or set(),
    )
