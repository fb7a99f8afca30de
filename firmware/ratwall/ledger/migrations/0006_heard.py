"""Schema version 6: what was heard of observed connections that run."""

from typing import Any

from peewee import BooleanField, IntegerField, Model, TextField


def up(migrator: Any, db: Any) -> None:
    """Make the table; `migrator` is not needed for new ones."""

    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Heard(Base):
        client = TextField()
        client_port = IntegerField()
        server = TextField()
        server_port = IntegerField()
        last = IntegerField(index=True)
        named = BooleanField(null=True)
        tls_version = TextField(null=True)
        score = IntegerField()
        reasons = TextField()
        told = TextField(null=True)
        beats = TextField()

        class Meta:
            indexes = ((("client", "client_port", "server", "server_port"), True),)

    db.create_tables([Heard])
