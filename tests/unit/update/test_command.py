"""`ratwall update` at the console: what it says before and after, and what it leaves behind.

Bundles, signatures and files are real; RAUC's writing of a slot, and the restart, are stood in for,
since they would be this machine's own. The emulated box of tests/hil does both.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ratwall.cli import update
from ratwall.cli.main import Parser
from ratwall.errors import RatwallError, UsageError
from ratwall.update import rauc
from ratwall.update.attempt import Attempt, State
from ratwall.update.place import Place, keep_attempt, read_attempt
from ratwall.update.slots import Slot
from unit.update.conftest import BOARD, Bundles

Run = Callable[..., int]


class Rauc:
    """What RAUC was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.complaint: str | None = None
        self.other_good = True

    def install(self, path: object, tell: Callable[[str], None]) -> None:
        self.asked.append("install")
        if self.complaint is not None:
            raise RatwallError(self.complaint)
        tell(" 50% Copying image to root.1")

    def mark(self, what: str, slot: str) -> None:
        self.asked.append(f"{what} {slot}")

    def slots(self) -> dict[str, Slot]:
        return {"A": Slot("A", True, None), "B": Slot("B", self.other_good, "0.0.9")}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Rauc:
    stand_in = Rauc()
    for name in ("install", "mark", "slots"):
        monkeypatch.setattr(rauc, name, getattr(stand_in, name))
    monkeypatch.setattr(update, "restart", lambda: stand_in.asked.append("restart"))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return stand_in


@pytest.fixture
def run(place: Place, fake: Rauc) -> Run:
    def run(*arguments: str) -> int:
        parser = Parser(prog="ratwall update")
        update.add_arguments(parser)
        return update.run(parser.parse_args(list(arguments)), place)

    return run


def facts(run: Run, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert run("status", "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_an_installation_says_what_it_will_do_does_it_and_restarts(
    run: Run, fake: Rauc, place: Place, make_bundle: Bundles, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("install", str(make_bundle())) == 0
    said = capsys.readouterr()
    assert said.err.index(f"version 0.2.0 for {BOARD} goes into slot B") < said.err.index("50%")
    assert "restarts now" in said.out and "no traffic passes" in said.out
    assert "it counts when it has passed its check" in said.out
    assert fake.asked == ["install", "restart"]
    kept = read_attempt(place)
    assert kept is not None and kept.state is State.INSTALLED
    assert place.trial.read_text() == "B\n"
    assert facts(run, capsys)["last"]["state"] == "installed"


def test_the_restart_can_be_left(
    run: Run, fake: Rauc, make_bundle: Bundles, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("install", str(make_bundle()), "--no-restart") == 0
    assert fake.asked == ["install"]
    assert "starts at the next restart" in capsys.readouterr().out
    # Nobody is sent "back" to a version that never ran.
    with pytest.raises(RatwallError, match="never started"):
        run("rollback")


def test_another_boards_update_is_refused_before_anything_is_written(
    run: Run, fake: Rauc, place: Place, make_bundle: Bundles
) -> None:
    with pytest.raises(UsageError, match=f"is for board rpi5, this box is {BOARD}"):
        run("install", str(make_bundle(board="rpi5")))
    assert fake.asked == []
    assert list(place.directory.iterdir()) == []


def test_what_rauc_could_not_write_is_kept_as_the_reason(
    run: Run,
    fake: Rauc,
    place: Place,
    make_bundle: Bundles,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake.complaint = "update: not installed: slot is full"
    with pytest.raises(RatwallError, match="slot is full"):
        run("install", str(make_bundle()))
    assert fake.asked == ["install"]
    assert not place.trial.exists()
    last = facts(run, capsys)["last"]
    assert (last["state"], last["reason"]) == ("failed", "not installed: slot is full")


def test_a_version_on_trial_takes_no_update(run: Run, place: Place, make_bundle: Bundles) -> None:
    keep_attempt(place, Attempt("0.1.0", "A", "0.0.9", 1, "b", State.TRIAL))
    with pytest.raises(RatwallError, match="on trial itself"):
        run("install", str(make_bundle()))


def test_back_to_the_other_slot_if_that_is_good(
    run: Run, fake: Rauc, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_attempt(place, Attempt("0.1.0", "A", "0.0.8", 1, "b", State.GOOD, ended=2))
    assert run("rollback") == 0
    assert fake.asked == ["active other", "restart"]
    assert "version 0.0.8 is installed in slot B" in capsys.readouterr().out


def test_there_is_no_way_back_to_a_slot_that_is_not_good(
    run: Run, fake: Rauc, place: Place
) -> None:
    fake.other_good = False
    with pytest.raises(RatwallError, match="slot B is not good"):
        run("rollback")
    assert fake.asked == []
    assert list(place.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (None, "none yet"),
        (Attempt("0.2.0", "B", "0.1.0", 1, "b"), "is being written into slot B"),
        (Attempt("0.2.0", "B", "0.1.0", 1, "b", State.INSTALLED), "at the next restart, on trial"),
        (Attempt("0.1.0", "A", "0.0.9", 1, "b", State.TRIAL), "its check is not over"),
        (Attempt("0.1.0", "A", "0.0.9", 1, "b").end(2), "passed its check"),
        (Attempt("0.2.0", "B", "0.1.0", 1, "b").end(2, "it did not start"), "it did not start"),
    ],
)
def test_status_says_which_is_true(
    run: Run,
    place: Place,
    attempt: Attempt | None,
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if attempt is not None:
        keep_attempt(place, attempt)
    assert run("status") == 0
    said = capsys.readouterr().out
    assert "Version 0.1.0, slot A, board" in said and "development keys" in said
    assert words in said.splitlines()[-1]


def test_a_reason_steers_no_terminal(
    run: Run, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_attempt(place, replace(Attempt("0.2.0", "B", "0.1.0", 1, "b").end(2, "\x1b[2J")))
    assert run("status") == 0
    assert "\x1b" not in capsys.readouterr().out


def test_elsewhere_there_is_nothing_to_update(run: Run, place: Place, make_bundle: Bundles) -> None:
    place.release.write_text("ID=debian\n")
    for arguments in (("install", str(make_bundle())), ("rollback",)):
        with pytest.raises(RatwallError, match="started from Ratwall's image"):
            run(*arguments)


def test_arguments_that_do_not_fit(run: Run) -> None:
    with pytest.raises(UsageError, match="expected a FILE or URL"):
        run("install")
    with pytest.raises(UsageError, match="takes no file"):
        run("status", "x.raucb")
