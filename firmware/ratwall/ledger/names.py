"""The ledger's side of the book of names: what is written of an answer, what is read back.

Never judges. Rows are written so that a name that left the book and comes again keeps the time at
which it was seen first.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from peewee import fn

from ratwall.ledger.models import Lookup, Name, Resolution
from ratwall.ledger.store import Ledger
from ratwall.ledger.writer import LedgerWriter
from ratwall.names.book import NAMES_OF_ADDRESS, KnownName, NameRarity

LOADED_LIMIT = 8192  # names taken in at a start, the newest: half of what the book holds
ASKED_LIMIT = 500  # addresses in one query: SQLite takes 32,766 variables, a page shows 50 rows

Row = dict[str, Any]


def write(
    writer: LedgerWriter,
    name: str,
    addresses: Iterable[str],
    device: str,
    now: int,
) -> None:
    """Queue what is new of a name, or that it was seen again."""
    _seen(writer, Name, {"name": name}, now)
    _seen(writer, Lookup, {"name": name, "device": device}, now)
    for address in addresses:
        _seen(writer, Resolution, {"name": name, "address": address}, now)


def known_names(ledger: Ledger, limit: int = LOADED_LIMIT) -> Iterator[KnownName]:
    """Yield the names asked for last, the oldest of them first; LedgerError as `rows`."""
    newest = Name.select(Name.name).order_by(Name.last_seen.desc()).limit(limit)
    query = Name.select().where(Name.name.in_(newest)).order_by(Name.last_seen)
    names = {
        row["name"]: KnownName(row["name"], row["first_seen"], row["last_seen"])
        for row in ledger.rows(query)
    }
    for model, column in ((Lookup, "device"), (Resolution, "address")):
        pairs = model.select().where(model.name.in_(newest)).order_by(model.last_seen)
        for row in ledger.rows(pairs):
            if row["name"] in names:
                known = names[row["name"]]
                seen = known.devices if column == "device" else known.addresses
                seen[row[column]] = row["last_seen"]
    yield from names.values()


def rarity(ledger: Ledger, name: str, now: int) -> NameRarity | None:
    """Return how common a name is by the ledger, None if it knows nothing of it."""
    row = ledger.row(Name.select().where(Name.name == name))
    if row is None:
        return None
    devices = ledger.value(Lookup.select(fn.COUNT(Lookup.id)).where(Lookup.name == name))
    return NameRarity(row["first_seen"], max(0, now - row["first_seen"]), devices)


def names_of(ledger: Ledger, addresses: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of each address, the newest first; addresses without one are left out."""
    wanted = list(dict.fromkeys(addresses))[:ASKED_LIMIT]
    query = (
        Resolution.select(Resolution.address, Resolution.name)
        .where(Resolution.address.in_(wanted))
        .order_by(Resolution.last_seen.desc(), Resolution.id.desc())
    )
    found: dict[str, list[str]] = {}
    for row in ledger.rows(query):
        names = found.setdefault(row["address"], [])
        if len(names) < NAMES_OF_ADDRESS:
            names.append(row["name"])
    return found


def listing(ledger: Ledger, search: str = "", limit: int = 50) -> list[Row]:
    """Return names, the ones asked for last first; `search` is text within name or address."""
    query = Name.select().order_by(Name.last_seen.desc(), Name.id.desc()).limit(limit)
    if search:
        of_address = Resolution.select(Resolution.name).where(Resolution.address == search)
        query = query.where(Name.name.contains(search.lower()) | Name.name.in_(of_address))
    rows = ledger.rows(query)
    for row in rows:
        for key, model, column in (
            ("addresses", Resolution, Resolution.address),
            ("devices", Lookup, Lookup.device),
        ):
            pairs = (
                model.select(column.alias("value"))
                .where(model.name == row["name"])
                .order_by(model.last_seen.desc())
            )
            row[key] = [pair["value"] for pair in ledger.rows(pairs)]
    return rows


def dossier(ledger: Ledger, server: str) -> list[Row]:
    """Return what is known of the names of an address, with times, the newest first."""
    query = (
        Resolution.select()
        .where(Resolution.address == server)
        .order_by(Resolution.last_seen.desc(), Resolution.id.desc())
        .limit(NAMES_OF_ADDRESS)
    )
    rows = ledger.rows(query)
    for row in rows:
        asked = Lookup.select().where(Lookup.name == row["name"]).order_by(Lookup.first_seen)
        row["devices"] = [
            {key: one[key] for key in ("device", "first_seen", "last_seen")}
            for one in ledger.rows(asked)
        ]
    return rows


def _seen(writer: LedgerWriter, model: Any, pair: dict[str, str], now: int) -> None:
    columns = [getattr(model, key) for key in pair]
    writer.run(
        model.insert(**pair, first_seen=now, last_seen=now).on_conflict(
            conflict_target=columns, update={model.last_seen: now}
        ),
        spare=True,
    )
