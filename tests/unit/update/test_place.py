"""The files of an update: written whole or not at all, read with a bound, and never required."""

from pathlib import Path

import pytest

from ratwall.errors import RatwallError
from ratwall.update.attempt import Attempt, AttemptError, State, Tries
from ratwall.update.place import (
    Place,
    keep_attempt,
    last_attempt,
    read_attempt,
    read_running,
    slot_tries,
    sole_update,
)
from unit.update.conftest import BOARD

ATTEMPT = Attempt("0.2.0", "B", "0.1.0", 1, "first boot")


def test_what_runs_is_read_from_the_image(place: Place) -> None:
    running = read_running(place)
    assert (running.version, running.board, running.slot) == ("0.1.0", BOARD, "A")
    assert (running.keys, running.boot_id) == ("development", "first boot")


def test_on_any_other_machine_there_is_no_board(place: Place) -> None:
    place.release.write_text('ID=debian\nVERSION_ID="13"\nVARIANT_ID="x"\n')
    assert read_running(place).board is None
    place.release.unlink()
    place.command_line.unlink()
    assert (read_running(place).board, read_running(place).slot) == (None, None)


def test_an_open_attempt_marks_its_slot_for_the_script_and_a_closed_one_does_not(
    place: Place,
) -> None:
    keep_attempt(place, ATTEMPT)
    assert place.trial.read_text() == "B\n"
    assert read_attempt(place) == ATTEMPT
    keep_attempt(place, ATTEMPT.end(5, "reason"))
    assert not place.trial.exists()
    kept = read_attempt(place)
    assert kept is not None and kept.state is State.FAILED
    assert place.record.stat().st_mode & 0o777 == 0o644, "the page's user shows it"


def test_a_damaged_record_is_told_or_left_out(place: Place) -> None:
    assert last_attempt(place) is None
    place.record.write_text('{"version": 1}')
    assert last_attempt(place) is None
    with pytest.raises(AttemptError):
        read_attempt(place)


def test_grubs_block_is_optional(place: Place) -> None:
    assert slot_tries(place, "B") == Tries()
    place.environment.write_bytes(b"# GRUB Environment Block\nB_OK=0\nB_TRY=0\n\xff")
    assert slot_tries(place, "B") == Tries(ok=False, used=0)


def test_without_a_data_partition_an_update_is_refused(tmp_path: Path) -> None:
    place = Place(directory=tmp_path / "absent")
    with pytest.raises(RatwallError, match="needs the"):
        keep_attempt(place, ATTEMPT)
    with pytest.raises(RatwallError, match="needs the data partition"), sole_update(place):
        pass


def test_two_updates_at_a_time_are_refused(place: Place) -> None:
    with (
        sole_update(place),
        pytest.raises(RatwallError, match="another update"),
        sole_update(place),
    ):
        pass
    with sole_update(place):
        pass
