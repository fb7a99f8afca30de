"""API tokens: shown once, kept as hashes, found, revoked; and the page that makes them."""

import json
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ratwall.errors import RatwallError, UsageError
from ratwall_web import create_app
from ratwall_web.config import Config
from ratwall_web.control import Control
from ratwall_web.guard import SESSION_COOKIE
from ratwall_web.services import EXTENSION
from ratwall_web.tokens import TOKENS_LIMIT, USE_WRITTEN_EVERY, Tokens
from web.story import Office

BASE = "https://192.168.1.1:8443"
PASSWORD = "a password for tests"


class Clock:
    now = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(config: Config, clock: Clock) -> Tokens:
    return Tokens(config, clock)


def test_a_token_is_found_by_its_text_and_kept_as_a_hash(config: Config, tokens: Tokens) -> None:
    text = tokens.make("monitoring", "read")
    found = tokens.find(text)
    assert found is not None and (found.name, found.scope) == ("monitoring", "read")
    kept = config.web_dir / "tokens.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert text not in kept.read_text()
    assert text.split("_", 2)[2] not in kept.read_text()
    assert found.digest not in repr(found)


@pytest.mark.parametrize(
    "change", ["", "x", "ratwall", "ratwall_", "ratwall__", "\udcff", "é" * 99]
)
def test_what_is_no_token_finds_none(tokens: Tokens, change: str) -> None:
    text = tokens.make("monitoring", "read")
    assert tokens.find(change) is None
    assert tokens.find(text + change) is None or change == ""
    assert tokens.find(text[:-1]) is None
    assert tokens.find(text.replace("ratwall_", "Ratwall_")) is None


def test_the_number_of_one_token_with_the_secret_of_another_is_none(tokens: Tokens) -> None:
    one, other = tokens.make("one", "read"), tokens.make("other", "act")
    head = other[: len("ratwall_12345678_")]
    assert tokens.find(head + one.removeprefix(one[: len(head)])) is None


def test_a_revoked_token_is_none_at_once_also_for_another_process(
    config: Config, clock: Clock, tokens: Tokens
) -> None:
    text = tokens.make("monitoring", "read")
    other = Tokens(config, clock)
    found = other.find(text)
    assert found is not None
    assert tokens.revoke(found.id) is not None
    assert other.find(text) is None
    assert tokens.revoke(found.id) is None
    assert tokens.all() == []


def test_all_are_gone_with_the_password(config: Config, clock: Clock, tokens: Tokens) -> None:
    text = tokens.make("monitoring", "read")
    assert tokens.find(text) is not None
    Tokens(config, clock).forget()
    assert tokens.find(text) is None
    assert not (config.web_dir / "tokens.json").exists(), "use must not write them anew"


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("a", True),
        ("a" * 40, True),
        ("a" * 41, False),
        ("", False),
        ("-a", False),
        ("a b", False),
        ("a\n", False),
        ("<b>", False),
    ],
)
def test_a_name_is_plain(tokens: Tokens, name: str, good: bool) -> None:
    if good:
        assert tokens.make(name, "read")
        with pytest.raises(UsageError, match="There is a token named"):
            tokens.make(name, "read")
        return
    with pytest.raises(UsageError, match="1 to 40"):
        tokens.make(name, "read")
    assert tokens.all() == []


def test_there_is_no_other_scope(tokens: Tokens) -> None:
    with pytest.raises(UsageError, match="what the token may do"):
        tokens.make("root", "admin")


def test_their_number_is_bounded(tokens: Tokens) -> None:
    for number in range(TOKENS_LIMIT):
        last = tokens.make(f"token-{number}", "read")
    with pytest.raises(UsageError, match="the most there can be"):
        tokens.make("one-more", "read")
    assert tokens.find(last) is not None
    tokens.revoke(tokens.all()[0].id)
    assert tokens.make("one-more", "read")


def test_the_last_use_is_known_exactly_and_written_down_seldom(
    config: Config, clock: Clock, tokens: Tokens
) -> None:
    text = tokens.make("monitoring", "read")
    assert tokens.all()[0].used is None
    first = clock.now
    tokens.find(text)
    assert Tokens(config, clock).all()[0].used == first
    for passed, written in ((USE_WRITTEN_EVERY - 1, False), (1, True)):
        clock.now += passed
        tokens.find(text)
        assert tokens.all()[0].used == clock.now
        assert (Tokens(config, clock).all()[0].used == clock.now) is written


