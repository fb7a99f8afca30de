"""Servers and certificates as the office has met them: lists, and all that is known of one.

Never writes. A server is what devices had to do with an address: contacts are one row a device,
server and port, so the list is never longer than they are. What belongs to one server is bounded:
its newest flows stand for the certificates that it showed.
"""

from typing import Any, Final

from ratwall.ledger.models import Action, Certificate, Incident
from ratwall.ledger.names import names_of
from ratwall.ledger.queries import incidents_where
from ratwall.ledger.store import Ledger

DEVICES_SHOWN: Final = 50  # of one server, those that spoke with it last
INCIDENTS_SHOWN: Final = 20
NEWEST_FLOWS: Final = 2_000  # of one server or certificate: what else it showed is in these
CERTIFICATES_SHOWN: Final = 20
SERVERS_SHOWN: Final = 50
LOOKED: Final = 20_000  # certificates looked at in one step of a search

Row = dict[str, Any]

# A contact stands for its server if no newer one does.
_NEWEST: Final = """
NOT EXISTS (SELECT 1 FROM contact AS n WHERE n.server = c.server
  AND (n.last_seen > c.last_seen OR (n.last_seen = c.last_seen AND n.id > c.id)))
"""
_MATCHES: Final = """
(instr(c.server, ?) > 0 OR instr(lower(coalesce(c.name, '')), ?) > 0
  OR c.server IN (SELECT address FROM resolution WHERE instr(name, ?) > 0))
"""
_TOTALS: Final = """
SELECT server, COUNT(DISTINCT device), MIN(first_seen), MAX(last_seen), SUM(connections),
  SUM(failures), SUM(sent), SUM(received), SUM(handshakes)
FROM contact WHERE server IN ({}) GROUP BY server
"""
_KEYS: Final = (
    *("devices", "first_seen", "last_seen", "connections", "failures"),
    *("sent", "received", "handshakes"),
)
_DEVICES: Final = """
SELECT d.id, d.address, d.mac, d.name, c.port, c.first_seen, c.last_seen, c.connections, c.failures,
  c.sent, c.received
FROM contact AS c JOIN device AS d ON d.id = c.device WHERE c.server = ?
ORDER BY c.last_seen DESC, c.id DESC LIMIT ?
"""
_SHOWN: Final = """
SELECT DISTINCT certificate_id FROM (
  SELECT certificate_id FROM flow INDEXED BY flow_server WHERE server = ? ORDER BY id DESC LIMIT ?)
WHERE certificate_id IS NOT NULL LIMIT ?
"""
_SHOWN_BY: Final = """
SELECT DISTINCT server, server_port FROM (
  SELECT server, server_port FROM flow INDEXED BY flow_certificate_id WHERE certificate_id = ?
  ORDER BY id DESC LIMIT ?)
LIMIT ?
"""


def servers(
    ledger: Ledger, search: str, limit: int, before_id: int | None = None
) -> tuple[list[Row], int | None]:
    """Return servers, those spoken with last first, and the number to go on below.

    `search` is a part of an address or name. The number is that of a contact.
    """
    conditions: list[str] = []
    values: list[Any] = []
    if search:
        conditions.append(_MATCHES)
        values += [search.lower()] * 3
    if before_id is not None:
        conditions.append("(c.last_seen, c.id) < ((SELECT last_seen FROM contact WHERE id = ?), ?)")
        values += [before_id, before_id]
    where = " AND ".join((*conditions, _NEWEST))
    found = ledger.tuples(
        f"SELECT c.id, c.server, c.name FROM contact AS c WHERE {where} "  # noqa: S608
        "ORDER BY c.last_seen DESC, c.id DESC LIMIT ?",
        (*values, limit + 1),
    )
    shown = found[:limit]
    totals = _totals(ledger, [server for _, server, _ in shown])
    incidents = _incidents_of(ledger, [server for _, server, _ in shown])
    names = names_of(ledger, [server for _, server, _ in shown])
    rows = [
        {
            "id": number,
            "server": server,
            "names": _named(names.get(server, []), name),
            **totals[server],
            "incidents": incidents.get(server, 0),
        }
        for number, server, name in shown
        if server in totals
    ]
    return rows, int(shown[-1][0]) if len(found) > limit else None


def contact(ledger: Ledger, number: int) -> Row | None:
    """Return which server the contact with this number was with, None if there is none."""
    found = ledger.tuples("SELECT server FROM contact WHERE id = ?", (number,))
    return {"server": found[0][0]} if found else None


