"""The exporter and a real HTTPS server: signed, verified, in order, and never led elsewhere."""

import hmac
import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ratwall.export import https
from ratwall.export.courier import DeliveryError
from ratwall.export.webhook import WebhookReceiver, body_of, signature
from ratwall.settings.export import ExportWebhook
from ratwall_lab.certificates import Notary
from unit.export.conftest import Story, eventually, exporter, facts, free_port, record

SECRET = "correct horse"
NOW = 1_750_000_000_000_000  # UTC microseconds


class Hook(http.server.ThreadingHTTPServer):
    """Takes requests, checks their signature as its owner would, and answers as it is told."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", port), Answer)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.status = 204
        self.location: str | None = None
        self.asked: list[str] = []  # each path that was asked for
        self.bodies: list[bytes] = []  # of what was taken
        self.heads: list[Any] = []  # the headers of each
        self.forged = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust us leaves in the middle: that is its right."""

    def servers(self) -> list[str]:
        """The servers of the incidents it was told of, without repeats, in order."""
        events = [event for body in self.bodies for event in json.loads(body)["events"]]
        return list(dict.fromkeys(event["destination"]["ip"] for event in events))


class Answer(http.server.BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        stamp = self.headers.get("X-Ratwall-Timestamp", "").encode()
        expected = hmac.new(SECRET.encode(), stamp + b"." + body, "sha256").hexdigest()
        if self.headers.get("X-Ratwall-Signature") != f"sha256={expected}":
            self.server.forged += 1
        if self.server.status < 300:
            self.server.bodies.append(body)
        self.server.asked.append(self.path)
        self.server.heads.append(self.headers)
        self.send_response(self.server.status)
        if self.server.location is not None:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nobody reads it."""


@contextmanager
def hook(port: int) -> Iterator[Hook]:
    identity = Notary().web_site("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.chain_file, identity.key_file)
    with Hook(port, context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    return file


@pytest.fixture
def authority() -> str:
    return str(Notary().trust_root())


def settings(port: int, secret: Path, authority: str) -> str:
    return (
        f'[export.webhook]\nurl = "https://localhost:{port}/hook?key=hidden"\n'
        f'secret_file = "{secret}"\nca_file = "{authority}"\n'
    )


def receiver(port: int, secret: Path, authority: str | None) -> WebhookReceiver:
    url = f"https://localhost:{port}/hook"
    return WebhookReceiver(ExportWebhook(url, str(secret), authority), "box-1", lambda: NOW)


def test_an_outage_of_the_hook_loses_nothing_and_nothing_is_forged(
    state_dir: Path, story: Story, secret: Path, authority: str
) -> None:
    port = free_port()
    with exporter(state_dir, settings(port, secret, authority)):
        servers = story.incidents(2)
        error = eventually(lambda: facts(state_dir, "webhook").get("error"), lambda: "no error")
        assert f"https://localhost:{port}" in error and "hidden" not in error
        with hook(port) as server:
            eventually(lambda: server.servers() == servers, server.servers)
            server.status = 503
            taken = len(server.asked)
            servers += story.incidents(3)
            eventually(lambda: len(server.asked) > taken, lambda: server.asked)
            server.status = 200
            eventually(lambda: server.servers() == servers, server.servers)
            assert server.forged == 0
            assert set(server.asked) == {"/hook?key=hidden"}
            text = b"".join(server.bodies).decode()
        eventually(
            lambda: facts(state_dir, "webhook")["backlog"] == 0, lambda: facts(state_dir, "webhook")
        )
    assert SECRET not in text and str(state_dir) not in text and "hidden" not in text


def test_a_server_that_is_not_trusted_is_told_nothing(secret: Path) -> None:
    with hook(port := free_port()) as server:
        with pytest.raises(DeliveryError, match="its certificate is not accepted"):
            receiver(port, secret, None).deliver([record()])
        assert server.asked == []


def test_a_redirect_is_not_followed(secret: Path, authority: str) -> None:
    with hook(port := free_port()) as server:
        server.status, server.location = 307, f"https://localhost:{port}/elsewhere"
        with pytest.raises(DeliveryError, match=r"redirects \(307\), which is not followed"):
            receiver(port, secret, authority).deliver([record()])
        assert server.asked == ["/hook"]


def test_a_server_that_dribbles_holds_nobody_up_for_ever(
    secret: Path, authority: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A header line every now and then: no time-out of a socket's sees that."""
    monkeypatch.setattr(https, "ANSWER_SECONDS", 0.5)
    identity = Notary().web_site("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.chain_file, identity.key_file)
    stop = threading.Event()

    def dribble(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, context.wrap_socket(connection, server_side=True) as secured:
            try:
                secured.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.5):
                    secured.sendall(b"X: y\r\n")
            except OSError:
                return  # it was left alone, as it should be

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=dribble, args=(listener,))
        thread.start()
        try:
            begun = time.monotonic()
            with pytest.raises(DeliveryError, match=f"https://localhost:{port}"):
                receiver(port, secret, authority).deliver([record()])
            assert time.monotonic() - begun < 25.0  # the hundred headers it takes: fifty
        finally:
            stop.set()
            thread.join()


def test_without_its_secret_nothing_is_sent(tmp_path: Path, authority: str) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    with hook(port := free_port()) as server:
        with pytest.raises(DeliveryError, match=r"secret cannot be read: No such file"):
            receiver(port, tmp_path / "secret", authority).deliver([record()])
        with pytest.raises(DeliveryError, match="expected one line of text"):
            receiver(port, empty, authority).deliver([record()])
        assert server.asked == []


def test_a_signature_covers_time_and_body() -> None:
    body = body_of([record()], "box-1")
    made = {signature(SECRET, "1", body), signature(SECRET, "2", body), signature(SECRET, "1", b"")}
    assert len(made) == 3
    # An example that the reader of docs/export.md can try: openssl dgst -sha256 -hmac.
    assert signature("key", "1", b"{}") == (
        "sha256=" + hmac.new(b"key", b"1.{}", "sha256").hexdigest()
    )
