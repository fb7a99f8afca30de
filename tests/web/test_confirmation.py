"""Privileged acts ask for the password again, count wrong ones, and lose nothing that was typed."""

import io
import re
from collections.abc import Iterator

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ratwall_web import create_app, guard
from ratwall_web.config import Config
from ratwall_web.confirmation import PENDING_MOST
from ratwall_web.control import Control
from ratwall_web.services import EXTENSION

BASE = "https://192.168.1.1:8443"
PASSWORD = "a password for tests"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def done() -> list[tuple[dict[str, str], dict[str, bytes]]]:
    """What the privileged act was done with."""
    return []


@pytest.fixture
def app(
    config: Config,
    clock: Clock,
    done: list[tuple[dict[str, str], dict[str, bytes]]],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Flask]:
    monkeypatch.setattr(Control, "record", lambda *_: None)  # there is no controller here
    app = create_app(config, clock)
    app.config["MAX_CONTENT_LENGTH"] = 2 * PENDING_MOST

    @app.route("/act", methods=["GET", "POST"])
    @guard.confirmed
    def act() -> str:
        files = {name: file.read() for name, file in request.files.items()}
        done.append((request.form.to_dict(), files))
        return f"done by {'POST' if request.method == 'POST' else 'GET'}"

    @app.post("/perhaps")
    def perhaps() -> object:
        asked = guard.ask_again() if request.form.get("weaken") else None
        if asked is not None:
            return asked
        done.append((request.form.to_dict(), {}))
        return "done"

    app.extensions[EXTENSION].credentials.set(PASSWORD)
    yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_HOST"] = "192.168.1.1:8443"
    form = {"password": PASSWORD, "csrf": token_in(client.get("/login", base_url=BASE))}
    assert client.post("/login", data=form, base_url=BASE).status_code == 303
    return client


