"""Lists in columns: SSLBL certificates and JA3, ThreatFox, Feodo Tracker.

Columns are found by their names, in a header line that may be behind a "#"; order and number of
columns do not matter. What a list says of file hashes and web addresses is of no use on the wire.
"""

import csv
from collections.abc import Callable, Iterator, Mapping

from ratwall.feeds.errors import FeedError
from ratwall.feeds.indicator import (
    CONFIDENCE_ACTS,
    Indicator,
    Kind,
    address,
    digest,
    endpoint,
    name,
    port,
)
from ratwall.feeds.reading import (
    Collector,
    Reading,
    confidence,
    family,
    lines_of,
    moment,
    present,
)

COLUMNS_LIMIT = 64  # four times what the widest of these lists has
Row = Mapping[str, str]

# What SSLBL appends to the name of a family.
_LISTING_ENDINGS = (" C&C", " malware distribution", " MITM")
_THREATS = ("botnet_cc", "payload_delivery", "payload")
_TRUE = ("true", "1", "yes")


def read_sslbl(data: bytes) -> Reading:
    """Read SSLBL's certificate list: Listingdate,SHA1,Listingreason."""

    def take(row: Row, collector: Collector) -> None:
        collector.add(
            Indicator(
                Kind.CERTIFICATE_SHA1,
                digest(row["sha1"], 40),
                family=_listed(row["listingreason"]),
                seen=moment(row["listingdate"]),
            )
        )

    return _read(data, ("listingdate", "sha1", "listingreason"), take)


def read_sslbl_ja3(data: bytes) -> Reading:
    """Read SSLBL's JA3 list: ja3_md5,Firstseen,Lastseen,Listingreason."""

    def take(row: Row, collector: Collector) -> None:
        collector.add(
            Indicator(
                Kind.JA3,
                digest(row["ja3_md5"], 32),
                family=_listed(row["listingreason"]),
                seen=moment(row["lastseen"]),
            )
        )

    return _read(data, ("ja3_md5", "lastseen", "listingreason"), take)


def read_threatfox(data: bytes) -> Reading:
    """Read a ThreatFox export; with `is_compromised` or, older, without."""

    def take(row: Row, collector: Collector) -> None:
        if row["threat_type"] not in _THREATS:
            collector.skip("of another kind of threat")
            return
        sure = confidence(row["confidence_level"])
        if row.get("is_compromised", "").lower() in _TRUE:
            # Somebody's own server that was broken into: an office may need it, so it is only told.
            sure = min(sure, CONFIDENCE_ACTS - 1)
        seen = moment(row.get("last_seen_utc")) or moment(row["first_seen_utc"])
        called, value = family(row.get("malware_printable")), row["ioc_value"]
        match row["ioc_type"]:
            case "ip:port":
                server, number = endpoint(value)
                collector.add(
                    Indicator(Kind.ENDPOINT, server, number, called, seen, confidence=sure)
                )
            case "domain":
                collector.add(Indicator(Kind.NAME, name(value), 0, called, seen, confidence=sure))
            case "url":
                collector.skip("a web address: what is asked for is encrypted")
            case "md5_hash" | "sha1_hash" | "sha256_hash" | "sha3_384_hash":
                collector.skip("the hash of a file: nothing on the wire shows it")
            case _:
                collector.skip("of a type that is not known here")

    columns = ("first_seen_utc", "ioc_value", "ioc_type", "threat_type", "confidence_level")
    return _read(data, columns, take)


def read_feodo(data: bytes) -> Reading:
    """Read a list of servers: dst_ip or DstIP, with a port or without."""

    def take(row: Row, collector: Collector) -> None:
        server = address(row.get("dst_ip") or row.get("dstip") or "")
        number = present(row.get("dst_port") or row.get("dstport"))
        seen = moment(row.get("last_online")) or moment(
            row.get("first_seen_utc") or row.get("firstseen")
        )
        called = family(row.get("malware"))
        if number is None:
            collector.add(Indicator(Kind.ADDRESS, server, 0, called, seen))
        else:
            collector.add(Indicator(Kind.ENDPOINT, server, port(number), called, seen))

    return _read(data, ("dst_ip|dstip",), take)


def _read(data: bytes, columns: tuple[str, ...], take: Callable[[Row, Collector], None]) -> Reading:
    collector = Collector()
    for number, row in _rows(data, columns, collector):
        try:
            take(row, collector)
        except ValueError:
            collector.unreadable(f"line {number}", ",".join(row.values()))
    return collector.reading()


def _rows(data: bytes, columns: tuple[str, ...], collector: Collector) -> Iterator[tuple[int, Row]]:
    header: list[str] | None = None
    for number, line in lines_of(data):
        if line.startswith("#"):
            header = header or _header(line.lstrip("# "), columns)
            continue
        if header is None:
            header = _header(line, columns)
            if header is None:
                break
            continue
        collector.rows += 1
        cells = _cells(line, len(header))
        if cells is None or len(cells) != len(header):
            collector.unreadable(f"line {number}", line)
            continue
        yield number, dict(zip(header, cells, strict=True))
    if header is None:
        wanted = ", ".join(columns).replace("|", " or ")
        raise FeedError(f"no line names the columns ({wanted}); is it a list of this kind?")


def _header(line: str, columns: tuple[str, ...]) -> list[str] | None:
    """Return the names of the columns, None if this is not the line that has them."""
    cells = _cells(line, COLUMNS_LIMIT)
    if cells is None:
        return None
    names = [cell.strip().lower() for cell in cells]
    there = set(names)
    if len(there) != len(names) or len(names) > COLUMNS_LIMIT:
        return None
    return names if all(there & set(column.split("|")) for column in columns) else None


def _cells(line: str, width: int) -> list[str] | None:
    """Split a line; a last column without quotes may hold commas of its own."""
    if '"' not in line:
        return [cell.strip() for cell in line.split(",", width - 1)]
    if line.count('"') == 2 * width and line[0] == line[-1] == '"':
        # Each cell in quotes and none with a quote in it, as ThreatFox writes a million times.
        cells = line[1:-1].split('", "')
        if len(cells) == width:
            return cells
    try:
        return next(csv.reader((line,), skipinitialspace=True, strict=True))
    except (csv.Error, StopIteration):
        return None


def _listed(reason: str) -> str | None:
    called = family(reason)
    for ending in _LISTING_ENDINGS:
        if called is not None:
            called = called.removesuffix(ending)
    return called
