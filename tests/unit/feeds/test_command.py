"""`ratwall feeds check`: what is in a list, or in one line why it would be refused."""

import json
from pathlib import Path

import pytest

from ratwall.cli.main import main
from unit.feeds.lists import SURICATA, THREATFOX_15


def test_says_what_a_list_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list_file = tmp_path / "recent.csv"
    list_file.write_bytes(THREATFOX_15)
    assert main(["feeds", "check", str(list_file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{list_file}: threatfox, 5 rows: 2 endpoint, 1 name"
    assert len(lines) == 3


def test_names_what_a_rule_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "local.rules"
    rules.write_bytes(SURICATA)
    assert main(["feeds", "check", str(rules), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "kind": "suricata",
        "rows": 6,
        "indicators": {"certificate_sha1": 1, "host": 1, "ja3": 1, "name": 1, "rule": 1},
        "skipped": {"rule asks for pcre": 1},
        "unreadable": [],
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"198.51.100.7\n0.0.0.0/0\n", "line 2: 0.0.0.0/0 is a whole network; a poisoned list?"),
        (b"198.51.100.7\n192.168.1.1\n", "it lists 192.168.1.1, no address of the internet"),
        (b"203.0.113.9\n", "it lists 203.0.113.9, which is on the never-block list"),
        (b"google.com\n", "it lists google.com, a name that everybody uses"),
        (b"", "an empty file"),
        (b"<html>\n", 'rows cannot be read, first line 1: "<html>"'),
    ],
)
def test_a_list_that_would_be_refused_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, complaint: str
) -> None:
    list_file, settings = tmp_path / "list.txt", tmp_path / "ratwall.toml"
    list_file.write_bytes(content)
    settings.write_text('[never_block]\naddresses = ["203.0.113.9"]\n')
    assert main(["feeds", "check", str(list_file), "--config", str(settings)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"ratwall: {list_file}: refused as a list of kind plain: ")
    assert complaint in captured.err
    assert captured.err.count("\n") == 1


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["feeds", "check", str(tmp_path / "none")]) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err