def token_in(page: TestResponse, field: str = "csrf") -> str:
    found = re.search(rf'name="{field}" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def csrf(client: FlaskClient) -> str:
    return token_in(client.get("/tokens/", base_url=BASE))


def give(
    client: FlaskClient, page: TestResponse, password: str, path: str | None = None
) -> TestResponse:
    """Fill in the page that asks for the password."""
    action = re.search(r'<form method="post" action="([^"]+)" class="own"', page.text)
    assert action is not None
    form = {
        "password": password,
        "csrf": token_in(page),
        "confirm_pending": token_in(page, "confirm_pending"),
    }
    return client.post(path or action[1].replace("&amp;", "&"), data=form, base_url=BASE)


def test_who_has_just_signed_in_is_not_asked(client: FlaskClient, clock: Clock) -> None:
    assert client.get("/act", base_url=BASE).text == "done by GET"
    clock.now += 299
    assert client.get("/act", base_url=BASE).text == "done by GET"
    clock.now += 1
    answer = client.get("/act", base_url=BASE)
    assert answer.status_code == 403
    assert "Your password, once more" in answer.text


def test_a_form_and_its_files_wait_and_never_go_back_to_the_browser(
    client: FlaskClient, clock: Clock, done: list[tuple[dict[str, str], dict[str, bytes]]]
) -> None:
    clock.now += 300
    form = {"csrf": csrf(client), "name": "anna", "secret": "not to be seen"}
    files = {"key": (io.BytesIO(b"a private key"), "key.pem")}
    asked = client.post("/act?of=1", data=form | files, base_url=BASE)
    assert asked.status_code == 403 and done == []
    assert "not to be seen" not in asked.text and "private key" not in asked.text

    wrong = give(client, asked, "wrong")
    assert wrong.status_code == 422 and "4 tries are left" in wrong.text and done == []
    right = give(client, wrong, PASSWORD)
    assert right.text == "done by POST"
    assert done == [
        (
            {"csrf": form["csrf"], "name": "anna", "secret": "not to be seen"},
            {"key": b"a private key"},
        )
    ]
    assert give(client, wrong, PASSWORD).headers["Location"] == "/", "it went on once"
    assert len(done) == 1
    clock.now += 299
    assert client.post("/act", data={"csrf": csrf(client)}, base_url=BASE).text == "done by POST"


def test_a_page_is_shown_after_the_password(client: FlaskClient, clock: Clock) -> None:
    clock.now += 300
    asked = client.get("/act?of=1", base_url=BASE)
    answer = give(client, asked, PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/act?of=1")
    assert client.get("/act?of=1", base_url=BASE).text == "done by GET"


def test_only_what_weakens_is_asked_about(
    client: FlaskClient, clock: Clock, done: list[tuple[dict[str, str], dict[str, bytes]]]
) -> None:
    clock.now += 300
    token = csrf(client)
    assert client.post("/perhaps", data={"csrf": token}, base_url=BASE).text == "done"
    asked = client.post("/perhaps", data={"csrf": token, "weaken": "yes"}, base_url=BASE)
    assert asked.status_code == 403 and len(done) == 1
    assert give(client, asked, PASSWORD).text == "done"
    assert done[-1][0]["weaken"] == "yes"


def test_the_answer_is_worth_nothing_for_another_act_or_session(
    app: Flask, client: FlaskClient, clock: Clock, done: list[object]
) -> None:
    clock.now += 300
    asked = client.post("/act", data={"csrf": csrf(client)}, base_url=BASE)
    other = give(client, asked, PASSWORD, path="/perhaps")
    assert (other.status_code, other.headers["Location"], done) == (303, "/", [])
    clock.now += 300
    first = client.post("/act", data={"csrf": csrf(client)}, base_url=BASE)
    client.post("/act", data={"csrf": csrf(client)}, base_url=BASE)
    assert give(client, first, PASSWORD).headers["Location"] == "/", "only the newer waits"
    assert done == []


def test_an_answer_without_our_form_changes_nothing(
    client: FlaskClient, clock: Clock, done: list[object]
) -> None:
    clock.now += 300
    asked = client.post("/act", data={"csrf": csrf(client)}, base_url=BASE)
    form = {"password": PASSWORD, "confirm_pending": token_in(asked, "confirm_pending")}
    assert client.post("/act", data=form, base_url=BASE).status_code == 403
    assert done == []


def test_guesses_count_as_those_of_a_sign_in(
    client: FlaskClient, clock: Clock, done: list[object]
) -> None:
    clock.now += 300
    page = client.post("/act", data={"csrf": csrf(client)}, base_url=BASE)
    for _ in range(5):
        page = give(client, page, "wrong")
    assert page.status_code == 429 and int(page.headers["Retry-After"]) > 200
    assert give(client, page, PASSWORD).status_code == 429 and done == []


@pytest.mark.parametrize(("size", "waits"), [(PENDING_MOST - 2048, True), (PENDING_MOST, False)])
def test_what_is_too_large_to_wait_is_sent_again(
    client: FlaskClient, clock: Clock, done: list[object], size: int, waits: bool
) -> None:
    clock.now += 300
    data = {"csrf": csrf(client), "file": (io.BytesIO(b"x" * size), "backup")}
    headers = {"Referer": f"{BASE}/tokens/?page=2"}
    asked = client.post("/act", data=data, base_url=BASE, headers=headers)
    assert 'href="/tokens/?page=2"' in asked.text
    answer = give(client, asked, PASSWORD)
    if waits:
        assert answer.text == "done by POST"
    else:
        assert answer.headers["Location"] == "/tokens/?page=2" and done == []


def test_a_page_that_was_asked_for_by_a_script_leads_to_the_question(
    client: FlaskClient, clock: Clock
) -> None:
    clock.now += 300
    headers = {
        "HX-Request": "true",
        "X-CSRF-Token": csrf(client),
        "Referer": "https://evil.example/x",
    }
    answer = client.post("/act", data={"a": "1"}, headers=headers, base_url=BASE)
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (403, "/confirm/")
    page = client.get("/confirm/", base_url=BASE)
    assert "evil.example" not in page.text
    assert give(client, page, PASSWORD).text == "done by POST"
    assert client.get("/confirm/", base_url=BASE).headers["Location"] == "/", "nothing waits"


def test_nobody_who_is_not_signed_in_is_asked(app: Flask) -> None:
    client = app.test_client()
    answer = client.get("/act", base_url=BASE)
    assert answer.headers["Location"].startswith("/login")
