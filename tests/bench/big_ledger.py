"""Make a ledger as large as years of a big office: 10 million flows, 50,000 incidents.

    python tests/bench/big_ledger.py BIG.sqlite3
    python tests/bench/big_ledger.py SMALL.sqlite3 --flows 1000000 --incidents 5000

For measuring (`tests/bench/pages.py`); no box ever grows so large, `[ledger] max_megabytes` sees to
it. Rows are made up, the same every time, a chunk at a time: the memory needed does not grow with
their number. All addresses are of documentation or private networks.
"""

import argparse
import itertools
import json
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ratwall.ledger.store import open_ledger

FLOWS, INCIDENTS = 10_000_000, 50_000
DEVICES = 200  # the largest office that one box is meant for has a quarter of it
SERVERS = 20_000
CERTIFICATES = 5_000
CONTACTS = 50_000  # as many as retention keeps
NAMES = 30_000
AUDIT = 100_000
FINDINGS_EACH = 3  # detections of an incident
ACTIONS_EACH = 2
IN_FORCE = 100  # actions that hold at the end
DAYS = 90  # as long as retention keeps flows
DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000
CHUNK = 20_000  # rows in one statement: some 20 MB
SEED = 6606
OF_INCIDENTS = 100  # one flow in so many belongs to an incident
SUSPICIOUS = 40  # one in so many is watched, or worse
EVIDENCE = json.dumps(
    [
        {"id": "certificate.self_signed", "points": 30, "text": "The server signed its certificate "
         "itself", "technique": None},
        {"id": "asyncrat.certificate", "points": 70, "text": "The certificate names AsyncRAT",
         "technique": "T1573.002"},
    ]
)  # fmt: skip
STATES = ("blocked", "alert", "would_block", "allowed", "released")
FAMILIES = ("AsyncRAT", "DcRat", "Sliver", "Cobalt Strike", None)


