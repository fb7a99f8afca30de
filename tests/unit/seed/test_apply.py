"""A seed is applied once, in an order that a power cut cannot spoil, and wiped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ratwall.errors import UsageError
from ratwall.seed import apply
from ratwall.seed.__main__ import parse_in_time
from ratwall.seed.apply import Places, apply_file
from unit.seed.test_document import FULL, HASH


@pytest.fixture
def places(tmp_path: Path) -> Places:
    for name in ("bootsel", "etc", "web"):
        (tmp_path / name).mkdir()
    return Places(tmp_path / "bootsel/ratwall.toml", tmp_path / "etc", tmp_path / "web")


def keep(path: Path) -> None:
    """Nobody is given the file."""


def test_without_a_seed_nothing_happens(places: Places) -> None:
    assert apply_file(places, keep) is None
    assert list(places.settings.iterdir()) == []


def test_a_seed_is_applied_and_wiped(places: Places) -> None:
    places.seed.write_text(FULL)
    held = os.open(places.seed, os.O_RDONLY)
    given: list[Path] = []
    try:
        assert apply_file(places, given.append) is not None
        assert os.read(held, 10_000) == bytes(len(FULL.encode())), "the disk's blocks are zero"
    finally:
        os.close(held)
    assert not places.seed.exists()
    assert (places.settings / "network").read_text() == "MODE=router\nWAN=eth1\n"
    assert (places.settings / "site-name").read_text() == "Bäckerei Huber\n"
    token = places.settings / "enrolment-token"
    assert token.stat().st_mode & 0o777 == 0o600
    credentials = places.web / "credentials.json"
    assert json.loads(credentials.read_text())["password"] == HASH
    assert given == [places.web / ".credentials.json.new"], "before it has its name"


def test_a_password_that_was_set_stays(places: Places) -> None:
    (places.web / "credentials.json").write_text("mine")
    places.seed.write_text(FULL)
    apply_file(places, keep)
    assert (places.web / "credentials.json").read_text() == "mine"


def test_a_bad_seed_changes_nothing_and_stays(places: Places) -> None:
    places.seed.write_text(FULL + "[detection2]\n")
    with pytest.raises(UsageError):
        apply_file(places, keep)
    assert list(places.settings.iterdir()) == [] == list(places.web.iterdir())
    assert places.seed.exists()


def test_another_seed_changes_nothing(places: Places) -> None:
    places.seed.write_text(FULL)
    apply_file(places, keep)
    places.seed.write_text("[site]\nname = 'another'\n")
    with pytest.raises(UsageError, match="seeded before"):
        apply_file(places, keep)
    assert (places.settings / "site-name").read_text() == "Bäckerei Huber\n"


class PowerCutError(Exception):
    """The power is gone."""


STEPS = 7  # five files, the mark, the wiping


@pytest.mark.parametrize("survived", range(STEPS))
def test_a_power_cut_at_any_step_is_made_good_at_the_next_boot(
    places: Places, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    places.seed.write_text(FULL)
    left = [survived]
    real = {"replace_file": apply.replace_file, "wipe": apply.wipe}

    def cut(name: str):  # type: ignore[no-untyped-def]
        def step(*args: object, **options: object) -> None:
            if left[0] == 0:
                raise PowerCutError
            left[0] -= 1
            real[name](*args, **options)  # type: ignore[operator]

        return step

    with monkeypatch.context() as patch:
        for name in real:
            patch.setattr(apply, name, cut(name))
        with pytest.raises(PowerCutError):
            apply_file(places, keep)
    assert places.seed.exists()
    apply_file(places, keep)
    assert not places.seed.exists()
    assert (places.settings / "site-name").exists()
    assert json.loads((places.web / "credentials.json").read_text())["password"] == HASH


def test_a_seed_that_takes_an_hour_to_read_holds_nobody_up(places: Places) -> None:
    """The bridge waits for it. A key of many parts costs their square; 100,000 fit the file."""
    places.seed.write_bytes(b"a." * 100_000 + b"a = 1\n")
    with pytest.raises(UsageError, match=r"ratwall\.toml: not read after 0\.3 s"):
        apply_file(places, keep, lambda raw, source: parse_in_time(raw, source, 0.3))
    assert places.seed.exists() and not (places.settings / "seeded").exists()
    assert parse_in_time(FULL.encode(), "ratwall.toml").name is not None, "and the next is read"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users: run as root")
def test_the_command_leaves_word_beside_the_seed(tmp_path: Path) -> None:
    seed, etc = tmp_path / "ratwall.toml", tmp_path / "etc"
    etc.mkdir()
    argv = [sys.executable, "-m", "ratwall.seed", "--file", str(seed), "--settings-dir", str(etc)]
    argv += ["--state-dir", str(tmp_path / "state"), "--runtime-dir", str(tmp_path / "run")]
    seed.write_text("[site]\nnome = 'x'\n")
    assert subprocess.run(argv, stderr=subprocess.DEVNULL).returncode == 2
    assert "nome" in (tmp_path / "ratwall-result.txt").read_text()
    assert "nome" in (tmp_path / "run/seed-problem").read_text()
    seed.write_text(FULL)
    assert subprocess.run(argv, stderr=subprocess.DEVNULL).returncode == 0
    assert "Applied" in (tmp_path / "ratwall-result.txt").read_text()
    assert (tmp_path / "state/web/credentials.json").stat().st_uid not in (0,)
