"""The first run, from the code on the console to a test that was cut: with the real controller.

Only the kernel is a plain memory, and who runs the self-test is stood in for: it needs a box. The
whole of it on a running box is in `inline/test_first_run.py`.
"""

import re
import socket
import threading
import tomllib
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ratwall.controller.client import Client
from ratwall.controller.sockets import SELFTEST_BEGUN, SELFTEST_SOCKET
from ratwall.controller.testing import LOST, LOST_AUTHOR, Selftests, knocker
from ratwall.selftest.exchange import Outcome
from ratwall.steward.client import Steward
from ratwall_web import create_app, selftest_words
from ratwall_web.config import Config
from ratwall_web.control import STATUS_KEPT_S
from ratwall_web.first_run import STEPS, FirstRun
from ratwall_web.services import EXTENSION
from unit.controller.box import Box, Running
from unit.controller.keeper import FileKeeper
from web.conftest import FAST

BASE = "https://192.168.1.1:8443"
PASSWORD = "a password for tests"
CUT = {"ok": True, "cause": "cut", "reason": "cut before any data", "duration_ms": 90}
PASSED = {"ok": False, "cause": "passed", "reason": "the whole handshake passed", "duration_ms": 90}
FILE = "# the owner's own words\n[detection]\nalert = 60\n"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """Somebody who has just plugged the box in, and what he meets."""

    def __init__(self, app: Flask, running: Running, clock: Clock) -> None:
        self.app, self.running, self.clock = app, running, clock
        self.client: FlaskClient = app.test_client()

    def get(self, path: str) -> TestResponse:
        self.clock.now += STATUS_KEPT_S
        return self.client.get(path, base_url=BASE)

    def see(self, path: str) -> str:
        answer = self.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.headers)
        return words_of(answer)

    def post(self, path: str, at: str, **fields: str) -> TestResponse:
        text = self.client.get(at, base_url=BASE).text
        form = {"csrf": text.split('name="csrf" value="')[1].split('"')[0], **fields}
        return self.client.post(path, data=form, base_url=BASE)

    def set_up(self) -> TestResponse:
        code = self.app.extensions[EXTENSION].setup_code
        self.client.get("/setup", base_url=BASE)
        digits = code._path.read_text().strip()
        fields = {"code": digits, "password": PASSWORD, "again": PASSWORD}
        return self.post("/setup", "/setup", **fields)


def words_of(answer: TestResponse) -> str:
    return unescape(re.sub(r"\s+", " ", answer.text))


def where(answer: TestResponse) -> str:
    assert answer.status_code == 303, words_of(answer)
    return answer.headers["Location"]


@pytest.fixture
def keeper(box: Box) -> Iterator[FileKeeper]:
    keeper = FileKeeper(box.state, FILE)
    yield keeper
    keeper.stop()


@pytest.fixture
def desk(box: Box, keeper: FileKeeper) -> Iterator[Desk]:
    running = Running(box)
    service = running.service
    service.testing = Selftests(
        knocker(box.state / "run", Steward(box.state / "no-steward")),
        service.clock,
        lambda: service.take_selftest(LOST, LOST_AUTHOR),
    )
    (box.state / "web").mkdir(mode=0o700)
    clock = Clock()
    yield Desk(create_app(Config(box.state, **FAST), clock), running, clock)
    running.stop()


@pytest.fixture
def tester(box: Box) -> Iterator[None]:
    """Whoever runs self-tests as root, and takes his time."""
    path = box.state / "run" / SELFTEST_SOCKET
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.send(SELFTEST_BEGUN)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def tell(box: Box, result: dict[str, Any]) -> None:
    """Say what came of the test, as `ratwall selftest` does."""
    client = Client(box.state / "run" / "control.sock")
    client.call("selftest_result", result=result, author="root")


