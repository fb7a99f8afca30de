"""Passwords, set-up codes, sessions and the lock-out: their limits at limit-1, limit, limit+1."""

import io
import threading
from pathlib import Path

import pytest

from ratwall.errors import RatwallError, UsageError
from ratwall_web.config import Config
from ratwall_web.credentials import Credentials
from ratwall_web.lockout import Lockout, network_of
from ratwall_web.sessions import NOTICE_LIMIT, Sessions
from ratwall_web.setup_code import SetupCode
from ratwall_web.users import first_admin

ANNA = first_admin("a hash", 1)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_password_is_kept_as_a_hash_and_checked(config: Config) -> None:
    credentials = Credentials(config)
    assert not credentials.exist()
    assert not credentials.check("anything at all")
    credentials.set("four words make it")
    assert credentials.check("four words make it")
    assert not credentials.check("four words make it ")
    assert "four" not in (config.web_dir / "credentials.json").read_text()
    credentials.forget()
    assert not credentials.exist()


@pytest.mark.parametrize(("length", "good"), [(11, False), (12, True), (256, True), (257, False)])
def test_a_password_has_a_least_and_a_greatest_length(
    config: Config, length: int, good: bool
) -> None:
    password = ("abcdefghijkl" * 22)[:length]
    if good:
        Credentials(config).set(password)
        return
    with pytest.raises(UsageError, match=f"this one has {length}"):
        Credentials(config).set(password)
    assert not Credentials(config).exist()


def test_a_damaged_password_file_says_what_to_do(config: Config) -> None:
    (config.web_dir / "credentials.json").write_text("{")
    with pytest.raises(RatwallError, match="--forget-password"):
        Credentials(config).check("anything at all")


def test_many_sign_ins_at_once_are_all_answered(config: Config) -> None:
    credentials = Credentials(config)
    credentials.set("four words make it")
    answers: list[bool] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(credentials.check("four words make it") is not None)
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 8


def test_the_set_up_code_stays_until_it_is_used(config: Config) -> None:
    console = io.StringIO()
    code = SetupCode(config, console).announce()
    assert f"{code[:4]}-{code[4:]}" in console.getvalue()
    again = SetupCode(config, console)
    assert again.announce() == code
    assert again.matches(f" {code[:4]} {code[4:]} ")
    assert again.matches(f"{code[:4]}-{code[4:]}")
    assert not again.matches(code[:-1])
    assert not again.matches("")
    again.withdraw()
    assert not again.matches(code)
    again.ensure()
    assert console.getvalue().count("set-up code") == 3


def test_a_session_ends_when_idle_and_after_a_day_in_any_case(clock: Clock) -> None:
    sessions = Sessions(Config(Path(), session_idle_s=100, session_lifetime_s=1000), clock)
    token = sessions.start(ANNA)
    clock.now += 99
    assert sessions.find(token) is not None
    clock.now += 100
    assert sessions.find(token) is None
    assert len(sessions) == 0

    token = sessions.start(ANNA)
    for _ in range(10):
        clock.now += 99.9
        assert sessions.find(token) is not None
    clock.now += 1
    assert sessions.find(token) is None


def test_looking_without_touching_lets_a_session_end(clock: Clock) -> None:
    sessions = Sessions(Config(Path(), session_idle_s=100), clock)
    token = sessions.start(ANNA)
    clock.now += 99
    assert sessions.find(token, touch=False) is not None
    clock.now += 1
    assert sessions.find(token) is None


def test_sessions_are_bounded_and_the_least_used_gives_way(clock: Clock) -> None:
    sessions = Sessions(Config(Path(), session_limit=3), clock)
    tokens = []
    for _ in range(3):
        clock.now += 1
        tokens.append(sessions.start(ANNA))
    clock.now += 1
    assert sessions.find(tokens[0]) is not None
    tokens.append(sessions.start(ANNA))
    assert [sessions.find(token) is not None for token in tokens] == [True, False, True, True]
    sessions.end(tokens[0])
    assert sessions.find(tokens[0]) is None
    sessions.end_all()
    assert len(sessions) == 0


def test_notices_are_shown_once_and_bounded(clock: Clock) -> None:
    session = Sessions(Config(Path()), clock)
    found = session.find(session.start(ANNA))
    assert found is not None
    for number in range(NOTICE_LIMIT + 1):
        found.notify("good", str(number))
    assert [notice.text for notice in found.take_notices()] == ["1", "2", "3", "4"]
    assert found.take_notices() == []


def test_an_address_waits_after_its_limit_of_wrong_guesses(clock: Clock) -> None:
    lockout = Lockout(Config(Path(), tries_per_address=3, lockout_s=60), clock)
    lockout.fail("192.0.2.1")
    lockout.fail("192.0.2.1")
    assert (lockout.wait("192.0.2.1"), lockout.left("192.0.2.1")) == (0, 1)
    lockout.fail("192.0.2.1")
    assert lockout.wait("192.0.2.1") == 60
    assert lockout.wait("192.0.2.2") == 0
    clock.now += 60
    assert lockout.wait("192.0.2.1") == 0


def test_a_right_guess_or_time_forgets_the_wrong_ones(clock: Clock) -> None:
    lockout = Lockout(Config(Path(), tries_per_address=3, lockout_s=60), clock)
    lockout.fail("192.0.2.1")
    lockout.fail("192.0.2.1")
    lockout.succeed("192.0.2.1")
    assert lockout.left("192.0.2.1") == 3
    lockout.fail("192.0.2.1")
    lockout.fail("192.0.2.1")
    clock.now += 60
    lockout.fail("192.0.2.1")
    assert lockout.wait("192.0.2.1") == 0


def test_many_addresses_together_lock_everybody_out(clock: Clock) -> None:
    lockout = Lockout(Config(Path(), tries_in_all=10, lockout_s=60), clock)
    for number in range(9):
        lockout.fail(f"192.0.2.{number}")
    assert lockout.wait("198.51.100.1") == 0
    lockout.fail("192.0.2.9")
    assert lockout.wait("198.51.100.1") == 60


def test_a_known_browser_waits_for_its_own_guesses_only(clock: Clock) -> None:
    config = Config(Path(), tries_per_address=2, tries_in_all=4, lockout_s=60)
    lockout = Lockout(config, clock)
    for number in range(4):
        lockout.fail(f"192.0.2.{number}")
    assert lockout.wait("198.51.100.1") == 60
    assert lockout.wait("198.51.100.1", "anna") == 0
    lockout.fail("198.51.100.1", "anna")
    assert (lockout.wait("198.51.100.1", "anna"), lockout.left("198.51.100.1", "anna")) == (0, 1)
    lockout.fail("198.51.100.2", "anna")
    assert lockout.wait("198.51.100.3", "anna") == 60  # wherever it asks from
    assert lockout.wait("198.51.100.1", "bert") == 0


def test_the_table_of_addresses_is_bounded(clock: Clock) -> None:
    lockout = Lockout(Config(Path(), lockout_addresses=4, tries_in_all=1000), clock)
    for number in range(5):
        lockout.fail(f"192.0.2.{number}")
    assert lockout.left("192.0.2.0") == 5
    assert lockout.left("192.0.2.1") == 4


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_what_counts_as_one_guesser(address: str, network: str) -> None:
    assert network_of(address) == network
