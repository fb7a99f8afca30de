"""From one box to another by command, with the real controllers and keepers of both."""

import io
import json
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ratwall.backup import page_files
from ratwall.errors import RatwallError
from ratwall.ledger import queries
from unit.cli.conftest import Shell
from unit.controller.box import Box, FakeSets, FakeWatch, Running
from unit.controller.keeper import FileKeeper

WORDS = "four words for tests"
OLD = """\
[network]
lan = "eth7"  # of the old box
mode = "router"
[block]
seconds = 61  # short
"""
NEW = '[network]\nlan = "enp1s0"\n'
CREDENTIALS = json.dumps({"password": "$argon2id$old", "set": 1})


class Place:
    """One box: its state, its keeper and its controller."""

    def __init__(self, text: str, capsys: pytest.CaptureFixture[str], stack: list[Any]) -> None:
        self.state = Path(tempfile.mkdtemp(prefix="ratwall-"))
        (self.state / "run").mkdir()
        (self.state / "web").mkdir(mode=0o700)
        self.box = Box(self.state, FakeSets(), FakeWatch(), now=time.time_ns() // 1000)
        self.keeper = FileKeeper(self.state, text)
        self.running = Running(self.box)
        self.shell = Shell(self.state, capsys)
        stack.append(self)

    def stop(self) -> None:
        self.running.stop()
        self.keeper.stop()
        self.box.watch.close()

    def credentials(self) -> str:
        return (self.state / "web" / "credentials.json").read_text()


@pytest.fixture
def place(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[str], Place]]:
    made: list[Place] = []
    yield lambda text: Place(text, capsys, made)
    for each in made:
        each.stop()


@contextmanager
def typed(*lines: str) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.StringIO("".join(f"{line}\n" for line in lines))
    try:
        yield
    finally:
        sys.stdin = before


@pytest.fixture
def copy(place: Callable[[str], Place], tmp_path: Path) -> Path:
    """The backup of an old box."""
    old = place(OLD)
    (old.state / "web" / "credentials.json").write_text(CREDENTIALS)
    secret = {"export.webhook.secret_file": "open sesame"}
    url = {"export.webhook.url": "https://h.example/x"}
    old.running.call("settings_set", changes=url, secrets=secret, dry=False)
    old.running.call("allow", server="203.0.113.9", server_port=443, reason="ours", seconds=None)
    old.running.call("block", server="203.0.113.8", server_port=7, seconds=3600, reason="bad")
    old.running.call("rule", rule="rhythm.*", mode="enforce", reason="tried")
    file = tmp_path / "office.ratwall"
    with typed(WORDS):
        old.shell.run("backup", str(file))
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"sesame" not in file.read_bytes()
    return file


def test_a_new_box_takes_the_place_of_the_old_one(
    place: Callable[[str], Place], copy: Path
) -> None:
    new = place(NEW)
    before = new.keeper.path.read_text()
    with typed(WORDS):
        told = new.shell.json("restore", "--check", str(copy))
    assert (told["actions"], told["refused"]) == (3, [])
    assert new.keeper.path.read_text() == before, "a check changes nothing"

    with typed(WORDS):
        assert new.shell.json("restore", str(copy))["refused"] == []
    text = new.keeper.path.read_text()
    document = tomllib.loads(text)
    assert document["network"] == {"lan": "enp1s0", "mode": "router"}, "its ports stay its own"
    assert document["block"] == {"seconds": 61} and "# short" in text
    kept = new.keeper.path.parent / "secrets" / "webhook"
    assert document["export"]["webhook"]["secret_file"] == str(kept)
    assert kept.read_text() == "open sesame\n"
    assert new.credentials() == CREDENTIALS
    assert new.box.sets.allowed == {(None, "203.0.113.9", 443): None}
    assert 3500 < new.box.sets.blocked["203.0.113.8", 7] <= 3600
    (rule,) = new.running.call("rules")["set"]
    assert (rule["rule"], rule["mode"]) == ("rhythm.*", "enforce")
    with typed(WORDS):
        new.shell.json("restore", str(copy))
    assert len(queries.actions(new.running.service.ledger, new.box.now)) == 3, "once is enough"


def test_what_goes_wrong_leaves_the_box_as_it_was(
    place: Callable[[str], Place], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = place(NEW)
    (new.state / "web" / "credentials.json").write_text('{"password": "new", "set": 2}')

    def is_as_it_was() -> None:
        assert new.keeper.path.read_text() == NEW
        assert json.loads(new.credentials())["password"] == "new"
        assert new.box.sets.allowed == {} and new.box.sets.blocked == {}

    with typed("four other words"):
        assert "passphrase is not the one" in new.shell.run("restore", str(copy), code=2)
    is_as_it_was()
    new.keeper.broken = True
    with typed(WORDS):
        assert "nft: no" in new.shell.run("restore", str(copy), code=1)
    is_as_it_was()
    new.keeper.broken = False

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(page_files, "replace_file", refuse)
    with typed(WORDS):
        assert "No space left" in new.shell.run("restore", str(copy), code=1)
    is_as_it_was()


def test_hostile_contents_are_refused_before_anything_is_done(
    place: Callable[[str], Place],
) -> None:
    new = place(NEW)
    good: dict[str, Any] = {"settings": "", "secrets": {}, "actions": [], "devices": []}
    action = {"kind": "block", "reason": "x", "expires": None, "server": "203.0.113.1"}
    for wrong in (
        {"settings": "[network]\nlan = 5\n"},
        {"settings": None},
        {"secrets": {"../../shadow": "x"}},
        {"secrets": {"mail": "two\nlines"}},
        {"actions": [action | {"kind": "quarantine"}]},
        {"actions": [action | {"server": "; nft flush ruleset"}]},
        {"actions": [action | {"server": None}]},
        {"actions": ["x"]},
        {"actions": [action] * 2001},
        {"devices": [{"mac": None, "address": "192.0.2.1", "name": ""}]},
    ):
        with pytest.raises(RatwallError):
            new.running.call("restore", part=good | wrong, dry=False)
        assert new.keeper.path.read_text() == NEW
    new.running.call("restore", part=good, dry=False)
