"""The update page: what it shows is true, and what it takes in goes to the disk, not into memory.

The upload goes through the real HTTPS server: its limit for bodies is another there than anywhere.
"""

import http.client
import json
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ratwall.update.attempt import Attempt, State, dump
from ratwall_web.certificate import provide_certificate
from ratwall_web.changelog import newest
from ratwall_web.guard import SESSION_COOKIE
from ratwall_web.serving import PageServer, open_socket
from web.story import Office
from web.upkeep import Desk, desk

NOW = 1_750_000_000_000_000
ADDRESS = "https://updates.example/ratwall-0.2.0-rpi5.raucb"
SLOTS = {
    "version": "0.1.0",
    "board": "rpi5",
    "slot": "A",
    "keys": "release",
    "other_slot": "B",
    "other_version": "0.0.9",
    "other_good": True,
}


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "update").mkdir()
    (tmp_path / "run").mkdir()
    return {"update_dir": tmp_path / "update", "runtime_dir": tmp_path / "run"}


@pytest.fixture
def page(state_dir: Path, office: Office, places: dict[str, Path]) -> Iterator[Desk]:
    with desk(state_dir, office, **places) as found:
        (found.config.update_dir / "slots.json").write_text(json.dumps(SLOTS))
        yield found


def keep(page: Desk, attempt: Attempt) -> None:
    (page.config.update_dir / "attempt.json").write_bytes(dump(attempt))


def progress(page: Desk, **change: object) -> None:
    found: dict[str, object] = {"what": "install", "state": "running", "step": "", "percent": 0}
    found |= {"began": NOW, "ended": None, "reason": ""}
    (page.config.runtime_dir / "update-state.json").write_text(json.dumps(found | change))


def test_the_versions_and_the_changelog_are_shown(page: Desk) -> None:
    text = page.get("/updates/").text
    for words in ("0.1.0", "Runs now", "0.0.9", "Ready to go back to", "There was none yet."):
        assert words in text
    assert "development keys" not in text
    title, lines = newest(page.config.changelog)
    assert title in text and len(lines) > 1


def test_a_long_line_of_the_changelog_ends_with_a_word(tmp_path: Path) -> None:
    path = tmp_path / "CHANGELOG.md"
    path.write_text("# Changes\n\n## 0.2.0\n\n* old\n* `long`" + " word" * 200 + "\n* new\n")
    title, lines = newest(path)
    assert (title, lines[0], lines[2]) == ("0.2.0", "new", "old")
    assert lines[1].startswith("long word") and lines[1].endswith(" word …")


def test_success_is_only_said_when_the_new_version_has_passed(page: Desk) -> None:
    attempt = Attempt("0.2.0", "B", "0.1.0", NOW, "b")
    for state, words in (
        (State.WRITING, "is being written into slot B"),
        (State.INSTALLED, "has not run yet"),
        (State.TRIAL, "is being checked"),
    ):
        keep(page, Attempt("0.2.0", "B", "0.1.0", NOW, "b", state))
        text = page.get("/updates/").text
        assert words in text
        assert "runs and has passed its check" not in text
    keep(page, attempt.end(NOW + 1, "self-test: <b>not</b> cut"))
    text = page.get("/updates/").text
    assert "version 0.1.0 runs on" in text and "self-test: &lt;b&gt;" in text
    keep(page, attempt.end(NOW + 1))
    assert "Version 0.2.0 runs and has passed its check." in page.get("/updates/").text


def test_the_progress_is_live_and_quiet_while_nothing_changes(page: Desk) -> None:
    progress(page, step="write", percent=40)
    first = page.get("/updates/live")
    assert "written: 40 % done" in first.text
    seen = first.text.split("seen=")[1].split('"')[0]
    assert page.get(f"/updates/live?seen={seen}").status_code == 204
    progress(page, state="failed", reason="is for board rpi5, this box is x", ended=NOW)
    assert "Nothing was changed. Reason: is for board" in page.get("/updates/live").text
    (page.config.runtime_dir / "update-state.json").write_text("{")
    assert "Nothing was changed" not in page.get("/updates/live").text


def test_an_address_is_checked_kept_and_handed_on(page: Desk) -> None:
    answer = page.post("/updates/address", url="http://updates.example/x")
    assert answer.status_code == 422
    assert "expected an address such as https://" in answer.text
    assert 'value="http://updates.example/x"' in answer.text
    assert page.orders() == []
    assert page.post("/updates/address", url=f" {ADDRESS} ").status_code == 303
    assert page.post("/updates/rollback").status_code == 303
    assert page.orders() == [{"verb": "update", "url": ADDRESS}, {"verb": "rollback"}]
    page.controller.refusals["steward"] = "update: another one is being installed; wait for it"
    answer = page.post("/updates/address", url=ADDRESS)
    assert answer.status_code == 409 and "another one is being installed" in answer.text
    assert f'value="{ADDRESS}"' in answer.text


