"""`ratwall contacts`: what a technician asks about devices and servers."""

import time
from collections.abc import Iterator

import pytest

from ratwall.detections.history import RARE_AGE_US, RARE_DEVICES
from ratwall.ledger import contacts
from ratwall.ledger.contacts import BASELINE_US, Seen
from ratwall.ledger.store import FILE_NAME, Ledger, open_ledger
from ratwall.ledger.writer import LedgerWriter
from unit.cli.conftest import Shell

DAY = 86_400_000_000
CLOUD, STRANGER, SILENT = "198.51.100.1", "203.0.113.7", "203.0.113.8"
TILL, DESK = "192.168.1.10", "192.168.1.11"


class Office:
    """A ledger into which contacts are written."""

    def __init__(self, ledger: Ledger) -> None:
        self.writer = LedgerWriter(ledger)
        self.now = time.time_ns() // 1000

    def met(
        self,
        device: str,
        server: str,
        *,
        days_ago: float,
        name: str | None = None,
        port: int = 443,
        connections: int = 3,
        failures: int = 0,
    ) -> None:
        place = self.writer.device(None, device, self.now), server, port
        first = self.now - round(days_ago * DAY)
        seen = Seen(first, self.now, connections, failures, 1_000_000, 500_000)
        contacts.write(self.writer, [(place, device, name, seen)], [], self.now)
        assert self.writer.flush()


@pytest.fixture
def office(shell: Shell) -> Iterator[Office]:
    with open_ledger(shell.state / FILE_NAME) as ledger:
        yield Office(ledger)


def test_a_new_server_stands_out_from_what_is_usual(shell: Shell, office: Office) -> None:
    office.met(TILL, CLOUD, days_ago=30, name="cloud.example")
    office.met(DESK, CLOUD, days_ago=1, name="cloud.example")
    office.met(TILL, STRANGER, days_ago=2, port=6606, connections=9)
    office.met(TILL, SILENT, days_ago=20, connections=40, failures=40)
    found = shell.json("contacts")
    standing = {(one["device"]["address"], one["server"]): one["standing"] for one in found}
    assert standing == {
        (TILL, CLOUD): "baseline",
        (DESK, CLOUD): "baseline",  # new to this device, and the office knows it
        (TILL, STRANGER): "new",
        (TILL, SILENT): "failed",
    }
    (stranger,) = (one for one in found if one["server"] == STRANGER)
    assert (stranger["connections"], stranger["devices"]) == (9, 1)
    assert stranger["since"] == office.now - 2 * DAY
    new = shell.json("contacts", "--new")
    assert [one["server"] for one in new] == [SILENT, STRANGER]

    text = shell.run("contacts", "--new")
    assert f"{STRANGER}:6606" in text
    assert "NEW" in text
    assert "no answer" in text
    assert "cloud.example" not in text


@pytest.mark.parametrize(
    ("words", "servers"),
    [
        (["CLOUD"], [CLOUD]),
        ([DESK], [STRANGER]),
        (["6606"], [STRANGER]),
        ([TILL, "6606"], []),
        (["cloud " + TILL], [CLOUD]),
        (["%"], []),
        (["c.address"], []),
    ],
)
def test_every_word_must_occur(
    shell: Shell, office: Office, words: list[str], servers: list[str]
) -> None:
    office.met(TILL, CLOUD, days_ago=9, name="cloud.example")
    office.met(DESK, STRANGER, days_ago=1, port=6606)
    assert [one["server"] for one in shell.json("contacts", *words)] == servers


@pytest.mark.parametrize(("days", "standing"), [(-1, "new"), (0, "baseline"), (1, "baseline")])
def test_a_week_makes_a_server_known(
    shell: Shell, office: Office, days: int, standing: str
) -> None:
    """To the second: the clock goes on between writing and asking."""
    age = (BASELINE_US + days * 60_000_000) / DAY
    office.met(TILL, CLOUD, days_ago=age)
    assert shell.json("contacts")[0]["standing"] == standing


def test_a_third_device_makes_a_server_known(shell: Shell, office: Office) -> None:
    for number in range(RARE_DEVICES):
        office.met(f"192.168.1.{number}", CLOUD, days_ago=1)
    assert {one["standing"] for one in shell.json("contacts")} == {"new"}
    office.met(DESK, CLOUD, days_ago=1)
    assert {one["standing"] for one in shell.json("contacts")} == {"baseline"}


def test_rare_is_what_the_models_call_rare() -> None:
    assert (contacts.RARE_DEVICES, BASELINE_US) == (RARE_DEVICES, RARE_AGE_US)


def test_it_lists_the_newest_and_no_more_than_asked(shell: Shell, office: Office) -> None:
    for number in range(5):
        office.now += 1
        office.met(TILL, f"198.51.100.{number}", days_ago=0)
    listed = shell.json("contacts", "--limit", "2")
    assert [one["server"] for one in listed] == ["198.51.100.4", "198.51.100.3"]


def test_an_empty_list_says_why(shell: Shell, office: Office) -> None:
    assert shell.run("contacts") == "No connection has ended yet.\n"
    assert shell.run("contacts", "--new") == "No contact matches.\n"
    assert shell.json("contacts") == []


def test_bad_arguments_are_one_line(shell: Shell, office: Office) -> None:
    assert "expected 1 to 100000" in shell.run("contacts", "--limit", "0", code=2)
    words = ["x"] * 17
    assert shell.run("contacts", *words, code=2) == "contacts: at most 16 words, found 17"


def test_what_a_stranger_chose_steers_no_terminal(shell: Shell, office: Office) -> None:
    office.met(TILL, CLOUD, days_ago=0, name="\x1b[2Jevil.example")
    assert "\x1b" not in shell.run("contacts")
