"""What the exporter writes down is read by another user, who believes nothing of its form."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ratwall.cli.status import _export
from ratwall.export.facts import FILE_LIMIT, FILE_NAME, SILENT_US, TEXT_LIMIT, receivers

NOW = 1_750_000_000_000_000
FARES: dict[str, Any] = {
    "to": "logs.example:6514 over TLS",
    "sent": 3,
    "last_sent": NOW,
    "backlog": 0,
    "error": None,
    "error_since": None,
}


def write(folder: Path, found: Any) -> None:
    (folder / FILE_NAME).write_text(json.dumps(found))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(tmp_path, {"at": NOW, "receivers": {"syslog": FARES}})
    assert receivers(tmp_path, NOW) == {"syslog": FARES}


@pytest.mark.parametrize(
    ("age", "heard"), [(SILENT_US - 1, True), (SILENT_US, True), (SILENT_US + 1, False)]
)
def test_who_is_silent_for_too_long_is_not_there(tmp_path: Path, age: int, heard: bool) -> None:
    write(tmp_path, {"at": NOW, "receivers": {"syslog": FARES}})
    assert (receivers(tmp_path, NOW + age) is not None) == heard


@pytest.mark.parametrize(
    "found",
    [
        [],
        {"at": "now", "receivers": {}},
        {"at": NOW, "receivers": {"syslog": {}}},
        {"at": NOW, "receivers": {"syslog": FARES | {"to": 7}}},
        {"at": NOW, "receivers": {"syslog": FARES | {"backlog": "many"}}},
        {"at": NOW, "receivers": {"syslog": FARES | {"to": "x" * FILE_LIMIT}}},
    ],
)
def test_what_is_not_as_it_should_be_counts_as_silence(tmp_path: Path, found: Any) -> None:
    write(tmp_path, found)
    assert receivers(tmp_path, NOW) is None


def test_only_known_receivers_and_short_texts_are_passed_on(tmp_path: Path) -> None:
    long = FARES | {"error": "x" * (TEXT_LIMIT + 1)}
    write(tmp_path, {"at": NOW, "receivers": {"syslog": long, "other": FARES}})
    found = receivers(tmp_path, NOW)
    assert found is not None and found.keys() == {"syslog"}
    assert len(found["syslog"]["error"]) == TEXT_LIMIT


def test_a_link_and_a_pipe_are_not_followed_and_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path, {"at": NOW, "receivers": {"syslog": FARES}})
    (tmp_path / FILE_NAME).rename(tmp_path / "elsewhere")
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    assert receivers(tmp_path, NOW) is None
    (tmp_path / FILE_NAME).unlink()
    os.mkfifo(tmp_path / FILE_NAME)
    assert receivers(tmp_path, NOW) is None


def test_a_person_reads_how_it_goes() -> None:
    assert _export(None) == []
    (silent,) = _export({})
    assert "does not answer" in silent
    broken = FARES | {"error": "no answer\x1b[2J in time", "error_since": NOW, "backlog": 7}
    well, ill = _export({"syslog": FARES, "webhook": broken})
    assert well.startswith(
        "  export       syslog to logs.example:6514 over TLS: 3 records sent, last "
    )
    assert well.endswith(", 0 waiting")
    assert ", 7 waiting; since 2025-06-15 " in ill and "no answer\ufffd[2J in time" in ill
