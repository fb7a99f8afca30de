"""The ledger's side of contacts: what devices had to do with servers, written in batches.

Never judges. Statements are SQLite's own text, made once: a busy office has hundreds of rows in a
batch, and making a query of each would cost ten times what SQLite takes for it.

Design note: an attempt that failed is a contact, but it makes nobody known. A server that a program
has tried in vain for a week is as strange as on the first day.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ratwall.ledger.models import BeaconScore
from ratwall.ledger.store import Ledger
from ratwall.ledger.writer import LedgerWriter

HOUR: Final = 3_600_000_000  # microseconds
DAY: Final = 24 * HOUR
BASELINE_US: Final = 7 * DAY  # an office's week has all that it does regularly
# Read at a start, in a third of a second: more than a busy day of forty devices has.
RECENT_CONNECTIONS: Final = 20_000
SCORED_CONNECTIONS: Final = 17_280  # of one pair: one every five seconds, all day
RARE_DEVICES: Final = 2  # that know a server: what a business uses is on more of its devices
RITA_PARTS: Final = ("total", "times", "sizes", "duration", "histogram")

Row = dict[str, Any]

_SEEN: Final = """
INSERT INTO contact (device, address, server, port, name, first_seen, last_seen, connections,
  failures, sent, received, handshakes, hour, in_hour, busiest, busiest_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (device, server, port) DO UPDATE SET
  address = excluded.address,
  name = COALESCE(excluded.name, name),
  first_seen = MIN(first_seen, excluded.first_seen),
  last_seen = MAX(last_seen, excluded.last_seen),
  connections = connections + excluded.connections,
  failures = failures + excluded.failures,
  sent = sent + excluded.sent,
  received = received + excluded.received,
  handshakes = handshakes + excluded.handshakes,
  hour = excluded.hour,
  in_hour = CASE WHEN hour = excluded.hour THEN in_hour + excluded.in_hour
    ELSE excluded.in_hour END,
  busiest = CASE
    WHEN excluded.in_hour + CASE WHEN hour = excluded.hour THEN in_hour ELSE 0 END >= busiest
      OR busiest_at < excluded.hour - ?
    THEN excluded.in_hour + CASE WHEN hour = excluded.hour THEN in_hour ELSE 0 END
    ELSE busiest END,
  busiest_at = CASE
    WHEN excluded.in_hour + CASE WHEN hour = excluded.hour THEN in_hour ELSE 0 END >= busiest
      OR busiest_at < excluded.hour - ?
    THEN excluded.hour ELSE busiest_at END
"""
_ENDED: Final = """
INSERT INTO connection (contact, client_port, start, sent, received, failed)
SELECT id, ?, ?, ?, ?, ? FROM contact WHERE device = ? AND server = ? AND port = ?
"""
_RECENT: Final = """
SELECT c.address, n.client_port, c.server, c.port, c.name, n.start, n.received, n.failed
FROM (SELECT * FROM connection WHERE start > ? AND start <= ? ORDER BY start DESC LIMIT ?) AS n
JOIN contact AS c ON c.id = n.contact ORDER BY n.start
"""
_SCORED: Final = """
SELECT n.start, n.sent FROM contact AS c JOIN connection AS n ON n.contact = c.id
WHERE c.device = ? AND c.server = ? AND n.start > ? ORDER BY n.start DESC LIMIT ?
"""
_BUSIEST: Final = """
SELECT server, MAX(busiest) AS most FROM contact WHERE device = ? AND busiest_at > ?
GROUP BY server ORDER BY most DESC LIMIT 2
"""
_KNOWN: Final = """
SELECT device, MIN(first_seen) FROM contact
WHERE server = ? AND (connections > failures OR handshakes > 0) GROUP BY device
"""

_KEPT: Final = ("connections", "failures", "sent", "received", "handshakes")
# Of each server how many devices had an answer of it, and when the first did.
_LISTING: Final = f"""
WITH known AS (
  SELECT server, COUNT(DISTINCT device) AS devices, MIN(first_seen) AS since FROM contact
  WHERE connections > failures OR handshakes > 0 GROUP BY server)
SELECT c.id, c.device, c.address, d.mac, d.name, c.server, c.port, c.name, c.first_seen,
  c.last_seen, {", ".join(f"c.{column}" for column in _KEPT)}, COALESCE(k.devices, 0), k.since
FROM contact AS c LEFT JOIN device AS d ON d.id = c.device LEFT JOIN known AS k
  ON k.server = c.server
WHERE {{}} ORDER BY c.last_seen DESC, c.id DESC LIMIT ?
"""  # noqa: S608  # column names of ours
_MENTIONS: Final = """
instr(lower(c.address || ' ' || COALESCE(d.mac, '') || ' ' || COALESCE(d.name, '') || ' '
  || c.server || ' ' || c.port || ' ' || COALESCE(c.name, '')), ?) > 0
"""
_IS_NEW: Final = "(k.devices IS NULL OR (k.devices <= ? AND k.since > ?))"


@dataclass(slots=True)
class Seen:
    """What was seen of one contact since it was last written; times in UTC microseconds."""

    first: int
    last: int
    connections: int = 0
    failures: int = 0
    sent: int = 0
    received: int = 0
    handshakes: int = 0


@dataclass(frozen=True, slots=True)
class Past:
    """One connection of the last day, as it is read back."""

    device: str  # its newest address that spoke with the server
    client_port: int
    server: str
    port: int
    name: str | None
    start: int
    received: int
    failed: bool


Place = tuple[int, str, int]  # device's id, server, port
# Contact, the device's port, start, sent, received, failed.
Ended = tuple[Place, int, int, int, int, bool]


def write(
    writer: LedgerWriter,
    seen: Sequence[tuple[Place, str, str | None, Seen]],
    ended: Sequence[Ended],
    now: int,
) -> None:
    """Queue contacts (with the device's address and the server's name) and what has ended.

    Handshakes are counted to the hour in which they are written.
    """
    hour = now // HOUR * HOUR
    if seen:
        writer.run_many(
            _SEEN,
            [
                (
                    *(place[0], address, place[1], place[2], name, one.first, one.last),
                    *(one.connections, one.failures, one.sent, one.received, one.handshakes),
                    *(hour, one.handshakes, one.handshakes, hour, BASELINE_US, BASELINE_US),
                )
                for place, address, name, one in seen
            ],
        )
    if ended:
        writer.run_many(
            _ENDED,
            [
                (client_port, start, sent, received, failed, *place)
                for place, client_port, start, sent, received, failed in ended
            ],
        )


def recent(ledger: Ledger, now: int) -> Iterator[Past]:
    """Yield the newest connections of the last day that have ended, oldest first."""
    for row in ledger.tuples(_RECENT, (now - DAY, now, RECENT_CONNECTIONS)):
        device, client_port, server, port, name, start, received, failed = row
        yield Past(device, client_port, server, port, name, start, received, bool(failed))


def connections(ledger: Ledger, device: int, server: str, now: int) -> list[tuple[int, int]]:
    """Return start and bytes sent of a pair's newest connections of the last day."""
    return [
        (start, sent)
        for start, sent in ledger.tuples(_SCORED, (device, server, now - DAY, SCORED_CONNECTIONS))
    ]


def oldest(ledger: Ledger, now: int) -> int | None:
    """Return when the oldest connection of the last day began, None without any."""
    found = ledger.tuples("SELECT MIN(start) FROM connection WHERE start > ?", (now - DAY,))
    return None if found[0][0] is None else int(found[0][0])


def busiest(ledger: Ledger, device: int, now: int) -> list[tuple[str, int]]:
    """Return the two servers with which a device had its busiest hours of the last week."""
    return [(server, most) for server, most in ledger.tuples(_BUSIEST, (device, now - BASELINE_US))]


def known_since(ledger: Ledger, server: str) -> dict[int, int]:
    """Return which devices have had an answer of a server, and when they first met it."""
    return dict(ledger.tuples(_KNOWN, (server,)))


def listing(
    ledger: Ledger,
    words: Sequence[str] = (),
    *,
    now: int,
    new: bool = False,
    limit: int = 50,
) -> list[Row]:
    """Return contacts that mention every word, the newest first; `new`: those that are no habit.

    `standing` is "failed" where the server never answered anybody, "new" where it is rare as the
    models take it (RARE_DEVICES at most, the first less than a week ago), else "baseline";
    `devices` and `since` are of the server, whichever device it was.
    """
    conditions = [_MENTIONS] * len(words)
    values: list[str | int] = [word.lower() for word in words]
    if new:
        conditions.append(_IS_NEW)
        values += [RARE_DEVICES, now - BASELINE_US]
    where = " AND ".join(conditions) or "1"
    return [_contact(row, now) for row in ledger.tuples(_LISTING.format(where), (*values, limit))]


def _contact(row: tuple[Any, ...], now: int) -> Row:
    number, device, address, mac, name, server, port, called, first, last, *counts = row
    *kept, devices, since = counts
    rare = devices <= RARE_DEVICES and (since is None or now - since < BASELINE_US)
    return {
        "id": number,
        "device": {"id": device, "address": address, "mac": mac, "name": name},
        "server": server,
        "server_port": port,
        "name": called,
        "first_seen": first,
        "last_seen": last,
        **dict(zip(_KEPT, kept, strict=True)),
        "standing": "failed" if not devices else "new" if rare else "baseline",
        "devices": devices,
        "since": since,
    }


def addresses(ledger: Ledger) -> dict[str, int]:
    """Return the IPv4 addresses of devices, the one last used last, and whose they were."""
    found = ledger.tuples(
        "SELECT address, device FROM contact WHERE instr(address, ':') = 0 ORDER BY last_seen"
    )
    return dict(found)


def write_score(writer: LedgerWriter, values: Row) -> None:
    """Queue the newest score of a pair; `values` by BeaconScore's columns."""
    changed = {getattr(BeaconScore, key): value for key, value in values.items()}
    writer.run(
        BeaconScore.insert(**values).on_conflict(
            conflict_target=[BeaconScore.device, BeaconScore.server], update=changed
        ),
        spare=True,
    )


def regularity(ledger: Ledger, device: int, server: str) -> Row | None:
    """Return how regular a device's connections with a server are, JSON-ready, by two measures.

    `ours` is percent, `rita` has thousandths, or is None where RITA gives no score; None if the
    pair was never scored.
    """
    pair = (BeaconScore.device == device) & (BeaconScore.server == server)
    row = ledger.row(BeaconScore.select().where(pair))
    if row is None:
        return None
    rita = {key: row[key] for key in RITA_PARTS}
    return {
        "at": row["at"],
        "connections": row["connections"],
        "ours": row["regularity"],
        "rita": None if row["total"] is None else rita,
    }
