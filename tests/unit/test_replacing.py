"""A file that is replaced whole, or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ratwall.replacing import replace_file


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", ["ä\n", b"\xc3\xa4\n"], ids=["text", "bytes"])
def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("old, and longer\n")
    replace_file(path, content)
    assert path.read_text() == "ä\n"
    assert names(tmp_path) == ["settings.toml"]


def test_the_mode_holds_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        replace_file(tmp_path / "shown", "")
        replace_file(tmp_path / "secret", "", mode=0o600)
    finally:
        os.umask(before)
    assert (tmp_path / "shown").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_its_owner_has_it_before_it_has_its_name(tmp_path: Path) -> None:
    met: list[tuple[str, bool]] = []
    path = tmp_path / "credentials.json"
    replace_file(path, "{}", give=lambda fresh: met.append((fresh.read_text(), path.exists())))
    assert met == [("{}", False)]


def refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "fchmod"])
def test_where_the_disk_refuses_the_old_file_stays_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("old\n")
    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, "new\n")
    assert path.read_text() == "old\n"
    assert names(tmp_path) == ["settings.toml"]


def link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def leftover(path: Path, target: Path) -> None:
    path.write_text("half of")


@pytest.mark.parametrize("plant", [link, leftover])
def test_what_lies_in_its_way_is_neither_followed_nor_kept(
    tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched\n")
    plant(folder / ".settings.toml.new", elsewhere)
    replace_file(folder / "settings.toml", "new\n")
    assert elsewhere.read_text() == "untouched\n"
    assert (folder / "settings.toml").read_text() == "new\n"
    assert names(folder) == ["settings.toml"]