@pytest.mark.usefixtures("tester")
def test_from_the_code_to_a_test_that_was_cut(desk: Desk, box: Box, keeper: FileKeeper) -> None:
    assert 'aria-current="step"' in desk.see("/setup"), "the first of four"
    assert where(desk.set_up()) == "/first-run/"
    assert where(desk.get("/first-run/")) == "/first-run/place"
    assert "Where does the box stand?" in desk.see("/first-run/place")
    sent = desk.post("/first-run/place", "/first-run/place", mode="bridge")
    assert where(sent) == "/first-run/protection"
    assert keeper.path.read_text() == FILE, "what was so already is not written anew"

    sent = desk.post("/first-run/protection", "/first-run/protection", mode="monitor")
    assert where(sent) == "/first-run/test"
    assert tomllib.loads(keeper.path.read_text())["detection"] == {"alert": 60, "enforce": False}
    assert keeper.path.read_text().startswith("# the owner's own words")
    assert 'value="monitor" checked' in desk.see("/first-run/protection"), "it can be gone back to"
    desk.post("/first-run/protection", "/first-run/protection", mode="enforce")
    assert tomllib.loads(keeper.path.read_text())["detection"] == {"alert": 60, "enforce": True}

    assert "Not tested yet." in desk.see("/first-run/test")
    began = desk.post("/protection-test/", "/first-run/test", place="first-run")
    assert where(began) == "/first-run/test#protection-test"
    running = desk.see("/first-run/test")
    assert "The test runs." in running and "every 1s" in running
    assert "Test protection" not in running.split("Go on later")[0].split("Does it protect?")[1]
    tell(box, CUT)
    shown = desk.see("/protection-test/?place=first-run")
    assert "The protection works" in shown and "every 1s" not in shown

    assert where(desk.post("/first-run/over", "/first-run/test")) == "/"
    overview = desk.see("/")
    assert "The box is set up." in overview and "Go on with setting up" not in overview
    assert "The protection works" in overview and "Test again" in overview
    assert where(desk.get("/first-run/")) == "/", "there is nothing left to do"


def test_it_can_be_left_and_taken_up_again(desk: Desk) -> None:
    desk.set_up()
    desk.post("/first-run/place", "/first-run/place", mode="bridge")
    assert "Go on with setting up" in desk.see("/")
    desk.post("/logout", "/")
    assert where(desk.post("/login", "/login", password=PASSWORD)) == "/"
    assert where(desk.get("/first-run/")) == "/first-run/protection"
    assert where(desk.post("/first-run/over", "/", left_out="yes")) == "/"
    assert "Go on with setting up" not in desk.see("/")


def test_a_place_that_waits_for_a_restart_is_kept_and_said(desk: Desk, keeper: FileKeeper) -> None:
    desk.set_up()
    sent = desk.post("/first-run/place", "/first-run/place", mode="router")
    assert where(sent) == "/first-run/protection"
    assert tomllib.loads(keeper.path.read_text())["network"] == {"mode": "router"}
    again = desk.see("/first-run/place")
    assert 'value="router" checked' in again
    assert "In force at this moment: bridge." in again and "after the next restart" in again


@pytest.mark.parametrize("step", ["place", "protection"])
def test_a_choice_that_cannot_be_kept_is_shown_again(
    desk: Desk, keeper: FileKeeper, step: str
) -> None:
    desk.set_up()
    path = f"/first-run/{step}"
    answer = desk.post(path, path, mode="both")
    assert answer.status_code == 422 and "Choose one of the two." in words_of(answer)
    other = {"place": "router", "protection": "monitor"}[step]
    keeper.broken = True
    answer = desk.post(path, path, mode=other)
    shown = words_of(answer)
    assert answer.status_code == 409 and "Nothing was changed:" in shown
    assert f'value="{other}" checked' in shown, "nothing that was chosen is lost"
    assert "Leave it as it is and go on" in shown
    assert where(desk.get("/first-run/")) == "/first-run/place"


def test_with_the_controller_down_every_step_says_so(desk: Desk) -> None:
    desk.set_up()
    desk.running.stop()
    for step in ("place", "protection"):
        path = f"/first-run/{step}"
        assert "the controller does not answer" in desk.see(path)
        assert desk.post(path, path, mode="monitor").status_code in (422, 503)
    assert "does not answer" in desk.see("/first-run/test")
    sent = desk.post("/protection-test/", "/tokens/", place="first-run")
    assert where(sent).startswith("/first-run/test")
    assert "the controller does not answer" in desk.see("/first-run/test")


