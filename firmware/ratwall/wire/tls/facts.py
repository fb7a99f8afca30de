"""Everything that the handshake of one connection showed, gathered while its bytes pass.

It holds facts only, never an opinion: points are given in `signatures`, verdicts in `verdict`. It
is filled by `Conversation` and read by everyone else; fingerprints are computed when first asked
for, because most connections are judged without them.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from ratwall.wire.fingerprint import ja3s, prints
from ratwall.wire.tls.handshake import ClientHello, ServerHello
from ratwall.wire.tls.registry import version_name
from ratwall.wire.x509.certificate import Certificate


class Anomaly(StrEnum):
    """What honest peers do not do; a connection with one of these is never called clean."""

    OVERSIZED_HANDSHAKE = "oversized handshake"  # message or leaf beyond the caps
    MALFORMED_HANDSHAKE = "malformed handshake"  # a hello or Certificate message unreadable
    UNREADABLE_CERTIFICATE = "unreadable certificate"  # the leaf's DER gave nothing
    EMPTY_CERTIFICATE = "empty certificate"  # the server sent a Certificate message without one
    CHANGED_CERTIFICATE = "changed certificate"  # a second, different one in a renegotiation
    OVERLAP_CONFLICT = "overlapping segments differ"
    OUT_OF_TURN = "answered before it was asked"  # the server may have
    REASSEMBLY_OVERFLOW = "too much out of order"  # more than 32 KiB held back in a direction


@dataclass(slots=True)
class TlsFacts:
    """What was seen so far; grows until the connection is judged."""

    client_hello: ClientHello | None = None
    server_hello: ServerHello | None = None  # a HelloRetryRequest until the real one comes
    hello_retry: bool = False
    certificate: Certificate | None = None
    certificate_der: bytes | None = None
    certificate_error: str | None = None
    chain_length: int = 0
    client_certificate: bool = False
    resumed: bool = False
    preamble: str | None = None  # the dialogue in cleartext before TLS; None if there was none
    picked_up: bool = False  # seen from its middle on: its handshake was before our time
    alerts: list[tuple[str, str, bool]] = field(default_factory=list)  # level, text, from client
    anomalies: set[Anomaly] = field(default_factory=set)
    _ja3: str | None = None
    _ja4: str | None = None
    _ja3s: str | None = None
    _named: ClientHello | None = None  # the hello that `_sni` is of
    _sni: str | None = None

    def set_server_hello(self, hello: ServerHello) -> None:
        """Take the server's hello, in place of a HelloRetryRequest perhaps."""
        self.server_hello = hello
        self._ja3s = None

    @property
    def sni(self) -> str | None:
        """The server name that the client asked for, or None."""
        hello = self.client_hello
        if hello is None:
            return None
        if self._named is not hello:
            self._named, self._sni = hello, hello.server_name
        return self._sni

    @property
    def version(self) -> int | None:
        """The negotiated protocol version; None before the ServerHello."""
        return self.server_hello.selected_version if self.server_hello else None

    @property
    def version_name(self) -> str | None:
        """The negotiated version for people ("TLS 1.2"); None before the ServerHello."""
        return version_name(self.server_hello.selected_version) if self.server_hello else None

    @property
    def ja3(self) -> str | None:
        """JA3 of the ClientHello (MD5, hexadecimal), or None; not defined for SSL 2.0 hellos."""
        return self._prints[0]

    @property
    def ja4(self) -> str | None:
        """JA4 of the ClientHello, or None; not defined for SSL 2.0 hellos."""
        return self._prints[1]

    @property
    def _prints(self) -> tuple[str | None, str | None]:
        hello = self.client_hello
        if self._ja3 is None and hello is not None and not hello.is_ssl2:
            self._ja3, self._ja4 = prints(hello)
        return self._ja3, self._ja4

    @property
    def ja3s(self) -> str | None:
        """JA3S of the ServerHello (MD5, hexadecimal), or None."""
        if self._ja3s is None and self.server_hello is not None:
            self._ja3s = ja3s(self.server_hello)
        return self._ja3s
