"""Users and roles: who is taken over, who may what, and that somebody is always left to act."""

import json
from collections.abc import Iterator
from pathlib import Path

import nacl.pwhash.argon2id as argon2id
import pytest
from flask import Flask

from ratwall.errors import RatwallError, UsageError
from ratwall_web import browsers, create_app, credentials
from ratwall_web.api.gate import is_for_programs
from ratwall_web.config import Config
from ratwall_web.control import Control
from ratwall_web.credentials import Credentials
from ratwall_web.services import EXTENSION, Services
from ratwall_web.users import ADMIN, FIRST_ID, USERS_MOST, VIEWER, User, document, parse
from web.story import Office
from web.visitor import BASE, PASSWORD, Person, field, path_of

OTHER = "another password, for Anna"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What was put into the audit trail: there is no controller here."""
    said: list[tuple[str, ...]] = []
    monkeypatch.setattr(Control, "record", lambda _, *words: said.append(words))
    return said


@pytest.fixture
def app(config: Config, said: list[tuple[str, ...]]) -> Iterator[Flask]:
    office = Office(config.ledger_path)
    office.attack()
    app = create_app(config)
    parts: Services = app.extensions[EXTENSION]
    parts.credentials.set(PASSWORD)
    parts.credentials.add("anna", VIEWER, OTHER)
    yield app
    office.close()


@pytest.fixture
def parts(app: Flask) -> Services:
    found: Services = app.extensions[EXTENSION]
    return found


@pytest.fixture
def admin(app: Flask) -> Person:
    person = Person(app)
    assert person.log_in().status_code == 303
    return person


@pytest.fixture
def anna(app: Flask) -> Person:
    person = Person(app, "192.0.2.11")
    assert person.log_in("anna", OTHER).status_code == 303
    return person


# The file.


def test_a_box_with_one_password_is_taken_over_as_it_is(config: Config) -> None:
    path = config.web_dir / "credentials.json"
    Credentials(config).set(PASSWORD)
    kept = json.loads(path.read_text())
    old = json.dumps({"password": kept["password"], "set": 1_700_000_000_000_000})
    path.write_text(old)

    there = Credentials(config)
    assert [(user.id, user.name, user.role) for user in there.all()] == [
        (FIRST_ID, "admin", "admin")
    ]
    assert there.check(PASSWORD) is not None and there.check(OTHER) is None
    assert path.read_text() == old, "nothing is written before something changes"

    there.add("anna", VIEWER, OTHER)
    kept = json.loads(path.read_text())
    hashed = kept["password"].encode()
    assert argon2id.verify(hashed, PASSWORD.encode()), "a version without users still reads it"
    assert there.check(OTHER, "anna") is not None
    assert next(user.set for user in there.all()) == 1_700_000_000_000_000


def test_a_failed_write_leaves_the_users_as_they_were(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Credentials(config)
    there.set(PASSWORD)
    before = (config.web_dir / "credentials.json").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(credentials, "replace_file", full)
    with pytest.raises(OSError, match="No space"):
        there.add("anna", VIEWER, OTHER)
    assert (config.web_dir / "credentials.json").read_bytes() == before
    assert [user.name for user in there.all()] == ["admin"]
    assert there.check(PASSWORD) is not None


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"password": 7, "set": 1}',
        '{"users": []}',
        '{"users": [{"id": "1", "name": "a", "role": "viewer", "password": "x", "set": 1}]}',
        '{"users": [{"id": "1", "name": "<b>", "role": "admin", "password": "x", "set": 1}]}',
        '{"users": [{"id": "1", "name": "a", "role": "root", "password": "x", "set": 1}]}',
        '{"users": [{"id": "1", "name": "a", "role": "admin", "password": "x", "set": 1, "x": 2}]}',
    ],
)
def test_a_damaged_file_says_what_to_do_and_lets_nobody_in(config: Config, text: str) -> None:
    (config.web_dir / "credentials.json").write_text(text)
    there = Credentials(config)
    assert there.exist(), "the set-up stays closed"
    with pytest.raises(RatwallError, match="--forget-password"):
        there.check(PASSWORD)


def test_what_is_kept_is_read_back() -> None:
    users = (
        User("00000001", "admin", ADMIN, "$argon2id$a", 1),
        User("00000002", "anna", VIEWER, "$argon2id$b", 2, "BASE32", ("0" * 64, "1" * 64)),
    )
    assert parse(json.loads(json.dumps(document(users)))) == users
    assert "argon2id" not in repr(users) and "BASE32" not in repr(users)


def test_the_last_admin_stays(config: Config) -> None:
    there = Credentials(config)
    there.set(PASSWORD)
    anna = there.add("anna", VIEWER, OTHER)
    for change in (
        lambda: there.remove(FIRST_ID),
        lambda: there.set_role(FIRST_ID, VIEWER),
    ):
        with pytest.raises(UsageError, match="last admin"):
            change()
    there.set_role(anna.id, ADMIN)
    assert there.remove(FIRST_ID) is not None
    with pytest.raises(UsageError, match="last admin"):
        there.remove(anna.id)
    assert [user.name for user in there.all()] == ["anna"]


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("b", True),
        ("b" * 32, True),
        ("b" * 33, False),
        ("", False),
        ("-b", False),
        ("two words", False),
        ("ADMIN", False),
        ("admin ", False),
        ("<script>", False),
        ("b\n", False),
    ],
)
def test_a_name_is_plain_and_nobody_elses(config: Config, name: str, good: bool) -> None:
    there = Credentials(config)
    there.set(PASSWORD)
    if good:
        assert there.add(name, VIEWER, OTHER).name == name
        return
    with pytest.raises(UsageError):
        there.add(name, VIEWER, OTHER)
    assert len(there.all()) == 1


def test_their_number_is_bounded(config: Config) -> None:
    first = User(FIRST_ID, "admin", ADMIN, "$argon2id$", 1)
    users = (first, *(User(f"{n:08x}", f"u{n}", VIEWER, "$", 1) for n in range(2, USERS_MOST + 1)))
    path = config.web_dir / "credentials.json"
    path.write_text(json.dumps(document(users[:-1])))
    there = Credentials(config)
    there.add("one-more", VIEWER, OTHER)
    with pytest.raises(UsageError, match="the most there can be"):
        there.add("too-many", VIEWER, OTHER)
    assert len(there.all()) == USERS_MOST


def test_a_name_that_nobody_has_costs_the_same_work(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Credentials(config)
    there.set(PASSWORD)
    verify, done = argon2id.verify, []

    def counted(stored: bytes, password: bytes) -> bool:
        done.append((stored.split(b"$")[1:4], len(stored)))
        return bool(verify(stored, password))

    monkeypatch.setattr(argon2id, "verify", counted)
    assert there.check("wrong", "admin") is None
    assert there.check("wrong", "nobody") is None
    assert there.check(PASSWORD, "nobody") is None
    assert len(done) == 3 and done[0] == done[1] == done[2], "one hash each, of the same cost"


# The page.


def test_an_admin_makes_a_user_who_signs_in(
    app: Flask, parts: Services, admin: Person, said: list[tuple[str, ...]]
) -> None:
    form = {"name": "bert", "role": "admin", "new_password": OTHER, "again": OTHER}
    answer = admin.post("/users/", **form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/users/")
    assert "bert can sign in now" in admin.get("/users/").text
    assert ("user made", "bert, admin, from 192.0.2.10") in said
    bert = Person(app, "192.0.2.12")
    assert bert.log_in("Bert", OTHER).status_code == 303 and bert.is_in
    user = parts.credentials.named("bert")
    assert user is not None and user.author == "user:bert"
    assert not any(OTHER in word for words in said for word in words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "Anna"}, "There is a user named anna already"),
        ({"name": "no good"}, "A name is"),
        ({"role": "root"}, "Choose what the user may do"),
        ({"again": "something else"}, "The two passwords are not the same"),
        ({"new_password": "short", "again": "short"}, "at least 12 characters"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    parts: Services, admin: Person, changes: dict[str, str], words: str
) -> None:
    form = {"name": "bert", "role": "admin", "new_password": OTHER, "again": OTHER} | changes
    answer = admin.post("/users/", **form)
    assert answer.status_code == 422 and words in answer.text
    assert f'value="{form["name"]}"' in answer.text
    assert OTHER not in answer.text, "but for the password"
    assert len(parts.credentials.all()) == 2


def test_another_password_or_role_signs_the_user_out(
    parts: Services, admin: Person, anna: Person
) -> None:
    number = parts.credentials.named("anna").id  # type: ignore[union-attr]
    new = {"new_password": "a third one, rather long", "again": "a third one, rather long"}
    assert admin.post(f"/users/{number}/password", **new).status_code == 303
    assert not anna.is_in and admin.is_in
    assert anna.log_in("anna", OTHER).status_code == 422
    assert anna.log_in("anna", new["again"]).status_code == 303 and anna.is_in
    assert admin.post(f"/users/{number}/role", role="admin").status_code == 303
    assert not anna.is_in
    assert anna.log_in("anna", new["again"]).status_code == 303
    assert admin.post(f"/users/{number}/name", name="anne").status_code == 303
    assert anna.is_in, "a new name changes nothing else"
    assert "anne" in anna.get("/account/").text


def test_a_role_that_root_changes_counts_at_the_next_request(
    config: Config, admin: Person, anna: Person
) -> None:
    other = Credentials(config)  # another process
    other.set_role(other.named("anna").id, ADMIN)  # type: ignore[union-attr]
    assert not anna.is_in
    other.forget()
    assert not admin.is_in


def test_ones_own_password_signs_the_other_browsers_out(app: Flask, anna: Person) -> None:
    phone = Person(app, "192.0.2.13")
    assert phone.log_in("anna", OTHER).status_code == 303
    new = "a third one, rather long"
    assert anna.post("/account/password", new_password=new, again="no").status_code == 422
    assert phone.is_in
    assert anna.post("/account/password", new_password=new, again=new).status_code == 303
    assert anna.is_in and not phone.is_in


def test_a_removed_user_is_out_and_so_are_their_tokens(
    parts: Services, admin: Person, anna: Person, said: list[tuple[str, ...]]
) -> None:
    text = parts.tokens.make("annas", "read", by="anna")
    parts.tokens.make("mine", "read", by="admin")
    number = parts.credentials.named("anna").id  # type: ignore[union-attr]
    assert "annas" in admin.get(f"/users/{number}").text
    assert admin.post(f"/users/{number}/remove", tokens="yes").status_code == 303
    assert not anna.is_in and anna.log_in("anna", OTHER).status_code == 422
    assert parts.tokens.find(text) is None
    assert [token.name for token in parts.tokens.all()] == ["mine"]
    assert ("user removed", "anna, from 192.0.2.10") in said
    assert admin.post(f"/users/{number}/remove").status_code == 404


def test_nobody_removes_themselves_or_the_last_admin(parts: Services, admin: Person) -> None:
    answer = admin.post(f"/users/{FIRST_ID}/remove")
    assert answer.status_code == 422 and "cannot remove yourself" in answer.text
    answer = admin.post(f"/users/{FIRST_ID}/role", role="viewer")
    assert answer.status_code == 422 and "last admin" in answer.text
    assert admin.is_in and len(parts.credentials.all()) == 2


OWN = {"/logout", "/confirm/"}


def test_a_viewer_sees_all_and_changes_nothing(app: Flask, anna: Person) -> None:
    """Every route there is, or will be: the guard decides, no template."""
    form = {"csrf": field(anna.get("/account/"), "csrf")}
    refused = 0
    for rule in app.url_map.iter_rules():
        methods = (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
        view = app.view_functions[rule.endpoint]
        own = getattr(view, "is_own", False) or getattr(view, "is_public", False)
        if not methods or is_for_programs(rule.rule):
            continue
        if own:
            assert rule.rule in OWN or rule.rule.startswith(
                ("/account/", "/login", "/setup", "/language")
            )
            continue
        path = path_of(rule.rule)
        answer = anna.client.open(path, method=min(methods), data=form, base_url=BASE)
        assert answer.status_code == 403 and "as a viewer" in answer.text, rule
        refused += 1
    assert refused > 15
    assert anna.get("/users/").status_code == 200 and anna.get("/tokens/").status_code == 200
    assert "Add a user" not in anna.get("/users/").text
    assert '<body class="viewer"' in anna.get("/").text


def test_who_is_signed_in_is_shown_and_can_be_ended(
    app: Flask, parts: Services, admin: Person, anna: Person, said: list[tuple[str, ...]]
) -> None:
    page = admin.get("/users/").text
    assert "192.0.2.10" in page and "192.0.2.11" in page
    session = next(each for each, *_ in parts.sessions.all() if each.address == "192.0.2.11")
    assert admin.post(f"/users/sessions/{session.id}/end").status_code == 303
    assert not anna.is_in and admin.is_in
    assert ("session ended", "anna at 192.0.2.11, from 192.0.2.10") in said

    anna.log_in("anna", OTHER)
    mine = next(each for each, *_ in parts.sessions.all() if each.address == "192.0.2.10")
    anna.post(f"/account/sessions/{mine.id}/end")
    assert admin.is_in, "nobody ends another's session as one's own"
    assert admin.post("/users/sessions/end-all").status_code == 303
    assert admin.is_in and not anna.is_in

    phone = Person(app, "192.0.2.14")
    phone.log_in()
    assert phone.post("/account/sessions/end-others").status_code == 303
    assert phone.is_in and not admin.is_in


def test_the_name_is_asked_for_where_there_are_several(
    app: Flask, config: Config, parts: Services
) -> None:
    stranger = Person(app)
    assert 'label for="account"' in stranger.get("/login").text
    wrong = stranger.log_in("anna", "wrong")
    assert wrong.status_code == 422 and 'value="anna"' in wrong.text
    parts.credentials.remove(parts.credentials.named("anna").id)  # type: ignore[union-attr]
    page = Person(app).get("/login").text
    assert 'label for="account"' not in page and 'value="admin"' in page


def test_one_user_is_guessed_at_from_many_addresses_so_often(
    app: Flask, parts: Services, anna: Person, said: list[tuple[str, ...]]
) -> None:
    limit = parts.config.tries_per_user
    for number in range(limit):
        guesser = Person(app, f"198.51.100.{number}")
        expected = 429 if number == limit - 1 else 422
        assert guesser.log_in("anna", "wrong").status_code == expected, number
    assert Person(app, "203.0.113.1").log_in("Anna", OTHER).status_code == 429
    assert Person(app, "203.0.113.2").log_in().status_code == 303, "others are not held back"
    anna.post("/logout")
    assert anna.log_in("anna", OTHER).status_code == 303, "nor is a browser that she used before"
    assert ("sign-in refused", "wrong password for anna from 198.51.100.0") in said


def test_a_name_that_nobody_has_is_answered_the_same_and_not_written_down(
    app: Flask, said: list[tuple[str, ...]]
) -> None:
    one, two = Person(app, "198.51.100.1"), Person(app, "198.51.100.2")
    known, unknown = one.log_in("anna", "wrong"), two.log_in("s3cret typed here", "wrong")
    assert known.status_code == unknown.status_code == 422
    assert "That is not the password. 4 tries" in known.text
    assert "That is not the password. 4 tries" in unknown.text
    assert not any("s3cret" in word for words in said for word in words)


@pytest.mark.parametrize(
    ("said_by", "name"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox, Windows",
        ),
        (
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36",
            "Chrome, Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
            "Safari, iPhone",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge, macOS",
        ),
        ("<script>", ""),
        ("x" * 500 + "Firefox/", ""),
        ("", ""),
    ],
)
def test_a_browser_has_a_name_that_its_owner_knows(said_by: str, name: str) -> None:
    assert browsers.browser_name(said_by) == name
    assert browsers.shown(name) == (name or "A browser")


def test_the_state_directory_keeps_no_secret_open(config: Config, parts: Services) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in Path(config.web_dir).iterdir()}
    assert modes["credentials.json"] == 0o600
