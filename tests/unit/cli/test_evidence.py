"""`ratwall evidence` at the console: a file of its owner alone, and every refusal in one line."""

import zipfile
from pathlib import Path

from unit.cli.conftest import Shell
from unit.controller.box import Running


def test_a_package_is_written_for_its_owner_alone(
    shell: Shell, attacked: Running, tmp_path: Path
) -> None:
    target = tmp_path / "case.zip"
    assert "sha256sum -c SHA256SUMS" in shell.run("evidence", "1", "-o", str(target))
    assert target.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(target) as package:
        assert {"incident.txt", "incident.json", "SHA256SUMS"} < set(package.namelist())
    before = target.read_bytes()
    assert "is there already" in shell.run("evidence", "1", "-o", str(target), code=2)
    assert target.read_bytes() == before


def test_what_cannot_be_is_one_line(shell: Shell, attacked: Running, tmp_path: Path) -> None:
    target = tmp_path / "case.zip"
    refusal = shell.run("evidence", "99", "-o", str(target), code=2)
    assert refusal == "there is no incident 99; see: ratwall incidents"
    assert "expected a number" in shell.run("evidence", "one", code=2)
    nowhere = tmp_path / "nowhere" / "case.zip"
    assert "cannot be written" in shell.run("evidence", "1", "-o", str(nowhere), code=2)
    assert list(tmp_path.glob("*.zip*")) == list(tmp_path.glob(".*.zip*")) == []
