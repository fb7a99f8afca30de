"""The check after a start: what it says to the boot loader and in the record, and when it restarts.

RAUC itself is stood in for by a list of what it was told: it would write the boot loader's block of
a real disk. The emulated box of tests/hil has the real one.
"""

from dataclasses import replace

import pytest

from ratwall.errors import RatwallError
from ratwall.update import health, rauc
from ratwall.update.attempt import Attempt, State
from ratwall.update.health import OVER, PAUSE_SECONDS, TAKE_BACK, judge, wait_healthy
from ratwall.update.place import Place, keep_attempt, read_attempt

FINE = {"page": lambda: None}
BROKEN = {"units": lambda: None, "page": lambda: "the admin page does not answer"}
TRIAL = Attempt("0.1.0", "A", "0.0.9", 1, "boot before", State.INSTALLED)


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(rauc, "mark", lambda what, slot: told.append((what, slot)))
    return told


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_version_on_trial_that_passes_is_marked_good_and_only_then_counts(
    place: Place, marks: list[tuple[str, str]]
) -> None:
    keep_attempt(place, TRIAL)
    assert place.trial.read_text() == "A\n"
    assert judge(place, FINE, 0.0) == OVER
    assert marks == [("good", "booted")]
    kept = read_attempt(place)
    assert kept is not None and kept.state is State.GOOD and kept.ended is not None
    assert not place.trial.exists()


def test_a_version_on_trial_that_does_not_pass_is_taken_back_and_the_reason_kept(
    place: Place, marks: list[tuple[str, str]]
) -> None:
    keep_attempt(place, TRIAL)
    assert judge(place, BROKEN, 0.0) == TAKE_BACK
    assert marks == []
    kept = read_attempt(place)
    assert kept is not None and kept.state is State.FAILED
    assert kept.reason == "the admin page does not answer"


def test_a_version_that_was_good_is_never_restarted(
    place: Place, marks: list[tuple[str, str]]
) -> None:
    assert judge(place, BROKEN, 0.0) == OVER
    keep_attempt(place, TRIAL.end(2))
    assert judge(place, BROKEN, 0.0) == OVER
    assert marks == [("good", "booted")] * 2


def test_the_version_before_says_that_the_new_one_did_not_start(
    place: Place, marks: list[tuple[str, str]]
) -> None:
    keep_attempt(place, replace(TRIAL, slot="B", version="0.2.0"))
    place.environment.write_text("# GRUB Environment Block\nB_OK=1\nB_TRY=3\n")
    assert judge(place, FINE, 0.0) == OVER
    assert marks == [("bad", "other"), ("good", "booted")]
    kept = read_attempt(place)
    assert kept is not None and kept.reason == "it did not start (3 tries)"


def test_a_mark_that_cannot_be_made_ends_the_trial(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(what: str, slot: str) -> None:
        raise RatwallError("update: slot booted: not marked good: no bus")

    monkeypatch.setattr(rauc, "mark", refuse)
    keep_attempt(place, TRIAL)
    with pytest.raises(RatwallError, match="no bus"):
        judge(place, FINE, 0.0)
    kept = read_attempt(place)
    assert kept is not None and "no bus" in kept.reason


def test_a_damaged_record_keeps_nobody_from_being_checked(
    place: Place, marks: list[tuple[str, str]]
) -> None:
    place.record.write_text("{")
    assert judge(place, FINE, 0.0) == OVER
    assert marks == [("good", "booted")]


def test_a_check_is_asked_again_until_it_is_content() -> None:
    clock, answers = Clock(), iter(["starting", "starting", None])
    assert wait_healthy({"page": lambda: next(answers)}, 100.0, clock, clock.sleep) == []
    assert clock.now == 2 * PAUSE_SECONDS


def test_when_the_time_is_up_all_that_is_wrong_is_told() -> None:
    clock = Clock()
    checks = {"a": lambda: "first", "b": lambda: None, "c": lambda: "third"}
    assert wait_healthy(checks, 10.0, clock, clock.sleep) == ["first", "third"]
    assert 10.0 <= clock.now < 10.0 + PAUSE_SECONDS


def test_the_command_says_what_went_wrong_and_has_the_version_taken_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise RatwallError("no bus")

    monkeypatch.setattr(health, "judge", fail)
    monkeypatch.setattr("sys.argv", ["health", "--state-dir", "/nowhere"])
    assert health.main() == TAKE_BACK
    assert capsys.readouterr().err == "ratwall: health: no bus\n"
