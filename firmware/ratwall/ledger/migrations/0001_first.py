"""Schema version 1: devices, certificates, incidents, flows, actions, audit, rollups, memory."""

from typing import Any

from peewee import BlobField, BooleanField, ForeignKeyField, IntegerField, Model, TextField


def up(migrator: Any, db: Any) -> None:
    """Make the first tables; `migrator` is not needed for new tables."""

    class Base(Model):
        class Meta:
            database = db
            legacy_table_names = False

    class Device(Base):
        mac = TextField(null=True, unique=True)
        address = TextField(index=True)
        name = TextField(null=True)
        first_seen = IntegerField()
        last_seen = IntegerField()

    class Certificate(Base):
        sha256 = TextField(unique=True)
        sha1 = TextField()
        der = BlobField(null=True)
        subject = TextField()
        issuer = TextField()
        serial = TextField()
        not_before = TextField(null=True)
        not_after = TextField(null=True)
        key_type = TextField()
        key_bits = IntegerField()
        signature_algorithm = TextField()
        self_issued = BooleanField()
        first_seen = IntegerField()
        last_seen = IntegerField()

    class Incident(Base):
        opened = IntegerField()
        updated = IntegerField(index=True)
        device = ForeignKeyField(Device)
        server = TextField()
        server_port = IntegerField()
        family = TextField(null=True)
        score = IntegerField()
        headline = TextField()
        state = TextField(index=True)
        count = IntegerField()
        certificate = ForeignKeyField(Certificate, null=True)
        evidence = TextField()
        note = TextField(null=True)

    class Flow(Base):
        start = IntegerField(index=True)
        end = IntegerField(null=True)
        device = ForeignKeyField(Device)
        client = TextField()
        client_port = IntegerField()
        server = TextField(index=True)
        server_port = IntegerField()
        sni = TextField(null=True)
        tls_version = TextField(null=True)
        ja3 = TextField(null=True)
        ja4 = TextField(null=True)
        ja3s = TextField(null=True)
        resumed = BooleanField()
        certificate = ForeignKeyField(Certificate, null=True)
        score = IntegerField()
        verdict = TextField(index=True)
        flow_class = TextField()
        family = TextField(null=True)
        evidence = TextField()
        enforced = BooleanField()
        proven = BooleanField()
        incident = ForeignKeyField(Incident, null=True)

    class Action(Base):
        created = IntegerField()
        kind = TextField()
        author = TextField()
        reason = TextField()
        device = TextField(null=True)
        server = TextField(null=True)
        server_port = IntegerField(null=True)
        certificate_sha256 = TextField(null=True)
        expires = IntegerField(null=True)
        undone = IntegerField(null=True)
        incident = ForeignKeyField(Incident, null=True)

    class AuditEntry(Base):
        time = IntegerField()
        author = TextField()
        event = TextField()
        detail = TextField()

    class HourlyRollup(Base):
        hour = IntegerField(primary_key=True)
        inspected = IntegerField()
        blocked = IntegerField()
        would_block = IntegerField()
        alerts = IntegerField()
        uninspected = IntegerField()

    class Note(Base):
        key = TextField(primary_key=True)
        value = TextField()

    class Remembered(Base):
        server = TextField()
        server_port = IntegerField()
        entry = TextField()

        class Meta:
            indexes = ((("server", "server_port"), True),)

    db.create_tables(
        [
            Device,
            Certificate,
            Incident,
            Flow,
            Action,
            AuditEntry,
            HourlyRollup,
            Note,
            Remembered,
        ]
    )
