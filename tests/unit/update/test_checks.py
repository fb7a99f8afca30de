"""What a version must show: a page that answers, a history that holds, a handshake that is cut."""

import http.server
import sqlite3
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ratwall.kernel.command import ToolError
from ratwall.update import checks
from ratwall.update.checks import Checks, failed_units, ledger, page, selftest


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's own certificate and somebody else's."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("own", "other"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
                *("ec_paramgen_curve:P-256", "-noenc", "-subj", f"/CN={name}"),
                *("-keyout", f"{name}.key", "-out", f"{name}.pem"),
            ],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    return folder


@contextmanager
def serving(certificates: Path, status: int) -> Iterator[tuple[str, int]]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", "/setup")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "own.pem", certificates / "own.key")
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    # In the handler's turn: a handshake that fails must not end the server.
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield ("127.0.0.1", server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", [200, 303])
def test_a_page_that_answers_is_content(certificates: Path, status: int) -> None:
    with serving(certificates, status) as address:
        assert page(address, certificates / "own.pem") is None


def test_a_page_that_fails_or_is_somebody_elses_is_not(certificates: Path) -> None:
    with serving(certificates, 500) as address:
        assert "500" in str(page(address, certificates / "own.pem"))
        assert "verify failed" in str(page(address, certificates / "other.pem"))
        assert "does not answer" in str(page(address, certificates / "none.pem"))
    assert "refused" in str(page(address, certificates / "own.pem"))


def test_a_history_that_holds_one_that_is_damaged_and_none(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE flow (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO flow (name) VALUES (?)", [("x" * 500,)] * 200)
    connection.close()
    assert ledger(path) is None
    content = bytearray(path.read_bytes())
    content[8192:16384] = b"\xff" * 8192
    path.write_bytes(content)
    assert "history" in str(ledger(path))
    path.write_bytes(b"nothing of the kind" * 100)
    assert "cannot be read" in str(ledger(path))
    assert "cannot be read" in str(ledger(tmp_path / "absent"))
    assert not (tmp_path / "absent").exists(), "looking must not make one"


def test_failed_units_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(f"unit{n}.service loaded failed failed A unit\n" for n in range(7))
    for listing, expected in (
        ("", None),
        ("a.service loaded failed failed A\n", "failed: a.service"),
    ):
        monkeypatch.setattr(checks, "run_tool", lambda *_, text=listing: text)
        assert failed_units() == expected
    monkeypatch.setattr(checks, "run_tool", lambda *_: lines)
    assert str(failed_units()).endswith("unit4.service and 2 more")

    def refuse(*_: str) -> str:
        raise ToolError("systemctl not found")

    monkeypatch.setattr(checks, "run_tool", refuse)
    assert "does not say" in str(failed_units())


@pytest.mark.parametrize(
    ("status", "result", "wrong"),
    [
        ({"state": "protecting"}, {"ok": True}, None),
        ({"state": "protecting"}, {"ok": False, "reason": "the whole handshake passed"}, "passed"),
        ({"state": "monitor"}, {"ok": False}, None),
        ({"state": "paused"}, {"ok": False}, None),
        ({"reason": "not running"}, {"reason": "no answer"}, "no answer"),
    ],
)
def test_the_self_test_must_cut_unless_the_owner_wants_nothing_cut(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    status: dict[str, object],
    result: dict[str, object],
    wrong: str | None,
) -> None:
    answers = {"status": status, "selftest": result}
    monkeypatch.setattr(checks, "_answer", lambda command, _: answers[command])
    found = selftest(tmp_path)
    assert found is None if wrong is None else wrong in str(found)


def test_a_box_that_runs_nothing_gives_a_reason_in_one_line(tmp_path: Path) -> None:
    found = selftest(tmp_path)
    assert found is not None and found.startswith("the self-test failed: ") and "\n" not in found


def test_the_cheap_ones_come_first(tmp_path: Path) -> None:
    assert list(Checks(tmp_path).all()) == ["units", "page", "ledger", "self-test"]
