"""Backup and restore on the page: down as a file, up again, whole or not at all."""

import io
import tomllib
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ratwall_web.services import EXTENSION
from unit.controller.box import Box, Running
from unit.controller.keeper import FileKeeper
from web.test_values import BASE, PASSWORD, Clock, app, client, clock, field_in

__all__ = ["app", "client", "clock"]  # fixtures
WORDS = "four words for tests"


@pytest.fixture
def keeper(box: Box) -> Iterator[FileKeeper]:
    keeper = FileKeeper(box.state, "[block]\nseconds = 61  # short\n")
    running = Running(box)
    yield keeper
    running.stop()
    keeper.stop()


def post(client: FlaskClient, what: str, **fields: object) -> TestResponse:
    page = client.get("/settings/backup/", base_url=BASE)
    form = {"csrf": field_in(page, "csrf"), **fields}
    return client.post(f"/settings/backup/{what}", data=form, base_url=BASE)


def make(client: FlaskClient) -> bytes:
    sent = post(client, "make", passphrase=WORDS, again=WORDS)
    assert sent.status_code == 200, sent.text
    assert sent.headers["Content-Disposition"].endswith('.ratwall"')
    return sent.data


def restore(client: FlaskClient, file: bytes, passphrase: str = WORDS) -> TestResponse:
    return post(client, "restore", passphrase=passphrase, file=(io.BytesIO(file), "x.ratwall"))


def test_down_and_up_again(app: Flask, client: FlaskClient, keeper: FileKeeper) -> None:
    file = make(client)
    assert b"argon2id" not in file and b"seconds" not in file
    credentials = app.extensions[EXTENSION].credentials
    keeper.path.write_text("[block]\nseconds = 99\n")
    credentials.add("anna", "viewer", "another password")
    answer = restore(client, file)
    assert answer.status_code == 303
    assert "The backup is put back." in client.get("/settings/backup/", base_url=BASE).text
    assert "# short" in keeper.path.read_text()
    assert tomllib.loads(keeper.path.read_text()) == {"block": {"seconds": 61}}
    assert [user.name for user in credentials.all()] == ["admin"]
    assert credentials.check(PASSWORD) is not None


def test_what_is_wrong_is_said_and_changes_nothing(client: FlaskClient, keeper: FileKeeper) -> None:
    file, before = make(client), keeper.path.read_text()
    for wrong, passphrase, words in (
        (file, "some other words", "passphrase is not the one"),
        (file[:-9], WORDS, "not whole: 9 of"),
        (file[:-1] + bytes([file[-1] ^ 1]), WORDS, "changed or damaged"),
        (b"%PDF-1.7", WORDS, "no backup of Ratwall"),
        (b"", WORDS, "Choose the file."),
    ):
        answer = restore(client, wrong, passphrase)
        assert answer.status_code == 422 and words in answer.text, words
        assert 'role="alert"' in answer.text
    assert post(client, "make", passphrase="short", again="short").status_code == 422
    differs = post(client, "make", passphrase=WORDS, again=WORDS + "!")
    assert differs.status_code == 422 and "not the same" in differs.text
    assert keeper.path.read_text() == before


def test_both_ask_for_the_password_again(
    client: FlaskClient, keeper: FileKeeper, clock: Clock
) -> None:
    file = make(client)
    clock.now += 301
    for answer in (post(client, "make", passphrase=WORDS, again=WORDS), restore(client, file)):
        assert answer.status_code == 403 and "Your password, once more" in answer.text


def test_without_a_controller_it_says_so(client: FlaskClient) -> None:
    answer = post(client, "make", passphrase=WORDS, again=WORDS)
    assert answer.status_code == 503 and "does not answer" in answer.text


def test_a_new_box_takes_a_backup_in_place_of_its_set_up(
    app: Flask, client: FlaskClient, keeper: FileKeeper
) -> None:
    file, parts = make(client), app.extensions[EXTENSION]
    assert client.get("/setup/restore/", base_url=BASE).status_code == 303, "somebody may sign in"
    parts.credentials.forget()
    keeper.path.write_text("")
    parts.setup_code.ensure()
    code = (parts.config.web_dir / "setup-code").read_text().split()[-1]
    new = app.test_client()
    new.environ_base["HTTP_HOST"] = "192.168.1.1:8443"

    def put_back(code: str, passphrase: str) -> TestResponse:
        page = new.get("/setup/restore/", base_url=BASE)
        form = {"csrf": field_in(page, "csrf"), "code": code, "passphrase": passphrase}
        form["file"] = (io.BytesIO(file), "x.ratwall")
        return new.post("/setup/restore/", data=form, base_url=BASE)

    assert "not the set-up code" in put_back("0000-0000", WORDS).text
    assert "passphrase is not the one" in put_back(code, "some other words").text
    assert not parts.credentials.exist() and keeper.path.read_text() == ""
    assert put_back(code, WORDS).headers["Location"] == "/login"
    assert parts.credentials.check(PASSWORD) is not None
    assert tomllib.loads(keeper.path.read_text()) == {"block": {"seconds": 61}}
    assert new.get("/setup/restore/", base_url=BASE).status_code == 303
