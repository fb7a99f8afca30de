"""The ledger's file: opened, checked, migrated, set aside when it is broken.

Never decides what is written. One process writes (the controller); any number read, also as another
user who may write nothing: such a reader opens the ledger for each request and closes it again,
because the file under its path may have been set aside in between.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import peewee
from peewee import SqliteDatabase

from ratwall.errors import RatwallError
from ratwall.ledger.migrations import migrate
from ratwall.ledger.models import Note

FILE_NAME = "ledger.sqlite3"
FILE_MODE = 0o640  # the writer writes, the web user's group reads, nobody else looks
BUSY_SECONDS = 2  # a lock held longer than this is reported instead of waited for
CACHE_KIB = 4096  # SQLite's page cache a connection: hot indexes fit, 512 MB boxes do not notice
# A reader's, which is gone with its question: what a page asks for fits.
READ_CACHE_KIB = 1024
WAL_BYTES = 16 * 1024 * 1024  # the write-ahead log is cut back to this after a checkpoint
SET_ASIDE_KEPT = 2  # broken files kept for a rescue; each may be as large as the ledger's limit
SET_ASIDE_NOTE = "ledger_set_aside"  # the Note that says so; the page shows it
BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)  # a full or locked disk is not broken
NO_TRANSACTION = "no transaction is active"  # how SQLite says so; it has no code of its own
PRIMARY_CODE = 0xFF  # SQLite keeps the primary error code in the lowest byte of an extended one


class LedgerError(RatwallError):
    """The ledger cannot be opened, read or written; the text says why."""


class LedgerRefusedError(LedgerError):
    """The ledger works but refuses this row: it contradicts the rows that are there."""


class Ledger:
    """An open ledger. Queries are built on the models without a database and run here."""

    def __init__(self, path: Path, database: Any, *, read_only: bool) -> None:
        self.path = path
        self.database = database
        self.read_only = read_only
        self._inode = _inode(path)
        self._inserts: dict[tuple[Any, tuple[str, ...]], str] = {}

    def rows(self, query: Any) -> list[dict[str, Any]]:
        """Return all rows of a select as plain dicts; LedgerError if they cannot be read."""
        with self._complaints("read"):
            return list(query.bind(self.database).dicts())

    def row(self, query: Any) -> dict[str, Any] | None:
        """Return the first row of a select, None if there is none; LedgerError as `rows`."""
        found = self.rows(query.limit(1))
        return found[0] if found else None

    def value(self, query: Any) -> Any:
        """Return the first column of the first row, None without rows; LedgerError as `rows`."""
        with self._complaints("read"):
            return query.bind(self.database).scalar()

    def execute(self, query: Any) -> int:
        """Run an insert, update or delete; return rows changed (or the id); LedgerError if not."""
        with self._complaints("write"):
            return int(query.bind(self.database).execute() or 0)

    def insert(self, model: Any, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows with the same columns, all or none; LedgerError as `execute`.

        The same as insert queries, with their text made once for each set of columns: making it
        anew costs ten times what SQLite takes for the row.
        """
        names = tuple(rows[0])
        text = self._inserts.get((model, names))
        if text is None:
            columns = [f'"{model._meta.fields[name].column_name}"' for name in names]
            marks = ", ".join("?" for _ in names)
            table = model._meta.table_name
            text = f'INSERT INTO "{table}" ({", ".join(columns)}) VALUES ({marks})'  # noqa: S608
            self._inserts[model, names] = text
        self.execute_many(text, [tuple(row.values()) for row in rows])

    def execute_many(self, statement: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run one statement of SQLite's own with each of the rows; LedgerError as `execute`.

        What comes by the hundred is not worth a query's making for each.
        """
        try:
            self.database.connection().executemany(statement, rows)
        except sqlite3.Error as error:
            refused = isinstance(error, sqlite3.IntegrityError)
            kind = LedgerRefusedError if refused else LedgerError
            raise kind(f"{self.path}: cannot write the ledger: {error}") from error

    def tuples(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a statement of SQLite's own; LedgerError if they cannot be read."""
        with self._complaints("read"):
            return list(self.database.execute_sql(statement, values).fetchall())

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement of SQLite's own, such as a pragma; LedgerError if it fails."""
        with self._complaints("use"):
            return list(self.database.execute_sql(statement).fetchall())

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[None]:
        """Commit what the block writes, all or nothing; durable: it is on the disk on return.

        Not durable means: after a power cut the last transactions may be missing, never torn.
        """
        with self._complaints("write"):
            # SQLite takes a change of `synchronous` only outside of a transaction.
            self.database.execute_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            with self.database.atomic("IMMEDIATE"):
                yield

    def is_in_place(self) -> bool:
        """Say whether the path still leads to the file that was opened."""
        return _inode(self.path) == self._inode

    def bytes_used(self) -> int:
        """Return how many bytes of the file hold data (free pages not counted)."""
        page_size = self.sql("PRAGMA page_size")[0][0]
        pages = self.sql("PRAGMA page_count")[0][0] - self.sql("PRAGMA freelist_count")[0][0]
        return int(page_size * pages)

    def give_back(self, pages: int) -> None:
        """Shorten the file by at most so many free pages; LedgerError if it cannot be written."""
        # This pragma works one page a step and returns no row: only a script steps to its end.
        script = f"PRAGMA incremental_vacuum({pages})"
        try:
            self.database.connection().executescript(script)
        except sqlite3.Error as error:
            raise LedgerError(f"{self.path}: cannot shorten the ledger: {error}") from error

    def close(self) -> None:
        """Close this thread's connection."""
        self.database.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _complaints(self, verb: str) -> Iterator[None]:
        try:
            yield
        except peewee.DatabaseError as error:
            kind = LedgerRefusedError if isinstance(error, peewee.IntegrityError) else LedgerError
            # peewee repeats the cause as the first of its arguments; the last is the bare text.
            first = _first_cause(error)
            if isinstance(first, LedgerError):
                raise first from error
            reason = first.args[-1] if first.args else first
            raise kind(f"{self.path}: cannot {verb} the ledger: {reason}") from error


def _first_cause(error: BaseException) -> BaseException:
    """Return what went wrong before there was no transaction left to roll back.

    SQLite ends a transaction itself when the disk is full, and then complains of being asked to.
    """
    while NO_TRANSACTION in str(error) and error.__context__ is not None:
        error = error.__context__
    return error


def _inode(path: Path) -> int | None:
    """Return which file the path leads to, None if to none."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def open_ledger(path: Path, read_only: bool = False, group: int | None = None) -> Ledger:
    """Open the ledger file at `path`; LedgerError if it cannot be had.

    For writing (one process): made if it is not there, checked, migrated; a broken file is renamed
    and a fresh one says so in a Note. `group`: the numeric group that may read it. Read-only:
    nothing is made or changed.
    """
    try:
        return _open_to_read(path) if read_only else _open_to_write(path, group)
    except (OSError, sqlite3.Error, peewee.DatabaseError) as error:
        raise LedgerError(f"{path}: cannot open the ledger: {error}") from error


def open_in_memory() -> Ledger:
    """Return an empty ledger that is gone when it is closed: for when the disk cannot be used."""
    database = SqliteDatabase(":memory:", pragmas={"foreign_keys": 1})
    migrate(database)
    return Ledger(Path(":memory:"), database, read_only=False)


def _open_to_read(path: Path) -> Ledger:
    if not path.exists():
        raise LedgerError(f"{path}: there is no ledger yet: it is made when Ratwall first runs")
    # After a clean stop there is no write-ahead log. A reader who may not create one beside the
    # file then reads it as it lies; a writer that starts meanwhile makes a log, and the next
    # open takes the usual way.
    alone = not Path(f"{path}-wal").exists() and not os.access(path.parent, os.W_OK)
    uri = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if alone else ''}"
    database = SqliteDatabase(
        uri,
        uri=True,
        timeout=BUSY_SECONDS,
        pragmas={"query_only": 1, "cache_size": -READ_CACHE_KIB},
    )
    database.connect()
    ledger = Ledger(path, database, read_only=True)
    try:
        ledger.sql("SELECT count(*) FROM sqlite_master")  # the first read is what opens the file
    except LedgerError:
        ledger.close()
        raise
    return ledger


def _open_to_write(path: Path, group: int | None) -> Ledger:
    notice = None
    if path.exists() and (defect := _find_defect(path)) is not None:
        aside = _set_aside(path)
        notice = f"the ledger was broken ({defect}) and was set aside as {aside.name}"
    _make_file(path, group)
    database = SqliteDatabase(
        str(path),
        timeout=BUSY_SECONDS,
        pragmas=[
            ("auto_vacuum", "incremental"),  # only counts before the first table is made
            ("journal_mode", "wal"),
            ("synchronous", "NORMAL"),
            ("foreign_keys", 1),
            ("cache_size", -CACHE_KIB),
            ("journal_size_limit", WAL_BYTES),
        ],
    )
    ledger = Ledger(path, database, read_only=False)
    try:
        migrate(database)
        _share(path, group)
        if notice is not None:
            with ledger.transaction(durable=True):
                ledger.execute(Note.insert(key=SET_ASIDE_NOTE, value=notice).on_conflict_replace())
    except BaseException:
        database.close()
        raise
    return ledger


def _find_defect(path: Path) -> str | None:
    """Return why SQLite calls the file broken, None if it is sound; sqlite3.Error for the rest."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
    try:
        answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & PRIMARY_CODE in BROKEN:
            return str(error)
        raise
    finally:
        connection.close()
    return None if answer == "ok" else str(answer).splitlines()[0]


def _set_aside(path: Path) -> Path:
    """Rename a broken ledger and its log, drop the oldest such files; return the new path."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.broken-{stamp}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        companion = Path(f"{path}{suffix}")
        if companion.exists():
            companion.rename(f"{aside}{suffix}")
    kept = sorted(
        old for old in path.parent.glob(f"{path.name}.broken-*") if old.name.endswith("Z")
    )
    for old in kept[:-SET_ASIDE_KEPT]:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{old}{suffix}").unlink(missing_ok=True)
    return aside


def _make_file(path: Path, group: int | None) -> None:
    """Make the file with its rights before SQLite does: log and index inherit them."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE_MODE)
    try:
        os.fchmod(descriptor, FILE_MODE)
        if group is not None:
            os.fchown(descriptor, -1, group)
    finally:
        os.close(descriptor)


def _share(path: Path, group: int | None) -> None:
    """Give log and index to the group too: SQLite itself does so only when it runs as root."""
    for suffix in ("-wal", "-shm"):
        companion = Path(f"{path}{suffix}")
        if group is not None and companion.exists():
            os.chown(companion, -1, group)
