"""The state directory: taken only where it is ours, and never by way of somebody's link."""

import os
from pathlib import Path

import pytest

from ratwall.errors import UsageError
from ratwall.supervisor.state import StateDirectory, sole_instance

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="gives directories to other users: run as root"),
]


def mode_and_owner(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mode & 0o7777, status.st_uid


def test_a_directory_that_holds_something_else_is_refused_and_left_as_it_was(
    tmp_path: Path,
) -> None:
    (tmp_path / "letters").mkdir()
    tmp_path.chmod(0o1777)
    with pytest.raises(UsageError, match="holds 'letters' and no ledger of Ratwall's"):
        StateDirectory(tmp_path).prepare()
    assert mode_and_owner(tmp_path) == (0o1777, 0)


@pytest.mark.parametrize("mine", ["ledger.sqlite3", "run"])
def test_a_directory_of_ours_is_taken_again(tmp_path: Path, mine: str) -> None:
    state = StateDirectory(tmp_path / "state")
    state.prepare()
    (state.path / mine).mkdir(exist_ok=True)
    StateDirectory(state.path).prepare()


def test_a_refused_start_leaves_no_directory_but_those_that_were_there(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "new" / "state")
    state.prepare()
    state.discard()
    assert not state.path.exists()

    kept = StateDirectory(tmp_path / "kept")
    kept.prepare()
    again = StateDirectory(kept.path)
    again.prepare()
    again.discard()
    assert kept.run.is_dir()


@pytest.mark.parametrize("name", ["run", "web"])
def test_a_link_in_place_of_a_directory_is_not_followed(tmp_path: Path, name: str) -> None:
    state = StateDirectory(tmp_path / "state")
    state.prepare()
    (state.path / name).rmdir()
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    (state.path / name).symlink_to(victim)
    (state.path / "ledger.sqlite3").touch()
    with pytest.raises(UsageError, match="cannot be prepared"):
        StateDirectory(state.path).prepare()
    assert mode_and_owner(victim) == (0o700, 0)


def test_settings_do_not_go_through_a_link(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "state")
    state.prepare()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state.settings.symlink_to(victim)
    state.write_settings(b"")
    assert victim.read_text() == "precious"
    assert not state.settings.is_symlink()


@pytest.mark.parametrize("trick", ["link", "hard link", "pipe", "other owner"])
def test_a_lock_that_is_not_ours_is_refused(tmp_path: Path, trick: str) -> None:
    state = StateDirectory(tmp_path / "state")
    state.prepare()
    lock, victim = state.run / "lock", tmp_path / "victim"
    victim.write_text("precious")
    if trick == "link":
        lock.symlink_to(victim)
    elif trick == "hard link":
        lock.hardlink_to(victim)
    elif trick == "pipe":
        os.mkfifo(lock)
    else:
        lock.touch()
        os.chown(lock, 61_841, -1)
    with pytest.raises(UsageError, match="lock"), sole_instance(state):
        pass
    assert victim.read_text() == "precious"


def test_a_second_instance_is_told_who_is_there(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "state")
    state.prepare()
    with (
        sole_instance(state),
        pytest.raises(UsageError, match=f"another ratwall .process {os.getpid()}."),
        sole_instance(state),
    ):
        pass