def main() -> None:
    """Make the file, then say how large it is and how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--flows", type=int, default=FLOWS)
    parser.add_argument("--incidents", type=int, default=INCIDENTS)
    options = parser.parse_args()
    if options.path.exists():
        sys.exit(f"{options.path}: is there already; give a new name, or remove it")
    began = time.monotonic()
    open_ledger(options.path).close()
    connection = sqlite3.connect(options.path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=off")  # nothing is lost but a file of nobody's
    connection.execute("PRAGMA synchronous=off")
    connection.execute("PRAGMA cache_size=-262144")
    fill(connection, options.flows, options.incidents, time.time_ns() // 1000)
    connection.close()
    size = options.path.stat().st_size / 1e9
    print(f"{options.path}: {size:.1f} GB in {time.monotonic() - began:.0f} s")


def fill(connection: sqlite3.Connection, flows: int, incidents: int, now: int) -> None:
    """Put the rows in; indexes of flows are made after them, which takes a tenth of the time."""
    office = Office(random.Random(SEED), now, flows, incidents)
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'flow'"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    for table, rows in office.tables():
        put(connection, table, rows)
        print(f"  {table}", flush=True)
    for name, statement in indexes:
        connection.execute(statement)
        print(f"  {name}", flush=True)


def put(connection: sqlite3.Connection, table: str, rows: Iterator[dict[str, Any]]) -> None:
    """Insert rows of one shape, a chunk in a transaction."""
    first = next(rows)
    names = ", ".join(f'"{name}"' for name in first)
    marks = ", ".join("?" * len(first))
    statement = f'INSERT INTO "{table}" ({names}) VALUES ({marks})'
    rest = (tuple(row.values()) for row in itertools.chain((first,), rows))
    while chunk := list(itertools.islice(rest, CHUNK)):
        connection.execute("BEGIN")
        connection.executemany(statement, chunk)
        connection.execute("COMMIT")


class Office:
    """Rows of an office that never was, table by table."""

    def __init__(self, dice: random.Random, now: int, flows: int, incidents: int) -> None:
        self.dice, self.now, self.flows, self.incidents = dice, now, flows, incidents
        self.began = now - DAYS * DAY_US

    def tables(self) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """Yield each table with its rows, in an order that foreign keys allow."""
        yield "device", self.devices()
        yield "certificate", self.certificates()
        yield "incident", self.all_incidents()
        yield "flow", self.all_flows()
        yield "detection", self.detections()
        yield "action", self.actions()
        yield "audit_entry", self.audit()
        yield "hourly_rollup", self.hours()
        yield "contact", self.contacts()
        yield "name", self.names()
        yield "resolution", self.resolutions()

    def devices(self) -> Iterator[dict[str, Any]]:
        for number in range(DEVICES):
            yield {
                "mac": f"02:00:5e:00:{number >> 8:02x}:{number & 255:02x}",
                "address": client(number),
                "name": f"PC-{number:03}" if number % 3 else None,
                "first_seen": self.began,
                "last_seen": self.now - self.dice.randrange(DAY_US),
            }

    def certificates(self) -> Iterator[dict[str, Any]]:
        for number in range(CERTIFICATES):
            host = host_name(number * 4)
            yield {
                "sha256": f"{number:064x}",
                "sha1": f"{number:040x}",
                "der": self.dice.randbytes(900) if number % 50 == 0 else None,
                "subject": f"CN={host},O=Example {number} Ltd",
                "issuer": f"CN=Example CA {number % 7},O=Example Trust",
                "serial": f"{number:032x}",
                "not_before": "2026-01-01T00:00:00Z",
                "not_after": "2027-01-01T00:00:00Z",
                "key_type": "rsa" if number % 2 else "ec",
                "key_bits": 2048 if number % 2 else 256,
                "signature_algorithm": "sha256WithRSAEncryption",
                "self_issued": number % 90 == 0,
                "first_seen": self.began,
                "last_seen": self.now - self.dice.randrange(DAYS * DAY_US),
            }

    def all_incidents(self) -> Iterator[dict[str, Any]]:
        for number in range(self.incidents):
            opened = self.began + DAYS * DAY_US * number // self.incidents
            server = self.dice.randrange(SERVERS)
            yield {
                "opened": opened,
                "updated": min(self.now, opened + self.dice.randrange(DAY_US)),
                "device_id": self.skewed(DEVICES) + 1,
                "server": address(server),
                "server_port": self.dice.choice((443, 6606, 8443)),
                "name": host_name(server),
                "family": self.dice.choice(FAMILIES),
                "score": self.dice.randrange(60, 101),
                "headline": f"A device tried to reach a remote-control server at {address(server)}",
                "state": self.dice.choice(STATES),
                "count": self.dice.randrange(1, 400),
                "certificate_id": self.dice.randrange(CERTIFICATES) + 1,
                "evidence": EVIDENCE,
                "note": None,
            }

    def all_flows(self) -> Iterator[dict[str, Any]]:
        dice = self.dice
        span = DAYS * DAY_US // self.flows
        for number in range(self.flows):
            server, start = self.skewed(SERVERS), self.began + span * number
            device = self.skewed(DEVICES)
            bad = number % SUSPICIOUS == 0
            incident = number % OF_INCIDENTS == 0
            old = number % 5 == 0
            yield {
                "start": start,
                "end": start + 400_000,
                "device_id": device + 1,
                "client": client(device),
                "client_port": 20_000 + number % 40_000,
                "server": address(server),
                "server_port": 443 if number % 20 else 8443,
                "sni": host_name(server) if number % 25 else None,
                "tls_version": "TLS 1.2" if old else "TLS 1.3",
                "ja3": f"{server % 60:032x}",
                "ja4": f"t13d1516h2_8daaf6152771_{server % 60:012x}",
                "ja3s": f"{server % 90:032x}",
                "resumed": number % 4 == 0,
                "certificate_id": server // 4 % CERTIFICATES + 1 if old else None,
                "score": dice.randrange(20, 101) if bad else 0,
                "verdict": dice.choice(("watch", "alert", "block")) if bad else "clean",
                "flow_class": "tls",
                "family": dice.choice(FAMILIES) if bad else None,
                "evidence": EVIDENCE if bad else "[]",
                "enforced": bad,
                "proven": bad,
                "incident_id": number * self.incidents // self.flows + 1 if incident else None,
            }

    def detections(self) -> Iterator[dict[str, Any]]:
        for number in range(self.incidents * FINDINGS_EACH):
            yield {
                "incident_id": number // FINDINGS_EACH + 1,
                "time": self.began + DAYS * DAY_US * number // (self.incidents * FINDINGS_EACH),
                "rule": "rhythm.beacon",
                "score": 70,
                "verdict": "alert",
                "facts": '{"text":"It reports in every 60 seconds"}',
            }

    def actions(self) -> Iterator[dict[str, Any]]:
        number = self.incidents * ACTIONS_EACH
        for each in range(number):
            created = self.began + DAYS * DAY_US * each // number
            server = self.dice.randrange(SERVERS)
            holds = each >= number - IN_FORCE
            yield {
                "created": created,
                "kind": "block" if each % 10 else "allow",
                "author": "ratwall" if each % 10 else "admin",
                "reason": "recognised",
                "server": address(server),
                "server_port": 443,
                "expires": self.now + 30 * DAY_US if holds else created + DAY_US,
                "undone": created + HOUR_US if each % 4 == 0 and not holds else None,
                "incident_id": each // ACTIONS_EACH + 1,
            }

    def audit(self) -> Iterator[dict[str, Any]]:
        for number in range(AUDIT):
            yield {
                "time": self.began + DAYS * DAY_US * number // AUDIT,
                "author": self.dice.choice(("admin", "root", "api:monitor")),
                "event": self.dice.choice(("sign-in", "block", "allow", "undo", "rule")),
                "detail": f"{address(self.dice.randrange(SERVERS))}: because",
            }

    def hours(self) -> Iterator[dict[str, Any]]:
        for hour in range(self.began // HOUR_US * HOUR_US, self.now, HOUR_US):
            yield {
                "hour": hour,
                "inspected": self.dice.randrange(9000),
                "blocked": self.dice.randrange(20),
                "would_block": 0,
                "alerts": self.dice.randrange(30),
                "uninspected": self.dice.randrange(5),
            }

    def contacts(self) -> Iterator[dict[str, Any]]:
        for number in range(CONTACTS):
            device, server = number % DEVICES, (number // DEVICES * 79 + number) % SERVERS
            yield {
                "device": device + 1,
                "address": client(device),
                "server": address(server),
                "port": 443,
                "name": host_name(server),
                "first_seen": self.began + self.dice.randrange(DAY_US),
                "last_seen": self.now - self.dice.randrange(DAYS * DAY_US),
                "connections": self.dice.randrange(1, 5000),
                "failures": self.dice.randrange(2),
                "sent": self.dice.randrange(10**9),
                "received": self.dice.randrange(10**10),
                "handshakes": self.dice.randrange(1, 4000),
                "hour": 0,
                "in_hour": 0,
                "busiest": 9,
                "busiest_at": self.now,
            }

    def names(self) -> Iterator[dict[str, Any]]:
        for number in range(NAMES):
            yield {
                "name": host_name(number),
                "first_seen": self.began,
                "last_seen": self.now - self.dice.randrange(DAYS * DAY_US),
            }

    def resolutions(self) -> Iterator[dict[str, Any]]:
        for number in range(NAMES):
            yield {
                "name": host_name(number),
                "address": address(number % SERVERS),
                "first_seen": self.began,
                "last_seen": self.now - self.dice.randrange(DAYS * DAY_US),
            }

    def skewed(self, number: int) -> int:
        """Return one of so many, the first ones far more often than the last."""
        return int(number * self.dice.random() ** 3)


def client(number: int) -> str:
    return f"192.168.{77 + (number >> 8)}.{number & 255}"


def address(number: int) -> str:
    """Return one of the addresses for documentation: there are more of IPv6 than of IPv4."""
    return f"203.0.113.{number}" if number < 256 else f"2001:db8::{number:x}"


def host_name(number: int) -> str:
    return f"host{number}.example.{'com' if number % 3 else 'net'}"


if __name__ == "__main__":
    main()
