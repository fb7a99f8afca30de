"""Settings for programs: with a tag, all or none, and no secret in any answer."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ratwall_web import create_app
from ratwall_web.config import Config
from ratwall_web.services import EXTENSION, Services
from unit.controller.box import Box, Running
from unit.controller.keeper import FileKeeper
from web.conftest import FAST

BASE = "https://192.168.1.1:8443"
FILE = '[export.webhook]\nurl = "https://h.example/t0p"\nsecret_file = "/etc/ratwall/h"\n'


@pytest.fixture
def keeper(box: Box) -> Iterator[FileKeeper]:
    keeper = FileKeeper(box.state, FILE)
    running = Running(box)
    yield keeper
    running.stop()
    keeper.stop()


class Program:
    def __init__(self, client: FlaskClient, token: str) -> None:
        self._client, self._headers = client, {"Authorization": f"Bearer {token}"}

    def get(self) -> TestResponse:
        return self._client.get("/api/v1/settings", headers=self._headers, base_url=BASE)

    def patch(self, changes: Any, tag: str | None = None) -> TestResponse:
        headers = self._headers | ({} if tag is None else {"If-Match": tag})
        return self._client.patch("/api/v1/settings", json=changes, headers=headers, base_url=BASE)


@pytest.fixture
def programs(box: Box, keeper: FileKeeper) -> tuple[Program, Program]:
    """One that may act, and one that may look."""
    (box.state / "web").mkdir(mode=0o700)
    app = create_app(Config(box.state, **FAST))
    parts: Services = app.extensions[EXTENSION]
    parts.credentials.set("a password for tests")
    client = app.test_client()
    acts, looks = (Program(client, parts.tokens.make(name, name)) for name in ("act", "read"))
    return acts, looks


def test_a_change_by_who_read_them(programs: tuple[Program, Program], keeper: FileKeeper) -> None:
    acts, looks = programs
    read = acts.get()
    assert read.json is not None
    assert read.json["settings"]["detection.alert"] == {
        "set": False,
        "needs_restart": False,
        "secret": False,
        "value": 60,
        "default": 60,
    }
    tag = read.headers["ETag"]
    assert acts.patch({"detection.alert": 61}).status_code == 428
    assert looks.patch({"detection.alert": 61}, tag).status_code == 403
    done = acts.patch({"detection.alert": 61, "export.mqtt.password_file": None}, tag)
    assert done.json == {"changed": ["detection.alert"], "waiting": []}
    assert tomllib.loads(keeper.path.read_text())["detection"] == {"alert": 61}
    assert acts.patch({"detection.alert": 62}, tag).status_code == 412
    now = acts.get().headers["ETag"]
    for wrong in ({"detection.alert": 0}, {"detection.alert": 95}, {"x": 1}, {"detection": {}}):
        assert acts.patch(wrong, now).status_code == 409, wrong
    assert acts.get().headers["ETag"] == now


def test_no_answer_tells_a_secret(programs: tuple[Program, Program], keeper: FileKeeper) -> None:
    acts, looks = programs
    tag = acts.get().headers["ETag"]
    assert acts.patch({"export.webhook.secret_file": "open sesame"}, tag).status_code == 200
    for program in programs:
        assert "sesame" not in program.get().text
    assert "https://h.example/t0p" in acts.get().text
    assert "t0p" not in looks.get().text, "whose path is as good as a password"