@pytest.mark.parametrize("path", ["/updates/address", "/updates/rollback"])
def test_the_password_is_asked_for_again(page: Desk, path: str) -> None:
    page.clock.now += page.config.confirmed_s
    assert page.post(path, url=ADDRESS).status_code == 403
    assert page.get("/updates/file").status_code == 403
    assert page.orders() == []


def test_elsewhere_it_says_so(state_dir: Path, office: Office, places: dict[str, Path]) -> None:
    with desk(state_dir, office, image=False, **places) as page:
        assert "as a program on a computer" in page.get("/updates/").text
        assert "started from Ratwall's own image" in page.get("/updates/file").text


def bundle(size: int) -> bytes:
    """Bytes with the outer shape of an update."""
    head = b"hsqs" + bytes(36) + struct.pack("<Q", size - 1_000)
    return head + bytes(size - 8 - len(head)) + struct.pack(">Q", 500)


@contextmanager
def served(page: Desk) -> Iterator[http.client.HTTPSConnection]:
    """The page's own server, and a connection to it."""
    listener = open_socket("127.0.0.1", 0)
    certificate = provide_certificate(page.config, "127.0.0.1")
    server = PageServer(page.app, page.config, certificate, listener)
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield http.client.HTTPSConnection(
            *listener.getsockname()[:2], timeout=30, context=ssl._create_unverified_context()
        )
    finally:
        server.stop()
        thread.join()


def headers(page: Desk) -> dict[str, str]:
    cookie = page.client.get_cookie(SESSION_COOKIE, domain="192.168.1.1")
    assert cookie is not None
    return {"Cookie": f"{SESSION_COOKIE}={cookie.value}", "X-CSRF-Token": page.csrf()}


def send(
    connection: http.client.HTTPSConnection,
    body: bytes,
    head: dict[str, str],
    method: str = "PUT",
    path: str = "/updates/file",
) -> tuple[int, str]:
    connection.request(method, path, body, head)
    with connection.getresponse() as answer:
        found = answer.status, answer.read().decode()
    connection.close()
    return found


def test_an_upload_goes_to_the_disk_and_is_asked_for(page: Desk) -> None:
    body, kept = bundle(3_000_000), page.config.web_dir / "upload.raucb"
    with served(page) as connection:
        status, said = send(connection, body, headers(page))
        assert (status, said) == (200, "")
        assert kept.read_bytes() == body
        assert kept.stat().st_mode & 0o777 == 0o600
        assert page.orders() == [{"verb": "update"}]

        # Any other route keeps its small limit.
        assert page.post("/updates/address", url="x" * page.config.body_limit).status_code == 413

        # What the steward does not take is not left lying there.
        page.controller.refusals["steward"] = "update: another one is being installed"
        status, said = send(connection, body, headers(page))
        assert status == 409 and "another one" in said
        assert not kept.exists()


def test_an_upload_that_is_none_leaves_nothing(page: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = bundle(300_000)[:-8] + bytes(8)
    with served(page) as connection:
        head = headers(page)
        for body, words in (
            (b"MZ" + bytes(200_000), "expected a file that ends in .raucb"),
            (cut, "cut off or damaged"),
            (b"", "no update"),
        ):
            status, said = send(connection, body, head)
            assert status == 422 and words in said, said
        monkeypatch.setattr("ratwall_web.uploads.SPARE", 1 << 60)
        status, said = send(connection, bundle(300_000), head)
        assert status == 507 and "there is room for 0 MB" in said
        monkeypatch.undo()

        # A browser that goes away in the middle.
        announced = head | {"Content-Length": "300000"}
        connection.request("PUT", "/updates/file", bundle(300_000)[:100_000], announced)
        assert connection.sock is not None
        connection.sock.close()
        deadline = time.monotonic() + 30
        part = page.config.web_dir / "upload.part"
        while page.app.extensions["ratwall"].uploads._lock.locked() or part.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert {path.name for path in page.config.web_dir.glob("upload*")} == set()
    assert page.orders() == []


def test_a_large_body_is_not_read_from_whoever_may_not_send_it(page: Desk) -> None:
    """The answer comes while nothing of the announced body has been sent.

    (What had been sent and not been read would turn the close into a reset.)
    """
    announced = {"Content-Length": str(900_000_000)}
    with served(page) as connection:
        for head in (
            {},
            {"Cookie": headers(page)["Cookie"]},
            {**headers(page), "X-CSRF-Token": "x"},
        ):
            assert send(connection, b"", head | announced)[0] in (403, 413)
        page.clock.now += page.config.confirmed_s
        status, said = send(connection, b"", headers(page) | announced)
        assert status == 403 and "Open this page again" in said
        too_large = {**headers(page), "Content-Length": str(2 << 30)}
        assert send(connection, b"", too_large)[0] == 413
    assert not list(page.config.web_dir.glob("upload*"))
    assert page.orders() == []
