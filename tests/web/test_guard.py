"""What every request meets: the right name, our own form, somebody signed in; and the policy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ratwall.update.attempt import Attempt
from ratwall.update.place import Place, keep_attempt
from ratwall_web import create_app
from ratwall_web.api.gate import is_for_programs
from ratwall_web.config import Config
from ratwall_web.control import Control
from ratwall_web.guard import KNOWN_COOKIE, SESSION_COOKIE, VISIT_COOKIE
from ratwall_web.numbers import ROW_LIMIT
from ratwall_web.own_path import own_path
from ratwall_web.services import EXTENSION
from web.conftest import FAST
from web.story import Office
from web.visitor import path_of

BASE = "https://192.168.1.1:8443"
PASSWORD = "a password for tests"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    monkeypatch.setattr(Control, "record", lambda *_: None)  # there is no controller here
    (tmp_path / "web").mkdir(mode=0o700)
    office = Office(tmp_path / "ledger.sqlite3")
    office.attack()
    app = create_app(Config(tmp_path, tmp_path, **FAST), clock)
    app.extensions[EXTENSION].credentials.set(PASSWORD)
    yield app
    office.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_HOST"] = "192.168.1.1:8443"
    return client


def csrf(client: FlaskClient, path: str = "/login") -> str:
    text = client.get(path, base_url=BASE).text
    return text.split('name="csrf" value="')[1].split('"')[0]


def log_in(client: FlaskClient, **fields: str) -> TestResponse:
    form = {"password": PASSWORD, "csrf": csrf(client), **fields}
    return client.post("/login", data=form, base_url=BASE)


def test_every_page_is_closed_to_strangers(app: Flask, client: FlaskClient) -> None:
    public = {"/static/<path:name>", "/healthz", "/setup", "/setup/restore/", "/login"}
    public |= {"/login/code", "/language"}
    for rule in app.url_map.iter_rules():
        if rule.rule in public:
            continue
        path = path_of(rule.rule)
        method = "POST" if "POST" in rule.methods else "GET"  # type: ignore[operator]
        answer = client.open(path, method=method, base_url=BASE)
        if is_for_programs(rule.rule):
            assert (answer.status_code, answer.mimetype) == (401, "application/problem+json"), rule
            continue
        assert answer.status_code == 303, rule
        assert answer.headers["Location"].startswith("/login"), rule


def test_the_owner_reads_what_became_of_the_last_update(client: FlaskClient, app: Flask) -> None:
    log_in(client)
    place = Place(app.extensions[EXTENSION].config.update_dir)
    assert "update to version" not in client.get("/", base_url=BASE).text
    attempt = Attempt("0.2.0", "B", "0.1.0", 1, "a boot")
    keep_attempt(place, attempt.end(2, "the admin page does not answer <b>"))
    text = client.get("/", base_url=BASE).text
    assert "The update to version 0.2.0 did not work, and version 0.1.0 runs on." in text
    assert "does not answer &lt;b&gt;" in text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("192.168.1.1", 200),
        ("192.168.1.1:8443", 200),
        ("[fe80::1]:8443", 200),
        ("localhost:8443", 200),
        ("RATWALL.local", 200),
        ("evil.example", 400),
        ("ratwall.local.evil.example", 400),
        ("127.0.0.1.evil.example:8443", 400),
        ("localhost:http", 400),
    ],
)
def test_only_our_own_names_are_answered(client: FlaskClient, host: str, status: int) -> None:
    answer = client.get("/healthz", headers={"Host": host}, base_url=BASE)
    assert answer.status_code == status


def test_policy_stands_on_every_answer(client: FlaskClient) -> None:
    for path in ("/login", "/healthz", "/nothing", "/static/app.css", "/"):
        headers = client.get(path, base_url=BASE).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Strict-Transport-Security" not in headers
    assert client.get("/login", base_url=BASE).headers["Cache-Control"] == "no-store"
    named = client.get("/healthz", headers={"Host": "ratwall.local"}, base_url=BASE)
    assert "Strict-Transport-Security" in named.headers


def test_cookies_are_bound_to_this_host_and_out_of_reach_of_scripts(client: FlaskClient) -> None:
    answer = log_in(client)
    cookies = answer.headers.getlist("Set-Cookie")
    (cookie,) = [each for each in cookies if each.startswith(f"{SESSION_COOKIE}=")]
    for attribute in ("Secure", "HttpOnly", "Path=/", "SameSite=Strict"):
        assert attribute in cookie
    assert "Domain" not in cookie


def test_signing_in_gives_a_new_session_and_ends_the_old(client: FlaskClient, app: Flask) -> None:
    client.set_cookie(SESSION_COOKIE, "brought-along", domain="192.168.1.1", secure=True)
    log_in(client)
    first = client.get_cookie(SESSION_COOKIE, domain="192.168.1.1")
    assert first is not None and first.value != "brought-along"
    sessions = app.extensions[EXTENSION].sessions
    assert sessions.find("brought-along") is None
    assert len(sessions) == 1

    form = {"password": PASSWORD, "csrf": csrf(client, "/devices/")}
    assert client.post("/login", data=form, base_url=BASE).status_code == 303
    assert sessions.find(first.value) is None
    assert len(sessions) == 1


def test_a_form_without_its_token_changes_nothing(client: FlaskClient) -> None:
    log_in(client)
    for data in ({}, {"csrf": "0" * 64}):
        answer = client.post("/logout", data=data, base_url=BASE)
        assert answer.status_code == 403
        assert "nothing was changed" in answer.text
    assert client.get("/devices/", base_url=BASE).status_code == 200
    answer = client.post("/incidents/1/allow", data={"reason": "kept text"}, base_url=BASE)
    assert answer.status_code == 422
    assert "kept text" in answer.text


def test_the_token_may_come_in_a_header(client: FlaskClient) -> None:
    log_in(client)
    token = csrf(client, "/devices/")
    answer = client.post("/logout", headers={"X-CSRF-Token": token}, base_url=BASE)
    assert answer.status_code == 303


def test_a_token_of_another_browser_is_worth_nothing(app: Flask, client: FlaskClient) -> None:
    log_in(client)
    other = app.test_client()
    log_in(other)
    answer = client.post("/logout", data={"csrf": csrf(other, "/devices/")}, base_url=BASE)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_another_site_changes_nothing_even_with_a_token(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    log_in(client)
    token = csrf(client, "/devices/")
    answer = client.post("/logout", data={"csrf": token}, headers=headers, base_url=BASE)
    assert answer.status_code == 403


def test_signing_in_needs_the_form_of_this_browser(client: FlaskClient) -> None:
    token = csrf(client)
    client.delete_cookie(VISIT_COOKIE, domain="192.168.1.1")
    form = {"password": PASSWORD, "csrf": token}
    answer = client.post("/login", data=form, base_url=BASE)
    assert answer.status_code == 422
    assert client.get_cookie(SESSION_COOKIE, domain="192.168.1.1") is None


def test_polling_keeps_nobody_signed_in(client: FlaskClient, clock: Clock) -> None:
    log_in(client)
    for _ in range(30):
        clock.now += 59
        assert client.get("/live", base_url=BASE).status_code == 200
    clock.now += 31
    answer = client.get("/live", headers={"HX-Request": "true"}, base_url=BASE)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/login"


def test_an_unchanged_dashboard_costs_nothing(client: FlaskClient) -> None:
    log_in(client)
    text = client.get("/live", base_url=BASE).text
    seen = text.split("/live?seen=")[1].split('"')[0]
    answer = client.get(f"/live?seen={seen}", base_url=BASE)
    assert (answer.status_code, answer.data) == (204, b"")


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "evil",
        "",
    ],
)
def test_signing_in_leads_to_our_own_pages_only(wanted: str) -> None:
    assert own_path(wanted) == "/"
    assert own_path("/incidents/7?x=1") == "/incidents/7?x=1"


def test_five_wrong_passwords_and_the_sixth_waits(client: FlaskClient, clock: Clock) -> None:
    for _ in range(4):
        assert log_in(client, password="wrong").status_code == 422
    assert log_in(client, password="wrong").status_code == 429
    answer = log_in(client)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "301"
    clock.now += 5 * 60
    assert log_in(client).status_code == 303


@pytest.mark.parametrize("number", [ROW_LIMIT - 1, ROW_LIMIT, ROW_LIMIT + 1, 10**20, "9" * 5000])
def test_a_number_that_no_row_has_is_a_page_that_is_not_there(
    client: FlaskClient, number: int | str
) -> None:
    log_in(client)
    paths = ("/incidents/{}", "/incidents/{}/live", "/devices/{}", "/connections/{}/block")
    for path in (each.format(number) for each in paths):
        assert client.get(path, base_url=BASE).status_code == 404
    form = {"csrf": csrf(client, "/incidents/1")}
    for path in (f"/incidents/{number}/release", f"/incidents/1/undo/{number}"):
        if int(str(number)[:20]) > ROW_LIMIT:  # the controller is asked about any other action
            assert client.post(path, data=form, base_url=BASE).status_code == 404
    for path in ("/incidents/", "/connections/"):
        assert client.get(f"{path}?before={number}", base_url=BASE).status_code == 200


@pytest.mark.parametrize(("words", "status"), [(15, 200), (16, 200), (17, 422), (126, 422)])
def test_a_search_of_too_many_words_is_one_sentence(
    client: FlaskClient, words: int, status: int
) -> None:
    log_in(client)
    answer = client.get("/connections/?q=" + "+".join("a" * words), base_url=BASE)
    assert answer.status_code == status
    assert ("at most 16 words at once" in answer.text) is (status == 422)


def guess_from_everywhere(client: FlaskClient) -> None:
    """Guess wrong 55 times, from 11 addresses: all who are not known have to wait then."""
    form = {"password": "wrong", "csrf": csrf(client)}
    for number in range(55):
        address = {"REMOTE_ADDR": f"192.0.2.{number // 5 + 1}"}
        client.post("/login", data=form, base_url=BASE, environ_overrides=address)


@pytest.fixture
def stranger(app: Flask) -> FlaskClient:
    stranger = app.test_client()
    stranger.environ_base["HTTP_HOST"] = "192.168.1.1:8443"
    return stranger


def test_nobody_can_lock_out_a_browser_that_has_signed_in_before(
    client: FlaskClient, stranger: FlaskClient
) -> None:
    log_in(client)
    client.post("/logout", data={"csrf": csrf(client, "/incidents/1")}, base_url=BASE)
    guess_from_everywhere(stranger)
    assert log_in(stranger).status_code == 429
    assert log_in(client).status_code == 303


def test_a_known_browser_has_no_more_guesses_than_anybody(
    client: FlaskClient, clock: Clock
) -> None:
    log_in(client)
    client.delete_cookie(SESSION_COOKIE, domain="192.168.1.1")
    for _ in range(4):
        assert log_in(client, password="wrong").status_code == 422
    assert log_in(client, password="wrong").status_code == 429
    assert log_in(client).status_code == 429
    clock.now += 5 * 60
    assert log_in(client).status_code == 303


def test_a_new_password_or_a_forged_cookie_makes_no_browser_known(
    app: Flask, client: FlaskClient, stranger: FlaskClient
) -> None:
    log_in(client)
    known = client.get_cookie(KNOWN_COOKIE, domain="192.168.1.1")
    assert known is not None
    name, _, signature = known.value.partition(".")
    guess_from_everywhere(stranger)
    for forged in ("", ".", name, f"{name}.", f"x{name}.{signature}", f"{name}.{signature}0"):
        stranger.set_cookie(KNOWN_COOKIE, forged, domain="192.168.1.1", secure=True)
        assert log_in(stranger).status_code == 429
    app.extensions[EXTENSION].credentials.set("quite another password")
    client.delete_cookie(SESSION_COOKIE, domain="192.168.1.1")
    assert log_in(client, password="quite another password").status_code == 429