def server(ledger: Ledger, address: str, now: int) -> Row | None:
    """Return all that is known of one server, None if nothing is."""
    totals = _totals(ledger, [address]).get(address)
    incidents = incidents_where(ledger, Incident.server == address, INCIDENTS_SHOWN)
    certificates = _certificates(
        ledger,
        [row[0] for row in ledger.tuples(_SHOWN, (address, NEWEST_FLOWS, CERTIFICATES_SHOWN))],
    )
    if totals is None and not incidents:
        seen = ledger.tuples("SELECT 1 FROM flow WHERE server = ? LIMIT 1", (address,))
        if not seen:
            return None
    keys = (*("id", "address", "mac", "name"), "port", "first_seen", "last_seen", "connections")
    devices = [
        dict(zip((*keys, "failures", "sent", "received"), row, strict=True))
        for row in ledger.tuples(_DEVICES, (address, DEVICES_SHOWN))
    ]
    name = ledger.tuples(
        "SELECT name FROM contact WHERE server = ? AND name IS NOT NULL "
        "ORDER BY last_seen DESC LIMIT 1",
        (address,),
    )
    in_force = Action.undone.is_null() & (Action.expires.is_null() | (Action.expires > now))
    return {
        "server": address,
        "names": _named(names_of(ledger, [address]).get(address, []), name[0][0] if name else None),
        **(totals or dict.fromkeys(_KEYS)),
        "devices_met": devices,
        "incidents": incidents,
        "certificates": certificates,
        "actions": ledger.rows(
            Action.select().where(in_force & (Action.server == address)).order_by(Action.id.desc())
        ),
    }


def certificates(
    ledger: Ledger, search: str, limit: int, before_id: int | None = None
) -> tuple[list[Row], int | None]:
    """Return certificates, the one met last first, and the number to go on below.

    `search` is a part of a subject, issuer, serial number or fingerprint. A step may be empty and
    still be followed by others.
    """
    newest = ledger.value(Certificate.select(Certificate.id).order_by(Certificate.id.desc()))
    above = (newest or 0) + 1 if before_id is None else min(before_id, (newest or 0) + 1)
    query = Certificate.select(*_columns()).where(
        (Certificate.id < above) & (Certificate.id >= above - LOOKED)
    )
    if search:
        condition = Certificate.subject.contains(search)
        for column in (
            Certificate.issuer,
            Certificate.serial,
            Certificate.sha1,
            Certificate.sha256,
        ):
            condition |= column.contains(search)
        query = query.where(condition)
    rows = ledger.rows(query.order_by(Certificate.id.desc()).limit(limit + 1))
    if len(rows) > limit:
        return rows[:limit], int(rows[limit - 1]["id"])
    return rows, above - LOOKED if above - LOOKED > 1 else None


def certificate(ledger: Ledger, number: int) -> Row | None:
    """Return one certificate with the servers that showed it and its incidents, None without."""
    found = _certificates(ledger, [number])
    if not found:
        return None
    shown = ledger.tuples(_SHOWN_BY, (number, NEWEST_FLOWS, SERVERS_SHOWN))
    return {
        **found[0],
        "servers": [{"server": server, "server_port": port} for server, port in shown],
        "incidents": incidents_where(ledger, Incident.certificate == number, INCIDENTS_SHOWN),
    }


def _totals(ledger: Ledger, addresses: list[str]) -> dict[str, Row]:
    marks = ", ".join("?" * len(addresses))
    found = ledger.tuples(_TOTALS.format(marks), tuple(addresses))
    return {row[0]: dict(zip(_KEYS, row[1:], strict=True)) for row in found}


def _incidents_of(ledger: Ledger, addresses: list[str]) -> dict[str, int]:
    marks = ", ".join("?" * len(addresses))
    found = ledger.tuples(
        f"SELECT server, COUNT(*) FROM incident WHERE server IN ({marks}) GROUP BY server",  # noqa: S608
        tuple(addresses),
    )
    return dict(found)


def _named(names: list[str], last: str | None) -> list[str]:
    """Return the names of a server, the one of its newest contact first."""
    return list(dict.fromkeys([*([last] if last else []), *names]))


def _columns() -> list[Any]:
    return [field for name, field in Certificate._meta.fields.items() if name != "der"]


def _certificates(ledger: Ledger, numbers: list[int]) -> list[Row]:
    query = Certificate.select(*_columns()).where(Certificate.id.in_(numbers))
    return ledger.rows(query.order_by(Certificate.last_seen.desc(), Certificate.id.desc()))
