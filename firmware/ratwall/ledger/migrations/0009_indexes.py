"""Schema version 9: indexes of what the admin page asks for, none of them on flows.

A flow is written for each handshake, and a ledger may have millions of them: an index more would
cost every connection of the office something, and making it would hold the first start after an
update up. Incidents and actions are few.
"""

from typing import Any, Final

STATEMENTS: Final = (
    # How many incidents a device has, and its highest score, without looking at one of them.
    "CREATE INDEX incident_device_score ON incident (device_id, score)",
    "CREATE INDEX incident_server ON incident (server)",
    # What is in force is a handful among years of what was.
    'CREATE INDEX action_in_force ON "action" (expires) WHERE undone IS NULL',
)


def up(migrator: Any, db: Any) -> None:
    """Make the indexes; `migrator` is not needed for them."""
    for statement in STATEMENTS:
        db.execute_sql(statement)
