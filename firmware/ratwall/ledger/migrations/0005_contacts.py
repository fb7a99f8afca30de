"""Schema version 5: contacts, the connections of the last day, what RITA makes of their rhythm.

No foreign keys: older software deletes devices without knowing of these tables.
"""

from typing import Any

from peewee import BooleanField, IntegerField, Model, TextField


def up(migrator: Any, db: Any) -> None:
    """Make the tables; `migrator` is not needed for new ones."""

    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Contact(Base):
        device = IntegerField()
        address = TextField()
        server = TextField(index=True)
        port = IntegerField()
        name = TextField(null=True)
        first_seen = IntegerField()
        last_seen = IntegerField(index=True)
        connections = IntegerField()
        failures = IntegerField()
        sent = IntegerField()
        received = IntegerField()
        handshakes = IntegerField()
        hour = IntegerField()
        in_hour = IntegerField()
        busiest = IntegerField()
        busiest_at = IntegerField()

        class Meta:
            indexes = ((("device", "server", "port"), True),)

    class Connection(Base):
        contact = IntegerField(index=True)
        client_port = IntegerField()
        start = IntegerField(index=True)
        sent = IntegerField()
        received = IntegerField()
        failed = BooleanField()

    class BeaconScore(Base):
        device = IntegerField()
        server = TextField()
        at = IntegerField(index=True)
        connections = IntegerField()
        regularity = IntegerField()
        total = IntegerField(null=True)
        times = IntegerField(null=True)
        sizes = IntegerField(null=True)
        duration = IntegerField(null=True)
        histogram = IntegerField(null=True)

        class Meta:
            indexes = ((("device", "server"), True),)

    db.create_tables([Contact, Connection, BeaconScore])
