"""The script around a seed: what it leaves on the card when systemd had to end the reading."""

import os
import subprocess
from pathlib import Path

import pytest

from image.conftest import OVERLAY, UNITS

SCRIPT = OVERLAY / "usr/lib/ratwall/seed"


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    (tmp_path / "bootsel").mkdir()
    seed = tmp_path / "bootsel/ratwall.toml"
    seed.write_text('[site]\nname = "Huber"\n')
    return seed


def end(seed: Path, result: str) -> tuple[str | None, str | None]:
    """Have systemd's last command run; what is on the card and on the screen then."""
    runtime = seed.parents[1] / "run"
    subprocess.run(
        [SCRIPT, "ended"],
        env={
            **os.environ,
            "RATWALL_SEED": str(seed),
            "RATWALL_RUNTIME": str(runtime),
            "SERVICE_RESULT": result,
        },
        check=True,
        timeout=60,
    )
    card, screen = seed.with_name("ratwall-result.txt"), runtime / "seed-problem"
    return (
        card.read_bytes().decode() if card.exists() else None,
        screen.read_text() if screen.exists() else None,
    )


@pytest.mark.parametrize("result", ["timeout", "signal", "oom-kill"])
def test_a_seed_whose_reading_was_ended_is_told_of_and_kept(seed: Path, result: str) -> None:
    card, screen = end(seed, result)
    assert screen is not None and result in screen
    assert card == f"Not applied: {screen.strip()}\r\n"
    assert "restart the box" in card
    assert seed.exists()


@pytest.mark.parametrize("result", ["success", "exit-code"])
def test_who_had_a_word_itself_is_not_spoken_over(seed: Path, result: str) -> None:
    assert end(seed, result) == (None, None)


def test_of_a_seed_that_was_wiped_there_is_nothing_to_tell(seed: Path) -> None:
    seed.unlink()
    assert end(seed, "timeout") == (None, None)


def test_the_unit_runs_it_whatever_came_of_the_seed() -> None:
    unit = (UNITS / "ratwall-seed.service").read_text()
    assert "ExecStopPost=/usr/lib/ratwall/seed ended\n" in unit
