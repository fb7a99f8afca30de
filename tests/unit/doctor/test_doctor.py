"""The doctor: names leftovers, foreign marks and a lone device; cleans up only when nobody runs."""

import fcntl
import os
from argparse import Namespace
from pathlib import Path

import pytest

from ratwall.doctor import checks, command
from ratwall.doctor.checks import left_behind, rules_with_our_bits
from ratwall.errors import ExitCode, UsageError
from ratwall.kernel import undo
from ratwall.kernel.undo import Journal, Undo

MASK = 0xFF000000

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="asks the kernel: needs root")


@pytest.mark.parametrize(
    ("rule", "touches"),
    [
        ("meta mark set meta mark | 0x00000010", False),
        ("meta mark set meta mark | 0x01000000", True),
        ("meta mark set meta mark & 0x00ffffff", False),
        ("meta mark & 0xff000000 == 0x00000000 accept", False),
        ("meta mark & 0xff000000 == 0x02000000 accept", True),
        ("ct mark 0x00000001 accept", False),
        ("meta mark set 0x00000001", True),  # overwrites every bit
        ("meta mark set mark or 0x2", False),
        ("meta mark set mark or 0x2000000", True),
        ("ct mark set 0x0", True),
        ("tcp dport 443 accept", False),
    ],
)
def test_which_rules_of_others_touch_our_bits(rule: str, touches: bool) -> None:
    text = f"table inet other {{\n\tchain c {{\n\t\t{rule}\n\t}}\n}}\n"
    found = list(rules_with_our_bits(text, MASK))
    assert found == ([("table inet other", rule)] if touches else [])


def test_our_own_rules_are_not_foreign() -> None:
    text = "table inet ratwall {\n\t\tmeta mark set 0x01000000\n}\n"
    assert list(rules_with_our_bits(text, MASK)) == []


def options(state: Path, *, clean: bool = False) -> Namespace:
    return Namespace(state_dir=state, clean=clean, json=False)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "undo.jsonl"


@needs_root
def test_leftovers_are_named_and_cleaned(
    journal: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaned: list[str] = []
    monkeypatch.setitem(undo.STEPS, "bridge", lambda: cleaned.append("bridge"))
    Undo(Journal(journal, "killed")).add("bridge")
    assert command.run(options(journal.parents[1])) == ExitCode.FOUND
    assert "!! left behind by a killed run: bridge" in capsys.readouterr().out
    assert cleaned == []
    command.run(options(journal.parents[1], clean=True))
    assert cleaned == ["bridge"]
    assert "nothing left behind" in capsys.readouterr().out


@needs_root
def test_it_never_cleans_up_behind_a_ratwall_that_runs(journal: Path) -> None:
    Undo(Journal(journal, "running")).add("bridge")
    with (journal.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="Ratwall runs"):
            command.run(options(journal.parents[1], clean=True))
        (finding,) = left_behind(journal, running=True)
    assert journal.exists()
    assert not finding.problem


@pytest.mark.parametrize(("seen", "lone"), [(0, False), (1, True), (2, False)])
def test_a_single_device_means_that_addresses_are_translated_before_the_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: int, lone: bool
) -> None:
    class Closing:
        def close(self) -> None: ...

    (tmp_path / checks.FILE_NAME).touch()
    monkeypatch.setattr(checks, "open_ledger", lambda path, read_only: Closing())
    monkeypatch.setattr(checks.queries, "devices", lambda ledger: [{}] * seen)
    (finding,) = checks.devices(tmp_path)
    assert ("sits behind a router" in finding.text) is lone


def test_it_says_whether_the_fast_path_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is compiled" in checks.fast_path().text
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    missing = checks.fast_path()
    assert not missing.problem, "everything is inspected all the same"
    assert "setup.py build_ext" in missing.text
