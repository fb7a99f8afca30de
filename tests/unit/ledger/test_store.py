"""The ledger's file: rights, health, migrations, readers, a disk that fails."""

import os
import re
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ratwall.ledger import store
from ratwall.ledger.migrations import DIRECTORY, migrate
from ratwall.ledger.models import (
    BeaconScore,
    BoxState,
    Connection,
    Contact,
    Detection,
    Device,
    Heard,
    LedgerModel,
    Lookup,
    Name,
    Note,
    Resolution,
)
from ratwall.ledger.store import (
    SET_ASIDE_KEPT,
    SET_ASIDE_NOTE,
    Ledger,
    LedgerError,
    LedgerRefusedError,
    open_in_memory,
    open_ledger,
)

MODELS = LedgerModel.__subclasses__()
# Tables that later migrations made.
SINCE_VERSION_1 = (
    Detection,
    Name,
    Resolution,
    Lookup,
    Contact,
    Connection,
    BeaconScore,
    Heard,
    BoxState,
)
VERSION_1 = Path(__file__).parent / "version1.sql"
FIXTURE_MAKER = Path(__file__).parents[3] / "scripts" / "make-ledger-fixture"  # made it
READER = """
import os, sys
from pathlib import Path
from ratwall.ledger import queries
from ratwall.ledger.store import open_ledger
os.setgroups([])
os.setgid(65534)
os.setuid(65534)  # after the imports: the interpreter itself may be root's alone
with open_ledger(Path(sys.argv[1]), read_only=True) as ledger:
    print([device["address"] for device in queries.devices(ledger)])
"""
DEVICE = {"address": "192.168.1.10", "first_seen": 1, "last_seen": 1}


