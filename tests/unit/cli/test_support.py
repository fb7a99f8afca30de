"""`ratwall support` at the console: says what is in the file, and writes it for root alone."""

import zipfile
from pathlib import Path

from unit.cli.conftest import Shell


def test_what_would_be_in_it_is_listed_first(shell: Shell) -> None:
    said = shell.run("support", "list")
    assert "settings.json" in said and "without secrets" in said
    assert "incidents.json" not in said
    names = {part["name"] for part in shell.json("support", "list", "--incidents")}
    assert "incidents.json" in names


def test_it_is_written_once_and_only_for_its_owner(shell: Shell, tmp_path: Path) -> None:
    target = tmp_path / "bundle.zip"
    assert "Look at it before you send it" in shell.run("support", "bundle", "-o", str(target))
    assert target.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(target) as archive:
        assert {"README.txt", "settings.json", "units.txt"} <= set(archive.namelist())
    said = shell.run("support", "bundle", "-o", str(target), code=2)
    assert "give another name with -o" in said
