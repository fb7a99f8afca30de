"""Bad settings never leave a box unprotected at a boot."""

import os
from pathlib import Path

import pytest

from ratwall.settings.schema import Settings
from ratwall.supervisor.prepare import choose, lay_out
from ratwall.supervisor.state import StateDirectory

GOOD = b"[kernel]\nworkers = 3\n"
BAD = b"[kernel]\nworkers = 99\n"


@pytest.fixture
def wanted(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


@pytest.fixture
def last_good(tmp_path: Path) -> Path:
    return tmp_path / "last-good.toml"


def test_a_new_box_has_no_settings_and_that_is_fine(wanted: Path, last_good: Path) -> None:
    chosen = choose(wanted, last_good)
    assert (chosen.settings, chosen.text, chosen.problem) == (Settings(), b"", None)


def test_a_mistake_takes_the_last_good_settings_and_says_so(wanted: Path, last_good: Path) -> None:
    wanted.write_bytes(BAD)
    last_good.write_bytes(GOOD)
    chosen = choose(wanted, last_good)
    assert chosen.settings.kernel.workers == 3
    assert chosen.text == GOOD
    assert chosen.problem is not None and "workers" in chosen.problem and "99" in chosen.problem


def test_two_mistakes_take_the_defaults(wanted: Path, last_good: Path) -> None:
    wanted.write_bytes(BAD)
    last_good.write_bytes(b"\xff")
    chosen = choose(wanted, last_good)
    assert chosen.settings == Settings()
    assert chosen.problem is not None and "defaults" in chosen.problem


@pytest.mark.skipif(os.geteuid() != 0, reason="gives directories to other users: run as root")
def test_what_was_good_is_remembered_and_what_is_bad_is_shown(
    tmp_path: Path, wanted: Path, last_good: Path
) -> None:
    state, runtime = StateDirectory(tmp_path / "state"), tmp_path / "run"
    wanted.write_bytes(GOOD)
    lay_out(state, wanted, last_good, runtime)
    assert (runtime / "workers").read_text() == "RATWALL_WORKERS=3\n"
    assert not (runtime / "settings-problem").exists()
    wanted.write_bytes(BAD)
    lay_out(state, wanted, last_good, runtime)
    assert state.settings.read_bytes() == GOOD == last_good.read_bytes()
    assert "99" in (runtime / "settings-problem").read_text()
    wanted.write_bytes(b"")
    lay_out(state, wanted, last_good, runtime)
    assert state.settings.read_bytes() == b"" == last_good.read_bytes()
    assert not (runtime / "settings-problem").exists()
