"""The second step of a sign-in: codes that are right once, a phone that is lost, and guessing."""

import base64
import json
import re
from collections.abc import Iterator

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from ratwall_web import create_app, totp
from ratwall_web.__main__ import main
from ratwall_web.config import Config
from ratwall_web.control import Control
from ratwall_web.credentials import Credentials
from ratwall_web.second_step import SecondStep
from ratwall_web.services import EXTENSION, Services
from ratwall_web.users import VIEWER
from web.story import Office
from web.visitor import PASSWORD, Person, field

SECRET = base64.b32encode(b"12345678901234567890").decode()  # RFC 6238, appendix B
OTHER = "another password, for Anna"


class Clock:
    """Both clocks of the page: seconds that only grow, and UTC."""

    seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def utc(self) -> int:
        return int(self.seconds * 1_000_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    said: list[tuple[str, ...]] = []
    monkeypatch.setattr(Control, "record", lambda _, *words: said.append(words))
    return said


@pytest.fixture
def app(config: Config, clock: Clock, said: list[tuple[str, ...]]) -> Iterator[Flask]:
    office = Office(config.ledger_path)
    app = create_app(config, clock, clock.utc)
    parts: Services = app.extensions[EXTENSION]
    parts.credentials.set(PASSWORD)
    parts.credentials.add("anna", VIEWER, OTHER)
    yield app
    office.close()


@pytest.fixture
def parts(app: Flask) -> Services:
    found: Services = app.extensions[EXTENSION]
    return found


def code(secret: str, clock: Clock, later: int = 0) -> str:
    return totp.code_at(secret, int(clock.seconds) // totp.STEP_S + later)


def enrol(person: Person, clock: Clock) -> tuple[str, list[str]]:
    """Set the second step up; return the secret and the recovery codes."""
    page = person.get("/account/second-step").text
    shown = re.search(r'<code class="mono secret">([A-Z2-7 ]+)</code>', page)
    assert shown is not None
    secret = shown[1].replace(" ", "")
    answer = person.post(
        "/account/second-step", "/account/second-step", code=code(secret, clock, -1)
    )
    assert answer.status_code == 200
    codes = re.findall(r"<li>([a-z2-7-]{19})</li>", answer.text)
    assert len(codes) == totp.RECOVERY_CODES
    return secret, codes


@pytest.fixture
def anna(app: Flask) -> Person:
    person = Person(app)
    assert person.log_in("anna", OTHER).status_code == 303
    return person


# The codes.


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_examples_of_the_standard(seconds: int, expected: str) -> None:
    assert totp.code_at(SECRET, seconds // 30) == expected
    assert totp.matching_step(SECRET, expected, seconds, -1) == seconds // 30


@pytest.mark.parametrize(
    ("later", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_a_clock_may_be_one_step_off(later: int, taken: bool) -> None:
    now = 1_800_000_000
    typed = totp.code_at(SECRET, now // 30 + later)
    assert (totp.matching_step(SECRET, typed, now, -1) is not None) == taken


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_code_or_none(typed: str) -> None:
    now = 1_800_000_000
    right = {totp.code_at(SECRET, now // 30 + step) for step in (-1, 0, 1)}
    found = totp.matching_step(SECRET, typed, now, -1)
    assert (found is not None) == ("".join(typed.split()) in right)
    assert totp.recovery_digest(typed) is None or len("".join(typed.split())) >= 16


def test_a_code_is_taken_once_also_after_a_restart(config: Config, clock: Clock) -> None:
    credentials = Credentials(config)
    credentials.set(PASSWORD)
    number = credentials.all()[0].id
    steps = SecondStep(config, credentials, clock.utc)
    newer = code(SECRET, clock)
    assert steps.take(number, SECRET, newer)
    assert not steps.take(number, SECRET, newer)
    assert not steps.take(number, SECRET, code(SECRET, clock, -1)), "nor an older one after it"
    again = SecondStep(config, credentials, clock.utc)
    assert not again.take(number, SECRET, newer)
    clock.seconds += 30
    assert again.take(number, SECRET, f"{code(SECRET, clock)[:3]} {code(SECRET, clock)[3:]}")
    kept = json.loads((config.web_dir / "totp-use.json").read_text())
    assert kept == {number: int(clock.seconds) // 30}
    clock.seconds -= 86_400  # the clock was a day ahead, and has been put right
    assert again.take(number, SECRET, code(SECRET, clock))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"00000001": "x"}'])
def test_a_damaged_note_of_the_last_code_keeps_nobody_out(
    config: Config, clock: Clock, text: str
) -> None:
    credentials = Credentials(config)
    credentials.set(PASSWORD)
    (config.web_dir / "totp-use.json").write_text(text)
    number = credentials.all()[0].id
    assert SecondStep(config, credentials, clock.utc).take(number, SECRET, code(SECRET, clock))


# Signing in.


def test_from_the_square_to_the_next_sign_in(
    app: Flask, parts: Services, clock: Clock, anna: Person, said: list[tuple[str, ...]]
) -> None:
    phone = Person(app)
    phone.log_in("anna", OTHER)
    page = anna.get("/account/second-step")
    assert '<img src="data:image/svg+xml' in page.text
    assert "%3Csvg" in page.text and "<svg" not in page.text
    wrong = anna.post("/account/second-step", "/account/second-step", code="000000")
    assert wrong.status_code == 422 and "the clock of the phone" in wrong.text
    assert parts.credentials.named("anna").secret is None  # type: ignore[union-attr]
    secret, codes = enrol(anna, clock)
    assert secret.replace(" ", "") in page.text.replace(" ", ""), "the same until it is confirmed"
    assert not phone.is_in, "who was in without it is out"
    assert codes[0] not in anna.get("/account/").text
    kept = (parts.config.web_dir / "credentials.json").read_text()
    assert codes[0].replace("-", "") not in kept and "recovery" in kept

    asked = phone.log_in("anna", OTHER)
    assert asked.status_code == 200 and "The code from your phone" in asked.text
    assert not phone.is_in
    again = phone.give_code(asked, code(secret, clock, -1))
    assert again.status_code == 422 and "4 tries are left" in again.text, "it was used before"
    answer = phone.give_code(again, code(secret, clock))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert phone.is_in
    assert not any(secret in word or codes[0] in word for words in said for word in words)
    assert ("second step turned on", "anna, from 192.0.2.10") in said


def test_a_recovery_code_signs_in_once(
    app: Flask, parts: Services, clock: Clock, anna: Person
) -> None:
    _secret, codes = enrol(anna, clock)
    phone = Person(app)
    asked = phone.log_in("anna", OTHER)
    typed = codes[3].upper().replace("-", " ")
    assert phone.give_code(asked, typed).status_code == 303 and phone.is_in
    assert "9 recovery codes are left" in phone.get("/account/").text
    tablet = Person(app)
    asked = tablet.log_in("anna", OTHER)
    assert tablet.give_code(asked, codes[3]).status_code == 422
    assert anna.post("/account/second-step/codes").status_code == 200
    assert tablet.give_code(asked, codes[4]).status_code == 422, "new codes end the old ones"


def test_codes_are_guessed_at_so_often_whatever_the_address(
    app: Flask, parts: Services, clock: Clock, anna: Person, said: list[tuple[str, ...]]
) -> None:
    secret, codes = enrol(anna, clock)
    for number in range(5):
        guesser = Person(app, f"198.51.100.{number}")
        asked = guesser.log_in("anna", OTHER)
        answer = guesser.give_code(asked, "000000")
        assert answer.status_code == (429 if number == 4 else 422)
    assert int(answer.headers["Retry-After"]) > 800
    assert ("sign-in refused", "wrong code for anna from 198.51.100.0") in said
    late = Person(app, "203.0.113.1")
    for right in (code(secret, clock), codes[0]):
        asked = late.log_in("anna", OTHER)
        assert late.give_code(asked, right).status_code == 429
    clock.seconds += parts.config.code_lockout_s
    asked = late.log_in("anna", OTHER)
    assert late.give_code(asked, code(secret, clock)).status_code == 303


def test_the_right_password_alone_forgives_no_guess(
    app: Flask, parts: Services, clock: Clock, anna: Person
) -> None:
    enrol(anna, clock)
    guesser = Person(app, "198.51.100.1")
    for _ in range(4):
        guesser.log_in("anna", "wrong")
    assert guesser.log_in("anna", OTHER).status_code == 200
    assert guesser.log_in("anna", "wrong").status_code == 429


def test_the_ticket_is_this_browsers_and_ends(
    app: Flask, parts: Services, clock: Clock, anna: Person
) -> None:
    secret, _codes = enrol(anna, clock)

    def stale(asked: TestResponse, by: Person) -> bool:
        form = {"csrf": field(by.get("/login"), "csrf"), "ticket": field(asked, "ticket")}
        answer = by.client.post(
            "/login/code",
            data=form | {"code": code(secret, clock)},
            base_url="https://192.168.1.1:8443",
        )
        return answer.status_code == 422 and "took too long" in answer.text

    phone, thief = Person(app), Person(app)
    asked = phone.log_in("anna", OTHER)
    thief.get("/login")
    assert stale(asked, thief), "another browser"
    clock.seconds += parts.config.code_wait_s
    assert stale(asked, phone), "too old"
    asked = phone.log_in("anna", OTHER)
    number = parts.credentials.named("anna").id  # type: ignore[union-attr]
    parts.credentials.set_password(number, "a third one, rather long")
    assert stale(asked, phone), "another password since"


@pytest.mark.parametrize(
    "ticket", ["", ".", "..", "00000001.9.x", "x.9999999999.0", "a.é.b", "1.²."]
)
def test_a_ticket_of_somebody_elses_making_is_none(app: Flask, ticket: str) -> None:
    person = Person(app)
    answer = person.post("/login/code", "/login", ticket=ticket, code="000000", next="/")
    assert answer.status_code == 422 and not person.is_in


# A lost phone.


def test_an_admin_turns_it_off(
    app: Flask, parts: Services, clock: Clock, anna: Person, said: list[tuple[str, ...]]
) -> None:
    enrol(anna, clock)
    admin = Person(app, "192.0.2.20")
    admin.log_in()
    user = parts.credentials.named("anna")
    assert user is not None and "Turn the second step off" in admin.get(f"/users/{user.id}").text
    assert admin.post(f"/users/{user.id}/second-step").status_code == 303
    assert not anna.is_in
    assert anna.log_in("anna", OTHER).status_code == 303
    assert ("user's second step changed", "anna: off, from 192.0.2.20") in said


def test_so_does_root_at_the_console(
    app: Flask, config: Config, clock: Clock, anna: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    enrol(anna, clock)
    where = ["--state-dir", str(config.state_dir), "--forget-second-step"]
    assert main([*where, "nobody"]) == 2
    assert "there is: admin, anna" in capsys.readouterr().err
    assert main([*where, "anna"]) == 0
    phone = Person(app)
    assert phone.log_in("anna", OTHER).status_code == 303


def test_setting_it_up_and_turning_it_off_ask_for_the_password(
    app: Flask, parts: Services, clock: Clock, anna: Person
) -> None:
    enrol(anna, clock)
    clock.seconds += parts.config.confirmed_s
    for path in ("/account/second-step/off", "/account/second-step/codes", "/account/password"):
        answer = anna.post(path)
        assert answer.status_code == 403 and "Your password, once more" in answer.text, path
    assert parts.credentials.named("anna").secret is not None  # type: ignore[union-attr]
    parts.credentials.set_second_step(parts.credentials.named("anna").id, None, ())  # type: ignore[union-attr]
    answer = anna.get("/account/second-step")
    assert answer.status_code == 403 and "secret" not in answer.text
