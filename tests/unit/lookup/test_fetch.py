"""One look-up against real servers of OpenSSL, old and new, and against sockets that mean harm."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ratwall.lookup import fetch as module
from ratwall.lookup.fetch import BYTES_LIMIT, fetch, result
from ratwall.lookup.hello import client_hello
from ratwall.signatures.pack import load_packs
from ratwall.wire.tls.conversation import Conversation
from ratwall.wire.tls.facts import TlsFacts
from ratwall.wire.x509.certificate import parse_certificate
from unit.wire.handshakes import papers, server_context
from unit.wire.x509.minting import mint

Serve = Callable[[socket.socket], None]


@contextmanager
def listening(serve: Serve) -> Iterator[int]:
    """A server on loopback for one visitor; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


@pytest.mark.parametrize("version", ["TLS 1.0", "TLS 1.1", "TLS 1.2"])
@pytest.mark.parametrize("name", [None, "c2.example"])
def test_a_server_of_any_age_shows_its_certificate(version: str, name: str | None) -> None:
    said: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError):
            server_context(version).wrap_socket(connection, server_side=True)
        said.append(b"over")

    with listening(serve) as port:
        facts = fetch("127.0.0.1", port, name)
    assert facts.certificate_der == papers().der
    assert (facts.version_name, facts.sni) == (version, name)
    assert said == [b"over"]


def test_the_hello_says_one_record_and_no_name_unless_asked() -> None:
    for name in (None, "c2.example"):
        conversation = Conversation()
        conversation.receive(True, client_hello(bytes(32), name))
        hello = conversation.facts.client_hello
        assert hello is not None
        assert hello.server_name == name
        assert hello.supported_versions is None, "1.3 would hide the certificate"
        assert not conversation.facts.anomalies


def test_whoever_stays_silent_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)
    left = threading.Event()
    began = time.monotonic()
    with listening(lambda connection: left.wait(5)) as port:
        with pytest.raises(TimeoutError):
            fetch("127.0.0.1", port, None)
        assert time.monotonic() - began < 2
        left.set()


def test_whoever_talks_for_ever_is_left_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte at a time keeps every single read short of its time-out."""
    monkeypatch.setattr(module, "SECONDS", 0.5)

    def drip(connection: socket.socket) -> None:
        for byte in b"\x16\x03\x01\x40\x00\x0b\x00\x3f\xf0" + bytes(1000):
            connection.sendall(bytes((byte,)))
            time.sleep(0.02)

    began = time.monotonic()
    with listening(drip) as port:
        with pytest.raises(TimeoutError):
            fetch("127.0.0.1", port, None)
        assert time.monotonic() - began < 2


def test_no_more_is_read_than_the_limit() -> None:
    sent: list[int] = []

    def pour(connection: socket.socket) -> None:
        alert = b"\x15\x03\x01\x00\x02\x01\x00" * 500  # warnings: nothing decided, nothing wrong
        while True:
            connection.sendall(alert)
            sent.append(len(alert))

    with listening(pour) as port:
        facts = fetch("127.0.0.1", port, None)
    assert facts.certificate is None
    assert sum(sent) < 100 * BYTES_LIMIT


def test_a_rat_is_judged_by_its_certificate_and_not_by_our_own_hello() -> None:
    packs = load_packs()
    conversation = Conversation()
    conversation.receive(True, client_hello(bytes(32), None))
    conversation.facts.certificate_der = mint("AsyncRAT Server")
    conversation.facts.certificate = parse_certificate(mint("AsyncRAT Server"))
    found = result(packs, conversation.facts, "203.0.113.7", 6606)
    ids = {item["id"] for item in found["evidence"]}
    assert "asyncrat.name" in ids
    assert not {one for one in ids if one.startswith("general.no-name")}
    assert not {one for one in ids if one.endswith(".port")}, "the port is no certificate"


def test_nothing_shown_is_nothing_found() -> None:
    assert result(load_packs(), TlsFacts(), "203.0.113.7", 443) == {
        "certificate": None,
        "der": None,
        "evidence": [],
    }
