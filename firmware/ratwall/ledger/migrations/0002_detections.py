"""Schema version 2: detections, what was found over time of an incident."""

from typing import Any

from peewee import ForeignKeyField, IntegerField, Model, TextField


def up(migrator: Any, db: Any) -> None:
    """Make the table; `migrator` is not needed for a new one."""

    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Incident(Base):
        opened = IntegerField()

    class Detection(Base):
        incident = ForeignKeyField(Incident)
        time = IntegerField()
        rule = TextField()
        score = IntegerField()
        verdict = TextField()
        facts = TextField()

    db.create_tables([Detection])
