"""Schema version 7: what has happened to the box, and a journal of what is worth telling others.

The journal is written by triggers, in the transaction of what it speaks of: it can miss nothing,
and costs nothing in the code of who writes. A row names what happened to which row; who reads it
reads that row as it stands then. One incident is in it twice at most (opened, changed), so it never
outgrows what it speaks of. AUTOINCREMENT: a number is never given twice, or a reader who has seen
it would pass by what has it now.
"""

from typing import Any, Final

from peewee import AutoField, IntegerField, Model, TextField

# UTC microseconds; SQLite's own clock, exact to the millisecond.
NOW: Final = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
# What makes an incident news: its state, what explains it, its name and note; and while it goes on,
# once an hour that it does.
MARK: Final = (
    "NEW.state || '|' || NEW.score || '|' || coalesce(NEW.family, '') || '|' || "
    "coalesce(NEW.name, '') || '|' || length(coalesce(NEW.note, '')) || '|' || "
    "(NEW.updated / 3600000000)"
)
TOLD: Final = (
    "(SELECT mark FROM change WHERE subject = NEW.id "
    "AND kind IN ('incident_opened', 'incident_changed') ORDER BY id DESC LIMIT 1)"
)


def _noted(kind: str, when: str, mark: str = "''", subject: str = "NEW.id") -> str:
    """Return the trigger, or without a `when` the statement, that notes a change."""
    note = (
        f"INSERT OR REPLACE INTO change (time, kind, subject, mark) "  # noqa: S608 (no stranger's text)
        f"VALUES ({NOW}, '{kind}', {subject}, {mark})"
    )
    return f"CREATE TRIGGER change_{kind} AFTER {when} BEGIN {note}; END" if when else note


def _gone(table: str, *kinds: str) -> str:
    """Return the trigger that takes out of the journal what speaks of a row that is gone."""
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    return (
        f'CREATE TRIGGER change_{table}_gone AFTER DELETE ON "{table}" BEGIN '  # noqa: S608
        f"DELETE FROM change WHERE kind IN ({listed}) AND subject = OLD.id; END"
    )


STATEMENTS: Final = (
    "CREATE TABLE change (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, "
    "kind TEXT NOT NULL, subject INTEGER NOT NULL, mark TEXT NOT NULL)",
    "CREATE UNIQUE INDEX change_kind_subject ON change (kind, subject)",
    # Which ledger this is: numbers of another one say nothing here.
    _noted("ledger", "", "lower(hex(randomblob(16)))", subject="0"),
    _noted("incident_opened", "INSERT ON incident", MARK),
    # "blocking" is what each repeat says for a moment before it is blocked.
    _noted(
        "incident_changed",
        f"UPDATE ON incident WHEN NEW.state <> 'blocking' AND {MARK} IS NOT {TOLD}",
        MARK,
    ),
    _gone("incident", "incident_opened", "incident_changed"),
    _noted("action_taken", 'INSERT ON "action"'),
    _noted(
        "action_undone",
        'UPDATE OF undone ON "action" WHEN NEW.undone IS NOT NULL AND OLD.undone IS NULL',
    ),
    _gone("action", "action_taken", "action_undone"),
    _noted("box_state", "INSERT ON box_state"),
    _gone("box_state", "box_state"),
)


def up(migrator: Any, db: Any) -> None:
    """Make both tables and the triggers; `migrator` is not needed for new ones."""

    class BoxState(Model):
        id = AutoField()
        time = IntegerField(index=True)
        state = TextField()
        reason = TextField(null=True)

        class Meta:
            database = db
            legacy_table_names = False

    db.create_tables([BoxState])
    for statement in STATEMENTS:
        db.execute_sql(statement)
