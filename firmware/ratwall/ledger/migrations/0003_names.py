"""Schema version 3: names that were asked for, their addresses, who asked; the name of an
incident's server."""

from typing import Any

from peewee import IntegerField, Model, TextField


def up(migrator: Any, db: Any) -> None:
    """Make the tables and the column."""

    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Name(Base):
        name = TextField(unique=True)
        first_seen = IntegerField()
        last_seen = IntegerField(index=True)

    class Resolution(Base):
        name = TextField()
        address = TextField(index=True)
        first_seen = IntegerField()
        last_seen = IntegerField(index=True)

        class Meta:
            indexes = ((("name", "address"), True),)

    class Lookup(Base):
        name = TextField()
        device = TextField()
        first_seen = IntegerField()
        last_seen = IntegerField(index=True)

        class Meta:
            indexes = ((("name", "device"), True),)

    db.create_tables([Name, Resolution, Lookup])
    migrator.migrate(migrator.add_column("incident", "name", TextField(null=True)))