@pytest.mark.usefixtures("tester")
def test_a_test_that_failed_says_what_to_do(desk: Desk, box: Box) -> None:
    desk.set_up()
    desk.post("/protection-test/", "/", place="overview")
    tell(box, PASSED)
    shown = desk.see("/")
    assert "Not cut" in shown and "What to do:" in shown
    assert "the whole handshake passed" in shown, "for whoever helps"
    assert "Test again" in shown
    desk.post("/protection-test/", "/", place="overview")
    desk.post("/protection-test/", "/", place="overview")
    assert "one is running" in desk.see("/"), "a second click is told so"


def test_where_nobody_may_test_it_is_said(desk: Desk) -> None:
    desk.set_up()
    desk.post("/protection-test/", "/", place="nowhere")
    assert "as root: ratwall selftest" in desk.see("/")


def test_a_form_that_was_open_for_too_long_changes_nothing(desk: Desk, keeper: FileKeeper) -> None:
    desk.set_up()
    for path in ("/first-run/place", "/first-run/protection"):
        answer = desk.client.post(path, data={"mode": "router", "csrf": "old"}, base_url=BASE)
        assert answer.status_code == 422 and "open for too long" in words_of(answer)
    desk.client.post("/protection-test/", data={"csrf": "old"}, base_url=BASE)
    assert "open for too long" in desk.see("/")
    assert keeper.path.read_text() == FILE


def test_a_weaker_box_asks_for_the_password_when_it_was_given_long_ago(
    desk: Desk, keeper: FileKeeper
) -> None:
    desk.set_up()
    desk.clock.now += desk.app.extensions[EXTENSION].config.confirmed_s + 1
    answer = desk.post("/first-run/protection", "/first-run/protection", mode="monitor")
    assert answer.status_code == 403 and keeper.path.read_text() == FILE
    same = desk.post("/first-run/protection", "/first-run/protection", mode="enforce")
    assert where(same) == "/first-run/test", "what is so already needs no password"


def test_how_far_it_got_survives_a_restart_and_a_damaged_file(tmp_path: Path) -> None:
    config = Config(tmp_path)
    config.web_dir.mkdir()
    assert FirstRun(config).step() is None
    FirstRun(config).begin()
    for step in STEPS[:-1]:
        assert FirstRun(config).step() == step
        FirstRun(config).done(step)
        FirstRun(config).done(step)  # sent twice
    assert FirstRun(config).step() == STEPS[-1]
    FirstRun(config).done(STEPS[-1])
    FirstRun(config).done(STEPS[0])  # an earlier one looked at again
    assert FirstRun(config).step() == STEPS[-1]
    path = config.web_dir / "first-run.json"
    assert path.stat().st_mode & 0o777 == 0o600
    for damaged in (b"", b"[" * 300, b'{"step": 7}', b'{"step": "elsewhere"}', b"\xff", b"[]"):
        path.write_bytes(damaged)
        assert FirstRun(config).step() is None
    FirstRun(config).finish()
    FirstRun(config).finish()


@pytest.mark.parametrize("state", ["protecting", "monitor", "paused", "bypassed", None])
def test_only_a_test_that_was_cut_is_called_good(state: str | None) -> None:
    assert selftest_words.outcome(CUT, state).tone == "good"
    for cause in (*selftest_words.FAILED, "passed", "unheard of", None):
        told = selftest_words.outcome({"ok": False, "cause": cause}, state)
        assert told.tone != "good" and told.advice
    assert selftest_words.outcome({}, state).tone != "good", "a result that cannot be read"


def test_why_nothing_was_cut_is_told_by_the_state() -> None:
    assert "monitor" in selftest_words.outcome(PASSED, "monitor").title
    assert "paused" in selftest_words.outcome(PASSED, "paused").title
    assert selftest_words.outcome(PASSED, "protecting").tone == "bad"
    assert Outcome(False, "passed", "").cause == PASSED["cause"]
