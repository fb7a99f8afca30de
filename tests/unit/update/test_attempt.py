"""An attempt to run another version, told from what is left of it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.update.attempt import (
    NEWS_SECONDS,
    TEXT_LIMIT,
    Attempt,
    AttemptError,
    State,
    Tries,
    dump,
    is_on_trial,
    load,
    notice,
    settle,
)

NOW = 1_800_000_000_000_000
WRITING = Attempt("0.2.0", "B", "0.1.0", NOW - 10, "first boot")
INSTALLED = replace(WRITING, state=State.INSTALLED)
TRIAL = replace(WRITING, state=State.TRIAL)


def settled(attempt: Attempt, tries: Tries = Tries(), running: str = "A") -> Attempt | None:  # noqa: B008
    return settle(attempt, running=running, boot_id="second boot", tries=tries, now=NOW)


@given(
    st.builds(
        Attempt,
        version=st.text(max_size=TEXT_LIMIT),
        slot=st.sampled_from("AB"),
        former=st.text(max_size=30),
        began=st.integers(),
        boot_id=st.text(max_size=40),
        state=st.sampled_from(State),
        reason=st.text(max_size=30),
        ended=st.none() | st.integers(),
    )
)
def test_what_is_kept_is_read_back(attempt: Attempt) -> None:
    assert load(dump(attempt)) == attempt


@given(st.binary(max_size=200))
def test_a_damaged_record_is_refused_in_one_line(raw: bytes) -> None:
    with pytest.raises(AttemptError) as caught:
        load(raw)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("slot", "C"),
        ("state", "lovely"),
        ("began", None),
        ("began", True),
        ("ended", "noon"),
        ("reason", "x" * (TEXT_LIMIT + 1)),
        ("version", 2),
    ],
)
def test_a_record_with_one_wrong_field_is_refused(field: str, value: object) -> None:
    found = json.loads(dump(WRITING))
    found[field] = value
    with pytest.raises(AttemptError):
        load(json.dumps(found).encode())


def test_a_power_cut_during_the_installation_is_told_and_nothing_was_lost() -> None:
    over = settled(WRITING)
    assert over is not None and over.state is State.FAILED and over.ended == NOW
    assert "cut short" in over.reason and "runs on unchanged" in over.reason


def test_a_version_that_used_up_its_tries_did_not_start() -> None:
    over = settled(INSTALLED, Tries(ok=True, used=3))
    assert over is not None and over.reason == "it did not start (3 tries)"


def test_a_version_that_restarts_again_and_again_during_its_check() -> None:
    over = settled(TRIAL, Tries(ok=True, used=3))
    assert over is not None and "restarted before its check was over (3 tries)" in over.reason


def test_without_the_boot_loaders_counts_it_did_not_start_either() -> None:
    over = settled(INSTALLED, Tries())
    assert over is not None and over.reason == "it did not start"


def test_a_version_called_bad_that_could_not_write_why() -> None:
    over = settled(INSTALLED, Tries(ok=False, used=0))
    assert over is not None and "did not pass its check" in over.reason


def test_a_version_that_was_never_chosen() -> None:
    over = settled(INSTALLED, Tries(ok=True, used=0))
    assert over is not None and "boot loader" in over.reason


@pytest.mark.parametrize("attempt", [WRITING, INSTALLED, TRIAL])
def test_nothing_is_settled_before_the_restart_nor_by_the_version_on_trial(
    attempt: Attempt,
) -> None:
    same = settle(attempt, running="A", boot_id="first boot", tries=Tries(True, 3), now=NOW)
    assert same is None
    assert settled(attempt, Tries(True, 1), running="B") is None


def test_what_is_over_is_settled_once() -> None:
    assert settled(INSTALLED.end(NOW)) is None
    assert settled(INSTALLED.end(NOW, "no reason")) is None


def test_only_the_slot_of_an_open_attempt_is_on_trial() -> None:
    assert is_on_trial(INSTALLED, "B")
    # A power cut between RAUC's mark and our own record: it is on trial all the same.
    assert is_on_trial(WRITING, "B")
    assert not is_on_trial(INSTALLED, "A")
    assert not is_on_trial(INSTALLED.end(NOW), "B")
    assert not is_on_trial(None, "B")
    assert not is_on_trial(INSTALLED, None)


def test_the_owner_reads_of_a_failure_until_the_next_update_of_a_success_for_a_week() -> None:
    failed = INSTALLED.end(NOW, "the admin page does not answer")
    good = INSTALLED.end(NOW)
    week = NEWS_SECONDS * 1_000_000
    said = notice(failed, NOW + 10 * week)
    assert said is not None and "0.1.0 runs on" in said and "does not answer" in said
    assert notice(good, NOW + week - 1) is not None
    assert notice(good, NOW + week) is None
    assert notice(None, NOW) is None


def test_the_owner_reads_what_goes_on() -> None:
    assert "being installed" in str(notice(WRITING, NOW))
    assert "when the box restarts" in str(notice(INSTALLED, NOW))
    assert "being checked" in str(notice(TRIAL, NOW))
