"""Lists over HTTPS, from a real server on this machine whose authority the test has made."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ratwall.feeds import fetch as module
from ratwall.feeds.deadline import Deadline
from ratwall.feeds.errors import FeedError
from ratwall.feeds.fetch import obtain
from ratwall.feeds.indicator import SECOND
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.contexts import server_context

NOW = 1_764_000_000 * SECOND
LIST = b"198.51.100.7:6606\n"
DATE = "Thu, 20 Nov 2025 10:00:00 GMT"
EDITION = 1_763_632_800 * SECOND


class Publisher(BaseHTTPRequestHandler):
    """Answers by path; what was asked is kept."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, dict[str, str]]] = []  # noqa: RUF012 (shared on purpose)

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers)))
        match self.path:
            case "/list":
                if self.headers.get("If-None-Match") == '"one"':
                    self.answer(304)
                else:
                    self.answer(200, LIST, ETag='"one"', **{"Last-Modified": DATE})
            case "/undated?format=csv":
                self.answer(200, LIST)
            case "/moved":
                self.answer(302, Location="/list")
            case "/loop":
                self.answer(302, Location="/loop")
            case "/plain":
                self.answer(302, Location="http://lists.example/list")
            case "/nowhere":
                self.answer(302, Location="https://[::1")
            case "/announced":
                self.send_response(200)
                self.send_header("Content-Length", str(1 << 40))
                self.end_headers()
            case "/superscript":
                self.send_response(200)
                self.send_header("Content-Length", "²")
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(LIST)
            case "/long-label":
                self.answer(302, Location=f"https://{'a' * 64}.example/")
            case "/umlaut":
                self.answer(302, Location="/\xe4")
            case "/endless":
                self.send_response(200)
                self.send_header("Connection", "close")
                self.end_headers()
                chunk = b"198.51.100.7\n" * 5000
                try:
                    while True:
                        self.wfile.write(chunk)
                except OSError:
                    self.close_connection = True
            case "/broken":
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.write(LIST)
                self.close_connection = True
            case "/slow":
                self.send_response(200)
                self.send_header("Connection", "close")
                self.end_headers()
                try:
                    for _ in range(100):
                        self.wfile.write(b"#\n")
                        time.sleep(0.05)
                except OSError:
                    self.close_connection = True
            case "/endless-headers":
                try:
                    while True:
                        self.wfile.write(b"X")
                        time.sleep(0.05)
                except OSError:
                    self.close_connection = True
            case "/away":
                port = self.server.server_address[1]
                self.answer(302, Location=f"https://other.lists.example:{port}/list")
            case "/escape":
                self.wfile.write(b"\x1b]0;mine\x07\r\n\r\n")
                self.close_connection = True
            case "/headers":
                self.send_response(200)
                for number in range(200):
                    self.send_header(f"X-{number}", "x")
                self.end_headers()
            case _:
                self.answer(503)

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def lab() -> tuple[Path, Identity]:
    """An authority, and a publisher's certificate by it: made once, signing takes a while."""
    notary = Notary()
    return notary.trust_root(), notary.web_site("localhost")


