"""TLS conversations for tests: real ones of OpenSSL with itself, and messages built by hand."""

import ssl
import tempfile
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ratwall.wire.tls.conversation import Conversation
from ratwall.wire.tls.handshake import ClientHello, Extension, ServerHello
from ratwall.wire.tls.registry import ContentType, HandshakeType
from unit.wire.x509 import minting

Flights = tuple[tuple[bool, bytes], ...]  # who speaks (True: the client), and everything said

VERSIONS = {
    "TLS 1.0": ssl.TLSVersion.TLSv1,
    "TLS 1.1": ssl.TLSVersion.TLSv1_1,
    "TLS 1.2": ssl.TLSVersion.TLSv1_2,
    "TLS 1.3": ssl.TLSVersion.TLSv1_3,
}
ANYTHING = "ALL:@SECLEVEL=0"  # OpenSSL's own defaults no longer speak TLS 1.0
HOST = "shop.example"


@dataclass(frozen=True)
class Papers:
    """A certificate, as DER and as the file that OpenSSL wants."""

    der: bytes
    file: Path


@cache
def papers(common_name: str = "Acme Printing") -> Papers:
    der = minting.mint(common_name, serial=4711)
    key = minting.rsa_key().private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    file = Path(tempfile.mkdtemp(prefix="ratwall-test-")) / "papers.pem"
    file.write_bytes(key + ssl.DER_cert_to_PEM_cert(der).encode())
    return Papers(der, file)


def server_context(version: str = "TLS 1.2", ciphers: str = ANYTHING) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(ciphers)
    context.load_cert_chain(papers().file)
    _fix(context, version)
    return context


def client_context(version: str = "TLS 1.2", ciphers: str = ANYTHING) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(ciphers)
    _fix(context, version)
    return context


def _fix(context: ssl.SSLContext, version: str) -> None:
    # TLS 1.0 and 1.1 are what this is about: the warning is for people who deploy them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = VERSIONS[version]


def converse(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[Flights, ssl.SSLObject]:
    """Let both shake hands, say one word each way and part; return all bytes, and the client."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=HOST, session=session)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    flights: list[tuple[bool, bytes]] = []
    # Three exchanges finish any handshake. Without a goodbye the session would not be resumed.
    for step in ("handshake", "handshake", "handshake", "data", "goodbye"):
        for from_client, side, output, peer in (
            (True, here, to_server, to_server),
            (False, there, to_client, to_client),
        ):
            try:
                if step == "handshake":
                    side.do_handshake()
                elif step == "data":
                    side.write(b"ping" if from_client else b"pong")
                    side.read()
                else:
                    side.unwrap()
            except (ssl.SSLWantReadError, ssl.SSLError):
                pass  # waiting for the peer, or refusing it with an alert: both is what we record
            said = output.read()
            if said:
                flights.append((from_client, said))
                peer.write(said)
    return tuple(flights), here


@cache
def full(version: str) -> Flights:
    return converse(server_context(version), client_context(version))[0]


@cache
def resumed(tickets: bool) -> Flights:
    """The second of two TLS 1.2 conversations with the same peers."""
    server, client = server_context(), client_context()
    if not tickets:
        server.options |= ssl.OP_NO_TICKET
    _, first = converse(server, client)
    return converse(server, client, first.session)[0]


@cache
def retried() -> Flights:
    """TLS 1.3 with a HelloRetryRequest: the server wants a group that was offered, not shared."""
    server = server_context("TLS 1.3")
    server.set_ecdh_curve("secp384r1")
    return converse(server, client_context("TLS 1.3"))[0]


@cache
def anonymous() -> Flights:
    """TLS 1.2 with a suite that has no certificate."""
    return converse(
        server_context(ciphers="aNULL:@SECLEVEL=0"), client_context(ciphers="aNULL:@SECLEVEL=0")
    )[0]


@cache
def with_client_certificate() -> Flights:
    server, client = server_context(), client_context()
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(papers().file)
    client.load_cert_chain(papers().file)
    return converse(server, client)[0]


@cache
def refused() -> Flights:
    """The client checks the certificate, finds it worth nothing and says so."""
    client = client_context()
    client.verify_mode = ssl.CERT_REQUIRED
    return converse(server_context(), client)[0]


def observe(flights: Flights, size: int = 1 << 20) -> Conversation:
    """Show the flights to an observer in pieces of at most `size` bytes."""
    conversation = Conversation()
    for from_client, said in flights:
        for start in range(0, len(said), size):
            conversation.receive(from_client, said[start : start + size])
    return conversation


# -- messages by hand -------------------------------------------------------------------------

CLIENT_HELLO = ClientHello(
    record_version=0x0301,
    legacy_version=0x0303,
    random=bytes(range(32)),
    session_id=b"",
    cipher_suites=(0x0A0A, 0xC02F, 0xC014),
    compression_methods=(0,),
    extensions=(Extension(0, b"\0\x0f\0\0\x0cshop.example"), Extension(23, b"")),
)
SERVER_HELLO = ServerHello(
    legacy_version=0x0303,
    random=bytes(range(32, 64)),
    session_id=b"session",
    cipher_suite=0xC02F,
    compression_method=0,
    extensions=(Extension(65281, b"\0"),),
)


def message(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + len(body).to_bytes(3, "big") + body


def certificate_message(*chain: bytes) -> bytes:
    entries = b"".join(len(der).to_bytes(3, "big") + der for der in chain)
    return message(HandshakeType.CERTIFICATE, len(entries).to_bytes(3, "big") + entries)


def records(
    fragment: bytes, kind: int = ContentType.HANDSHAKE, version: int = 0x0303, size: int = 1 << 14
) -> bytes:
    """Put bytes into records of at most `size` bytes each."""
    return b"".join(
        bytes((kind,)) + version.to_bytes(2, "big") + len(part).to_bytes(2, "big") + part
        for part in (fragment[at : at + size] for at in range(0, len(fragment), size))
    )