def test_a_use_that_cannot_be_written_down_is_said_and_counts(
    config: Config, tokens: Tokens, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tokens.make("monitoring", "read")
    (config.web_dir / "token-use.json").mkdir()
    assert tokens.find(text) is not None
    assert "token-use.json: Is a directory" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{", "[]", '{"tokens": [1]}', '{"tokens": [{"id": "x"}]}'])
def test_a_damaged_file_says_what_to_do(config: Config, tokens: Tokens, text: str) -> None:
    (config.web_dir / "tokens.json").write_text(text)
    with pytest.raises(RatwallError, match=r"tokens\.json is damaged .* remove it as root"):
        tokens.find("ratwall_12345678_x")


def test_of_a_damaged_list_of_uses_nothing_is_made(config: Config, clock: Clock) -> None:
    for text in ("", "{", "[1]", '{"a": "b"}'):
        (config.web_dir / "token-use.json").write_text(text)
        assert Tokens(config, clock).all() == []


# The page.


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What was put into the audit trail: there is no controller here."""
    said: list[tuple[str, ...]] = []
    monkeypatch.setattr(Control, "record", lambda _, *words: said.append(words))
    return said


@pytest.fixture
def app(config: Config, said: list[tuple[str, ...]]) -> Iterator[Flask]:
    office = Office(config.ledger_path)
    app = create_app(config)
    app.extensions[EXTENSION].credentials.set(PASSWORD)
    yield app
    office.close()


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_HOST"] = "192.168.1.1:8443"
    form = {"password": PASSWORD, "csrf": csrf(client, "/login")}
    assert client.post("/login", data=form, base_url=BASE).status_code == 303
    return client


def csrf(client: FlaskClient, path: str = "/tokens/") -> str:
    text = client.get(path, base_url=BASE).text
    return text.split('name="csrf" value="')[1].split('"')[0]


def make(client: FlaskClient, **changes: str) -> tuple[int, str]:
    form = {"name": "monitoring", "scope": "read", "days": "", "csrf": csrf(client)}
    answer = client.post("/tokens/", data=form | changes, base_url=BASE)
    return answer.status_code, answer.text


def test_a_token_is_shown_once_and_listed_without_its_text(
    app: Flask, admin: FlaskClient, said: list[tuple[str, ...]]
) -> None:
    status, page = make(admin)
    assert status == 200
    text = page.split('value="ratwall_')[1].split('"')[0]
    assert app.extensions[EXTENSION].tokens.find(f"ratwall_{text}") is not None
    listed = admin.get("/tokens/", base_url=BASE)
    assert "monitoring" in listed.text and text not in listed.text
    assert listed.headers["Cache-Control"] == "no-store"
    assert ("token made", "monitoring, may read, from 127.0.0.1") in said
    assert not any(text in word for words in said for word in words)

    (token,) = app.extensions[EXTENSION].tokens.all()
    path = f"/tokens/{token.id}/revoke"
    assert admin.post(path, base_url=BASE).status_code == 403, "it needs our own form"
    answer = admin.post(path, data={"csrf": csrf(admin)}, base_url=BASE)
    assert answer.status_code == 303
    assert app.extensions[EXTENSION].tokens.all() == []
    assert "of no use any more" in admin.get("/tokens/", base_url=BASE).text
    assert admin.post(path, data={"csrf": csrf(admin)}, base_url=BASE).status_code == 404


def test_making_and_revoking_ask_for_the_password(app: Flask, admin: FlaskClient) -> None:
    assert make(admin)[0] == 200
    (token,) = app.extensions[EXTENSION].tokens.all()
    app.extensions[EXTENSION].sessions.all()[0][0].confirmed -= 300
    status, page = make(admin, name="my-name")
    assert status == 403 and "Your password, once more" in page and "my-name" not in page
    path = f"/tokens/{token.id}/revoke"
    assert admin.post(path, data={"csrf": csrf(admin)}, base_url=BASE).status_code == 403
    assert [there.name for there in app.extensions[EXTENSION].tokens.all()] == ["monitoring"]


def test_a_token_ends_by_itself(config: Config, clock: Clock, tokens: Tokens) -> None:
    text = tokens.make("auditor", "read", days=30, by="anna")
    (token,) = tokens.all()
    assert (token.by, token.expires) == ("anna", token.made + 30 * 86_400 * 1_000_000)
    clock.now = token.expires - 1
    assert tokens.find(text) is not None
    clock.now += 1
    assert tokens.find(text) is None and tokens.is_over(token)
    assert [there.name for there in tokens.all()] == ["auditor"], "it is listed until revoked"
    assert Tokens(config, clock).find(text) is None


@pytest.mark.parametrize(("days", "good"), [(0, False), (1, True), (3650, True), (3651, False)])
def test_how_long_a_token_can_last(tokens: Tokens, days: int, good: bool) -> None:
    if good:
        tokens.make("auditor", "read", days)
        return
    with pytest.raises(UsageError, match=f"found {days}"):
        tokens.make("auditor", "read", days)
    assert tokens.all() == []


def test_tokens_made_before_there_were_ends_and_users_are_read(
    config: Config, clock: Clock, tokens: Tokens
) -> None:
    text = tokens.make("old", "read")
    path = config.web_dir / "tokens.json"
    kept = json.loads(path.read_text())
    for row in kept["tokens"]:
        del row["expires"], row["by"]
    path.write_text(json.dumps(kept))
    found = Tokens(config, clock).find(text)
    assert found is not None and (found.by, found.expires) == ("admin", None)


def test_a_form_of_another_site_makes_none(app: Flask, admin: FlaskClient) -> None:
    assert make(admin, csrf="0" * 64)[0] == 422
    admin.delete_cookie(SESSION_COOKIE, domain="192.168.1.1")
    form = {"name": "a", "scope": "act"}
    assert admin.post("/tokens/", data=form, base_url=BASE).status_code == 303
    assert app.extensions[EXTENSION].tokens.all() == []


@pytest.mark.parametrize(
    "changes", [{"name": "<b>"}, {"scope": "admin"}, {"name": "x" * 5000}, {"days": "-1"}]
)
def test_what_is_wrong_with_the_form_is_said(admin: FlaskClient, changes: dict[str, str]) -> None:
    status, page = make(admin, **changes)
    assert status == 422
    assert 'role="alert"' in page and "<b>" not in page
