"""Schema version 4: actions on a device by its MAC, and on a rule of detection."""

from typing import Any

from peewee import TextField


def up(migrator: Any, db: Any) -> None:
    """Add the columns; what older software wrote has none of the three."""
    for name in ("mac", "rule", "mode"):
        migrator.migrate(migrator.add_column("action", name, TextField(null=True)))