@contextmanager
def published(identity: Identity) -> Iterator[int]:
    """A publisher on this machine; its port."""
    server = HTTPServer(("127.0.0.1", 0), Publisher)
    server.socket = server_context(identity).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    Publisher.asked.clear()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def publisher(lab: tuple[Path, Identity], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a publisher whose certificate this machine believes."""
    monkeypatch.setenv("SSL_CERT_FILE", str(lab[0]))
    with published(lab[1]) as port:
        yield f"https://localhost:{port}"


def test_a_list_comes_with_its_date_and_tag(publisher: str) -> None:
    found = obtain(f"{publisher}/list", None, None, NOW)
    assert found is not None
    assert (found.data, found.edition) == (LIST, EDITION)
    assert (found.etag, found.modified) == ('"one"', DATE)
    ((path, headers),) = Publisher.asked
    assert path == "/list"
    assert headers["User-Agent"].startswith("ratwall/")
    assert not {"Cookie", "Authorization", "Referer"} & set(headers)


def test_what_has_not_changed_is_not_sent_again(publisher: str) -> None:
    assert obtain(f"{publisher}/list", '"one"', DATE, NOW) is None
    assert Publisher.asked[0][1]["If-Modified-Since"] == DATE


def test_a_list_without_a_date_is_of_now(publisher: str) -> None:
    found = obtain(f"{publisher}/undated?format=csv", None, None, NOW)
    assert found is not None
    assert found.edition == NOW


def test_redirects_are_followed_to_https_only(publisher: str) -> None:
    found = obtain(f"{publisher}/moved", None, None, NOW)
    assert found is not None
    assert found.data == LIST
    for path, complaint in (
        ("/loop", "more than 4 redirects"),
        ("/plain", "which is no https address"),
        ("/nowhere", "which is no https address"),
    ):
        with pytest.raises(FeedError, match=complaint):
            obtain(publisher + path, None, None, NOW)


def test_a_publisher_cannot_send_us_into_a_private_network(
    lab: tuple[Path, Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands there may have a certificate that everybody believes, and do what a GET says."""
    look_up = socket.getaddrinfo

    def here(host: str, *arguments: Any, **more: Any) -> Any:
        named = host.endswith(".lists.example")
        return look_up("127.0.0.1" if named else host, *arguments, **more)

    monkeypatch.setenv("SSL_CERT_FILE", str(lab[0]))
    monkeypatch.setattr(socket, "getaddrinfo", here)
    with (
        published(Notary().web_site("*.lists.example")) as port,
        pytest.raises(FeedError, match=r"a redirect into a private network, to 127\.0\.0\.1"),
    ):
        obtain(f"https://own.lists.example:{port}/away", None, None, NOW)
    assert [path for path, _ in Publisher.asked] == ["/away"]


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/announced", "sends more than 33554432 bytes"),
        ("/endless", "sends more than 33554432 bytes"),
        ("/broken", r"broke off|IncompleteRead"),
        ("/headers", "got more than 100 headers"),
        ("/other", "answers 503"),
        ("/escape", "localhost: \ufffd]0;mine\ufffd"),
        ("/long-label", "label"),
        ("/umlaut", "ascii"),
    ],
)
def test_what_a_server_may_do_wrong(publisher: str, path: str, complaint: str) -> None:
    with pytest.raises(FeedError, match=complaint) as caught:
        obtain(publisher + path, None, None, NOW)
    assert str(caught.value).isprintable()


def test_a_length_that_is_no_number_is_not_believed(publisher: str) -> None:
    found = obtain(f"{publisher}/superscript", None, None, NOW)
    assert found is not None
    assert found.data == LIST


def test_a_server_that_dribbles_is_left(publisher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.3)
    begun = time.monotonic()
    with pytest.raises(FeedError, match="not done within"):
        obtain(f"{publisher}/slow", None, None, NOW)
    assert time.monotonic() - begun < 3


def test_one_that_dribbles_where_no_time_out_looks_is_left_and_the_next_gets_its_turn(
    publisher: str,
) -> None:
    hurried = Deadline(obtain, each=0.5, whole=60)
    try:
        with pytest.raises(FeedError, match="took too long"):
            hurried.obtain(f"{publisher}/endless-headers", None, None, NOW)
        found = Deadline(obtain, each=30, whole=60).obtain(f"{publisher}/list", None, None, NOW)
    finally:
        hurried.close()
    assert found is not None
    assert found.data == LIST


def test_nobody_is_asked_when_the_time_of_all_is_over(publisher: str) -> None:
    deadline = Deadline(obtain, each=60, whole=59)
    try:
        with pytest.raises(FeedError, match="no time was left"):
            deadline.obtain(f"{publisher}/list", None, None, NOW)
    finally:
        deadline.close()
    assert Publisher.asked == []


def test_a_certificate_that_nobody_vouches_for_is_refused(
    publisher: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nobody = tmp_path / "empty.pem"
    nobody.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(nobody))
    with pytest.raises(FeedError, match="localhost: its certificate is not valid"):
        obtain(f"{publisher}/list", None, None, NOW)


def test_a_certificate_for_another_name_is_refused(publisher: str) -> None:
    with pytest.raises(FeedError, match="its certificate is not valid"):
        obtain(publisher.replace("localhost", "127.0.0.1") + "/list", None, None, NOW)


def test_nobody_there(publisher: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with pytest.raises(FeedError, match=r"localhost: .*refused"):
        obtain(f"https://localhost:{port}/list", None, None, NOW)
