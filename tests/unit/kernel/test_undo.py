"""The journal: written before a change, obeyed once, by whom it concerns, and only for our own."""

import json
import os
from pathlib import Path

import pytest

from ratwall.kernel import undo
from ratwall.kernel.undo import Journal, JournalError, Undo, leftovers, take_back


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was undone, in order."""
    steps: list[str] = []
    for kind in ("tables", "route", "bridge"):
        monkeypatch.setitem(
            undo.STEPS, kind, lambda *words, k=kind: steps.append(" ".join([k, *words]))
        )
    return steps


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "undo.jsonl"


def test_an_orderly_end_undoes_in_reverse_and_leaves_no_journal(
    path: Path, done: list[str]
) -> None:
    steps = Undo(Journal(path, "mine"))
    steps.add("tables")
    steps.add("route", "-4")
    assert path.stat().st_mode & 0o777 == 0o600
    assert steps.restore() == []
    assert done == ["route -4", "tables"]
    assert not path.exists()
    assert steps.restore() == [] and done == ["route -4", "tables"], "once only"


def test_after_a_kill_another_process_undoes_the_same(path: Path, done: list[str]) -> None:
    steps = Undo(Journal(path, "mine"))
    steps.add("tables")
    steps.add("route", "-6")
    assert leftovers(path) == ["tables", "route -6"]
    assert take_back(path) == []
    assert done == ["route -6", "tables"]
    assert take_back(path) is None, "there is nothing left"


def test_the_guard_of_an_older_run_leaves_the_next_runs_changes_alone(
    path: Path, done: list[str]
) -> None:
    Undo(Journal(path, "next")).add("tables")
    assert take_back(path, "older") is None
    assert done == []
    assert take_back(path, "next") == []


def test_a_step_that_fails_is_told_and_keeps_no_other_from_being_taken(
    path: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Undo(Journal(path, "mine"))
    for kind in ("tables", "empty table", "route"):
        steps.add(kind)  # "empty table" wants two words
    (failure,) = take_back(path) or []
    assert failure.startswith("could not undo empty table:")
    assert done == ["route", "tables"]


def test_a_line_cut_short_was_for_a_change_never_made(path: Path, done: list[str]) -> None:
    Undo(Journal(path, "mine")).add("tables")
    with path.open("a") as file:
        file.write('["route", "-')
    assert take_back(path) == []
    assert done == ["tables"]


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"namespace": 1}, "another network namespace"),
        (None, "unreadable"),
    ],
)
def test_what_is_not_for_this_place_is_not_obeyed(
    path: Path, done: list[str], header: dict[str, int] | None, says: str
) -> None:
    Undo(Journal(path, "mine")).add("tables")
    first, *rest = path.read_text().splitlines()
    text = "nonsense" if header is None else json.dumps(json.loads(first) | header)
    path.write_text("\n".join([text, *rest]) + "\n")
    with pytest.raises(JournalError, match=says):
        take_back(path)
    assert done == []
    assert path.exists()


def test_a_journal_from_before_a_reboot_is_forgotten(path: Path, done: list[str]) -> None:
    Undo(Journal(path, "mine")).add("tables")
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(first) | {"boot": "other"}), *rest]) + "\n")
    assert take_back(path) is None
    assert done == []
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_only_roots_own_journal_is_obeyed(path: Path, done: list[str]) -> None:
    Undo(Journal(path, "mine")).add("tables")
    os.chown(path, 61_841, 61_841)
    with pytest.raises(JournalError, match="not written by root"):
        take_back(path)
    path.rename(path.with_suffix(".kept"))
    path.symlink_to(path.with_suffix(".kept"))
    with pytest.raises(OSError, match="symbolic links"):
        take_back(path)
    assert done == []


def test_a_trap_beside_the_journal_catches_nobody(path: Path, done: list[str]) -> None:
    """The controller owns the directory: a link makes root write no file, a pipe stops nobody."""
    Undo(Journal(path, "mine")).add("tables")
    lock, target = path.with_suffix(".lock"), path.with_name("nologin")
    lock.symlink_to(target)
    with pytest.raises(JournalError, match=r"undo\.lock: .*; remove it"):
        take_back(path)
    assert not target.exists()
    lock.unlink()
    os.mkfifo(lock)
    with pytest.raises(JournalError, match="is not a file of root's alone; remove it"):
        take_back(path)
    assert done == []
    lock.unlink()
    assert take_back(path) == []


def test_nothing_is_written_into_a_file_that_has_another_name(path: Path) -> None:
    other = path.with_name("somebody-elses")
    other.write_text("kept\n")
    path.hardlink_to(other)
    steps = Undo(Journal(path, "mine"))
    steps.add("tables")
    assert other.read_text() == "kept\n"
    assert steps.problem == f"{path}: is not a file of root's alone"


@pytest.mark.parametrize(
    "step",
    [
        ("sysctl", "kernel/core_pattern", "|/bin/evil"),
        ("sysctl", "net/netfilter/nf_conntrack_../../../kernel/core_pattern", "x"),
        ("queue rule", "sh", "-c", "NFQUEUE"),
        ("queue rule", "iptables", "-F"),
        ("run", "sh"),
    ],
)
def test_a_journal_can_say_nothing_but_what_ratwall_changes(
    path: Path, step: tuple[str, ...]
) -> None:
    Undo(Journal(path, "mine")).add(*step)
    (failure,) = take_back(path) or []
    assert failure.startswith("could not undo")


def test_without_room_for_the_journal_the_change_is_still_undone(
    tmp_path: Path, done: list[str]
) -> None:
    steps = Undo(Journal(tmp_path / "missing" / "undo.jsonl", "mine"))
    steps.add("tables")
    assert steps.problem is not None and "undo.jsonl" in steps.problem
    assert steps.restore() == []
    assert done == ["tables"]