def read_as_nobody(path: Path) -> subprocess.CompletedProcess[str]:
    """Read the devices in a process that has neither root's rights nor the writer's group."""
    return subprocess.run(
        [sys.executable, "-c", READER, str(path)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        timeout=60,
    )


@pytest.fixture
def shared(open_folder: Path) -> Path:
    """Return a path that others may reach."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    return open_folder / store.FILE_NAME


def test_a_new_ledger_is_written_ahead_and_readable_by_its_group_only(path: Path) -> None:
    with open_ledger(path) as ledger:
        assert ledger.sql("PRAGMA journal_mode") == [("wal",)]
        assert ledger.sql("PRAGMA synchronous") == [(1,)]  # NORMAL
        assert ledger.sql("PRAGMA foreign_keys") == [(1,)]
        for suffix in ("", "-wal", "-shm"):
            assert stat.S_IMODE(Path(f"{path}{suffix}").stat().st_mode) == 0o640


def test_what_was_written_is_there_after_reopening(path: Path) -> None:
    with open_ledger(path) as ledger:
        ledger.execute(Device.insert(**DEVICE))
    with open_ledger(path) as ledger:
        assert ledger.rows(Device.select(Device.address)) == [{"address": "192.168.1.10"}]
        assert ledger.rows(Note.select()) == []


def test_a_durable_transaction_is_full_and_the_next_one_is_not(ledger: Ledger) -> None:
    with ledger.transaction(durable=True):
        assert ledger.sql("PRAGMA synchronous") == [(2,)]  # FULL
    with ledger.transaction(durable=False):
        assert ledger.sql("PRAGMA synchronous") == [(1,)]


def test_a_transaction_is_all_or_nothing(ledger: Ledger) -> None:
    with pytest.raises(LedgerRefusedError, match="NOT NULL"), ledger.transaction(durable=True):
        ledger.execute(Device.insert(**DEVICE))
        ledger.execute(Device.insert(address="192.168.1.11"))
    assert ledger.rows(Device.select()) == []


def test_a_reader_in_the_group_reads_while_the_writer_is_at_work(shared: Path) -> None:
    with open_ledger(shared, group=65534) as ledger:
        ledger.execute(Device.insert(**DEVICE))
        answer = read_as_nobody(shared)
        assert answer.stdout == "['192.168.1.10']\n", answer.stderr
        assert shared.stat().st_gid == 65534
        assert stat.S_IMODE(shared.stat().st_mode) == 0o640  # read it may, write it may not


def test_a_reader_in_the_group_reads_after_the_writer_has_left(shared: Path) -> None:
    with open_ledger(shared, group=65534) as ledger:
        ledger.execute(Device.insert(**DEVICE))
    assert not Path(f"{shared}-wal").exists()
    answer = read_as_nobody(shared)
    assert answer.stdout == "['192.168.1.10']\n", answer.stderr


def test_a_stranger_reads_nothing(shared: Path) -> None:
    with open_ledger(shared) as ledger:
        ledger.execute(Device.insert(**DEVICE))
        answer = read_as_nobody(shared)
        assert answer.returncode != 0
        assert "cannot open the ledger: unable to open database file" in answer.stderr


def test_a_read_only_ledger_refuses_to_write(path: Path, ledger: Ledger) -> None:
    with open_ledger(path, read_only=True) as reader, pytest.raises(LedgerError, match="readonly"):
        reader.execute(Device.insert(**DEVICE))


def test_reading_a_ledger_that_is_not_there_makes_none(path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger yet"):
        open_ledger(path, read_only=True)
    assert not path.exists()


@pytest.mark.parametrize("damage", ["not a database", "torn pages", "empty pages"])
def test_a_broken_ledger_is_set_aside_and_a_fresh_one_says_so(path: Path, damage: str) -> None:
    with open_ledger(path) as ledger:
        for number in range(500):
            ledger.execute(Device.insert(**{**DEVICE, "mac": f"{number:012x}"}))
    raw = bytearray(path.read_bytes())
    if damage == "not a database":
        raw[:] = b"#" * len(raw)
    else:
        middle = len(raw) // 2
        raw[middle : middle + 20_000] = (b"\xa5" if damage == "torn pages" else b"\0") * 20_000
    path.write_bytes(raw)

    with open_ledger(path) as ledger:
        assert ledger.rows(Device.select()) == []
        notice = ledger.value(Note.select(Note.value).where(Note.key == SET_ASIDE_NOTE))
    (aside,) = path.parent.glob("ledger.sqlite3.broken-*")
    assert re.fullmatch(r"ledger\.sqlite3\.broken-\d{8}T\d{6}Z", aside.name)
    assert aside.read_bytes() == raw  # as it was found, for a rescue
    assert "the ledger was broken (" in notice
    assert notice.endswith(f"and was set aside as {aside.name}")
    assert "\n" not in notice


def test_only_a_few_broken_ledgers_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(SET_ASIDE_KEPT + 2):
        monkeypatch.setattr(store.time, "strftime", lambda *_, n=number: f"2026010{n}T000000Z")
        path.write_bytes(b"#" * 8192)
        open_ledger(path).close()
    kept = sorted(old.name for old in path.parent.glob("*.broken-*"))
    assert [name[-len("20260102T000000Z") :] for name in kept] == [
        "20260102T000000Z",
        "20260103T000000Z",
    ]


def test_an_empty_file_is_a_new_ledger_not_a_broken_one(path: Path) -> None:
    path.touch()
    with open_ledger(path) as ledger:
        assert ledger.rows(Note.select()) == []


def test_a_locked_ledger_is_not_called_broken(
    path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.1)
    ledger.close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(LedgerError, match="cannot open the ledger: database is locked"):
        open_ledger(path)
    other.close()
    assert list(path.parent.glob("*.broken-*")) == []


def test_a_directory_that_is_not_there_is_one_line_of_error(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"cannot open the ledger: .*No such file"):
        open_ledger(tmp_path / "none" / "ledger.sqlite3")


def test_the_migrations_make_what_the_models_say(ledger: Ledger) -> None:
    for model in MODELS:
        made = {column.name for column in ledger.database.get_columns(model._meta.table_name)}
        assert made == {field.column_name for field in model._meta.sorted_fields}, model


def test_the_fixture_is_what_its_script_makes() -> None:
    made = subprocess.run(
        [sys.executable, str(FIXTURE_MAKER), "1"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        timeout=60,
    ).stdout
    assert contents(made) == contents(VERSION_1.read_text())


def contents(script: str) -> list[tuple[object, ...]]:
    """Return tables, indexes and rows that a dump makes, in whatever order it makes them."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(script)
    found = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
    for kind, name, _ in list(found):
        if kind == "table":
            found += connection.execute(f"SELECT * FROM {name}").fetchall()
    connection.close()
    return found


def test_version_1_comes_through_all_migrations_with_its_rows(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1.read_text())
    connection.close()
    with open_ledger(path) as ledger:
        for model in MODELS:
            assert len(ledger.rows(model.select())) == (model not in SINCE_VERSION_1), model
        applied = ledger.sql("SELECT name FROM schema_migration ORDER BY id")
    assert applied == [(script.stem,) for script in sorted(DIRECTORY.glob("0*.py"))]


def test_a_ledger_of_newer_software_is_still_read_and_written(path: Path) -> None:
    # An update was rolled back: the newer software had added a column and its migration's name.
    with open_ledger(path) as ledger:
        ledger.database.execute_sql("ALTER TABLE device ADD COLUMN colour TEXT")
        ledger.database.execute_sql(
            "INSERT INTO schema_migration (name, applied) VALUES ('9999_colour', '2030-01-01')"
        )
    with open_ledger(path) as ledger:
        ledger.execute(Device.insert(**DEVICE))
        assert len(ledger.rows(Device.select())) == 1


def test_a_migration_that_fails_changes_nothing(path: Path, tmp_path: Path) -> None:
    scripts = tmp_path / "migrations"
    scripts.mkdir()
    (scripts / "9999_half.py").write_text(
        "def up(migrator, db):\n"
        "    db.execute_sql('ALTER TABLE device ADD COLUMN colour TEXT')\n"
        "    db.execute_sql('ALTER TABLE missing ADD COLUMN colour TEXT')\n"
    )
    with open_ledger(path) as ledger:
        with pytest.raises(Exception, match="no such table: missing"):
            migrate(ledger.database, scripts)
        assert "colour" not in {column.name for column in ledger.database.get_columns("device")}
        applied = ledger.sql("SELECT name FROM schema_migration")
        assert len(applied) == len(list(DIRECTORY.glob("0*.py")))


def test_a_ledger_in_memory_is_a_whole_one() -> None:
    with open_in_memory() as ledger:
        ledger.execute(Device.insert(**DEVICE))
        assert len(ledger.rows(Device.select())) == 1
