"""The tables of the ledger as peewee models, in the words of the field.

Never opens a file and is bound to no database: a query built on these models is run by the
`Ledger` it is given to, so that tests and processes may hold several ledgers at once. All times
are UTC microseconds in integers. Metadata only: no column ever holds payload.
"""

from peewee import (
    AutoField,
    BlobField,
    BooleanField,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)


class LedgerModel(Model):
    """What all tables share: their name is the class's, in snake case."""

    class Meta:
        """No database here: see the module's docstring."""

        legacy_table_names = False


class Device(LedgerModel):
    """Something on the protected side: known by its MAC, else by its address."""

    id = AutoField()
    mac = TextField(null=True, unique=True)
    address = TextField(index=True)
    name = TextField(null=True)
    first_seen = IntegerField()
    last_seen = IntegerField()


class Certificate(LedgerModel):
    """A leaf certificate seen on the wire; `der` is kept from verdict `watch` on."""

    id = AutoField()
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


class Incident(LedgerModel):
    """What one device did with one server, all repeats together."""

    id = AutoField()
    opened = IntegerField()
    updated = IntegerField(index=True)
    device = ForeignKeyField(Device, backref="incidents")
    server = TextField()
    server_port = IntegerField()
    name = TextField(null=True)
    family = TextField(null=True)
    score = IntegerField()
    headline = TextField()
    state = TextField(index=True)
    count = IntegerField()
    certificate = ForeignKeyField(Certificate, null=True, backref="incidents")
    evidence = TextField()
    note = TextField(null=True)


class Flow(LedgerModel):
    """One judged TLS connection."""

    id = AutoField()
    start = IntegerField(index=True)
    end = IntegerField(null=True)
    device = ForeignKeyField(Device, backref="flows")
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
    certificate = ForeignKeyField(Certificate, null=True, backref="flows")
    score = IntegerField()
    verdict = TextField(index=True)
    flow_class = TextField()
    family = TextField(null=True)
    evidence = TextField()
    enforced = BooleanField()
    proven = BooleanField()
    incident = ForeignKeyField(Incident, null=True, backref="flows")


class Action(LedgerModel):
    """Something done about traffic, with author, reason, expiry (null: always) and undo."""

    id = AutoField()
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
    incident = ForeignKeyField(Incident, null=True, backref="actions")
    mac = TextField(null=True)
    rule = TextField(null=True)
    mode = TextField(null=True)


class Detection(LedgerModel):
    """What was found of an incident over time: by which rule, and the facts to draw it from."""

    id = AutoField()
    incident = ForeignKeyField(Incident, backref="detections")
    time = IntegerField()
    rule = TextField()
    score = IntegerField()
    verdict = TextField()
    facts = TextField()


class AuditEntry(LedgerModel):
    """Who did what, when: every change that a person or a rule made."""

    id = AutoField()
    time = IntegerField()
    author = TextField()
    event = TextField()
    detail = TextField()


class HourlyRollup(LedgerModel):
    """Counts of one hour; they outlive the flows they were counted from."""

    hour = IntegerField(primary_key=True)
    inspected = IntegerField(default=0)
    blocked = IntegerField(default=0)
    would_block = IntegerField(default=0)
    alerts = IntegerField(default=0)
    uninspected = IntegerField(default=0)


class Note(LedgerModel):
    """A few single facts by name, such as the last self-test."""

    key = TextField(primary_key=True)
    value = TextField()


class Remembered(LedgerModel):
    """One entry of the verdict memory: it outlives blocks and restarts."""

    id = AutoField()
    server = TextField()
    server_port = IntegerField()
    entry = TextField()

    class Meta:
        """One entry an endpoint."""

        indexes = ((("server", "server_port"), True),)


class Name(LedgerModel):
    """A name that devices asked a name server for."""

    id = AutoField()
    name = TextField(unique=True)
    first_seen = IntegerField()
    last_seen = IntegerField(index=True)


class Resolution(LedgerModel):
    """An address that a name server gave for a name."""

    id = AutoField()
    name = TextField()
    address = TextField(index=True)
    first_seen = IntegerField()
    last_seen = IntegerField(index=True)

    class Meta:
        """One row a pair."""

        indexes = ((("name", "address"), True),)


class Lookup(LedgerModel):
    """A device, by its address, that asked for a name."""

    id = AutoField()
    name = TextField()
    device = TextField()
    first_seen = IntegerField()
    last_seen = IntegerField(index=True)

    class Meta:
        """One row a pair."""

        indexes = ((("name", "device"), True),)


class Contact(LedgerModel):
    """What one device had to do with one port of a server, ever: counts, and its busiest hour.

    `device` is a Device's id, without a foreign key: see the migration. An hour is a start in UTC
    microseconds; `in_hour` and `busiest` count TLS handshakes.
    """

    id = AutoField()
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
        """One row a device, server and port."""

        indexes = ((("device", "server", "port"), True),)


class Connection(LedgerModel):
    """One connection of a contact that has ended; kept for a day."""

    id = AutoField()
    contact = IntegerField(index=True)
    client_port = IntegerField()
    start = IntegerField(index=True)
    sent = IntegerField()
    received = IntegerField()
    failed = BooleanField()


class Heard(LedgerModel):
    """What was heard of an observed connection that runs: its beats, and what else is known of it.

    Times and lengths of records, never what they hold. `reasons` are why it is observed.
    """

    id = AutoField()
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
        """One row a connection."""

        indexes = ((("client", "client_port", "server", "server_port"), True),)


class BeaconScore(LedgerModel):
    """How regular a device's connections with a server are: by our measure, and by RITA's.

    `regularity` is percent, the others are thousandths, null where RITA gives no score.
    """

    id = AutoField()
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
        """One row a device and server."""

        indexes = ((("device", "server"), True),)


class BoxState(LedgerModel):
    """When the box began to protect, to be bypassed, to be paused, and why."""

    id = AutoField()
    time = IntegerField(index=True)
    state = TextField()
    reason = TextField(null=True)


class Change(LedgerModel):
    """What is worth telling others, in the order it happened; written by triggers alone.

    `kind` says what happened to the row `subject`; the first of a ledger has the kind "ledger" and
    its mark is the ledger's own. See the migration.
    """

    id = AutoField()
    time = IntegerField()
    kind = TextField()
    subject = IntegerField()
    mark = TextField()

    class Meta:
        """An incident that changes again is news once."""

        indexes = ((("kind", "subject"), True),)
