"""Feeds that are JSON: MISP events, and indicators in STIX 2.1.

Of MISP the attributes that are meant for detection (`to_ids`), of STIX the patterns that name one
thing, or one of several (OR). A pattern that asks for more than can be seen here is left out whole
and counted: half of an AND would match what its author never meant.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from ratwall.feeds.errors import FeedError
from ratwall.feeds.indicator import SECOND, Indicator, Kind, address, digest, name, port
from ratwall.feeds.reading import Collector, Reading, family, moment, quoted, text_of

PATTERN_LIMIT = 4096  # characters; a pattern of one address has 40
ALTERNATIVES_LIMIT = 64  # of one pattern
FILE_HASH = "the hash of a file: nothing on the wire shows it"
WEB_ADDRESS = "a web address: what is asked for is encrypted"
NOT_TAKEN = "a pattern beyond the subset"

Make = Callable[[str], tuple[Kind, str, int]]


def _of_address(value: str) -> tuple[Kind, str, int]:
    return Kind.ADDRESS, address(value), 0


def _of_name(value: str) -> tuple[Kind, str, int]:
    return Kind.NAME, name(value), 0


def _of_endpoint(value: str) -> tuple[Kind, str, int]:
    server, _, number = value.rpartition("|")
    return Kind.ENDPOINT, address(server), port(number)


def _of_sha1(value: str) -> tuple[Kind, str, int]:
    return Kind.CERTIFICATE_SHA1, digest(value, 40), 0


def _of_sha256(value: str) -> tuple[Kind, str, int]:
    return Kind.CERTIFICATE_SHA256, digest(value, 64), 0


def _of_ja3(value: str) -> tuple[Kind, str, int]:
    return Kind.JA3, digest(value, 32), 0


MISP_TYPES: dict[str, Make] = {
    "ip-dst": _of_address,
    "ip-dst|port": _of_endpoint,
    "domain": _of_name,
    "hostname": _of_name,
    # The name is what is meant; the address is where it pointed on that day.
    "domain|ip": lambda value: _of_name(value.partition("|")[0]),
    "x509-fingerprint-sha1": _of_sha1,
    "x509-fingerprint-sha256": _of_sha256,
    "ja3-fingerprint-md5": _of_ja3,
}
MISP_USELESS = {
    "md5": FILE_HASH,
    "sha1": FILE_HASH,
    "sha256": FILE_HASH,
    "url": WEB_ADDRESS,
    "uri": WEB_ADDRESS,
    "hostname|port": "a name with a port: a name is told by its hello, on any port",
    "ip-src": "an address that attacks came from, not one that is called",
}

STIX_PATHS: dict[str, Make] = {
    "ipv4-addr:value": _of_address,
    "ipv6-addr:value": _of_address,
    "domain-name:value": _of_name,
    "x509-certificate:hashes.'SHA-1'": _of_sha1,
    "x509-certificate:hashes.'SHA-256'": _of_sha256,
}
STIX_USELESS = {"url:value": WEB_ADDRESS}
_COMPARISON = re.compile(r"([a-z0-9-]+:[a-z0-9_.'\"-]+)\s*=\s*'((?:[^'\\]|\\.)*)'", re.IGNORECASE)
_REFERENCE = re.compile(r"network-traffic:dst_ref\.value\s*=\s*'([^'\\]*)'")
_DESTINATION_PORT = re.compile(r"network-traffic:dst_port\s*=\s*([0-9]{1,5})")


def read_misp(data: bytes) -> Reading:
    """Read a MISP event, or a list of events."""
    document = _json(data)
    if isinstance(document, dict) and isinstance(document.get("response"), list):
        document = document["response"]
    events = document if isinstance(document, list) else [document]
    collector = Collector()
    for event in events:
        inner = event.get("Event") if isinstance(event, dict) else None
        if not isinstance(inner, dict):
            raise FeedError('not a MISP event: no object "Event"')
        called = family(_text(inner.get("info")))
        for attribute in _attributes(inner):
            _take_attribute(attribute, called, collector)
    return collector.reading()


def read_stix(data: bytes) -> Reading:
    """Read a STIX 2.1 bundle."""
    document = _json(data)
    objects = document.get("objects") if isinstance(document, dict) else None
    if not isinstance(objects, list):
        raise FeedError('not a STIX 2.1 bundle: no list "objects"')
    collector = Collector()
    for number, each in enumerate(objects, start=1):
        if not isinstance(each, dict) or each.get("type") != "indicator":
            continue
        collector.rows += 1
        if each.get("revoked") is True:
            collector.skip("revoked")
        elif each.get("pattern_type", "stix") != "stix":
            collector.skip("a pattern in another language")
        else:
            _take_indicator(each, number, collector)
    return collector.reading()


def _json(data: bytes) -> Any:
    try:
        return json.loads(text_of(data))
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise FeedError(f"not JSON: {quoted(reason)}") from error


def _attributes(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    groups = [event, *(each for each in _list(event.get("Object")) if isinstance(each, dict))]
    for group in groups:
        if group.get("deleted") is True:
            continue
        for attribute in _list(group.get("Attribute")):
            if isinstance(attribute, dict):
                yield attribute


def _take_attribute(attribute: dict[str, Any], called: str | None, collector: Collector) -> None:
    collector.rows += 1
    kind, value = _text(attribute.get("type")), _text(attribute.get("value"))
    if attribute.get("deleted") is True:
        collector.skip("deleted")
    elif attribute.get("to_ids") is not True:
        collector.skip("not meant for detection (to_ids)")
    elif kind in MISP_USELESS:
        collector.skip(MISP_USELESS[kind])
    elif kind not in MISP_TYPES:
        collector.skip("of a type that is not known here")
    else:
        try:
            found, canonical, number = MISP_TYPES[kind](value)
            seen = moment(_text(attribute.get("last_seen"))) or _stamp(attribute.get("timestamp"))
        except ValueError:
            collector.unreadable(f"attribute {collector.rows}", f"{kind} {value}")
            return
        collector.add(Indicator(found, canonical, number, called, seen))


def _take_indicator(each: dict[str, Any], number: int, collector: Collector) -> None:
    pattern = _text(each.get("pattern")).strip()
    try:
        found = _alternatives(pattern, collector)
        seen = moment(_text(each.get("modified"))) or moment(_text(each.get("valid_from")))
        until = moment(_text(each.get("valid_until")))
        sure = each.get("confidence", 100)
        if type(sure) is not int or not 0 <= sure <= 100:
            raise ValueError(sure)
    except ValueError:
        collector.unreadable(f"object {number}", pattern)
        return
    called = family(_text(each.get("name")))
    for kind, value, of_port in found:
        collector.add(Indicator(kind, value, of_port, called, seen, until, sure))


def _alternatives(pattern: str, collector: Collector) -> list[tuple[Kind, str, int]]:
    """Return what a pattern names; nothing, and counted, if it is beyond the subset.

    ValueError if what it names is not what it says it is.
    """
    if len(pattern) > PATTERN_LIMIT:
        collector.skip(NOT_TAKEN)
        return []
    found: list[tuple[Kind, str, int]] = []
    observations = _split(pattern, "]", "[")
    if observations is None:
        collector.skip(NOT_TAKEN)
        return []
    for inside in observations:
        traffic = _endpoint(inside)
        if traffic is not None:
            found.append(traffic)
            continue
        rest = inside
        for match in _COMPARISON.finditer(inside):
            path, value = match[1].replace('"', "'"), match[2].replace("\\'", "'")
            if path.startswith("file:hashes"):
                collector.skip(FILE_HASH)
                return []
            if path in STIX_USELESS:
                collector.skip(STIX_USELESS[path])
                return []
            if path not in STIX_PATHS:
                collector.skip(NOT_TAKEN)
                return []
            found.append(STIX_PATHS[path](value))
            rest = rest.replace(match[0], "", 1)
        if any(word != "OR" for word in rest.replace("(", " ").replace(")", " ").split()):
            collector.skip(NOT_TAKEN)
            return []
    if not found or len(found) > ALTERNATIVES_LIMIT:
        collector.skip(NOT_TAKEN)
        return []
    return found


def _endpoint(inside: str) -> tuple[Kind, str, int] | None:
    """Return the server of "dst_ref.value = … AND dst_port = …", None if it is not that."""
    parts = inside.split(" AND ")
    if len(parts) != 2:
        return None
    first, second = (part.strip() for part in parts)
    server = _REFERENCE.fullmatch(first) or _REFERENCE.fullmatch(second)
    number = _DESTINATION_PORT.fullmatch(second) or _DESTINATION_PORT.fullmatch(first)
    if server is None or number is None:
        return None
    return Kind.ENDPOINT, address(server[1]), port(number[1])


def _split(pattern: str, closing: str, opening: str) -> list[str] | None:
    """Return what stands in the brackets of observations joined by OR, None if it is another."""
    observations, rest = [], pattern
    while True:
        if not rest.startswith(opening):
            return None
        inside, closed, rest = rest[1:].partition(closing)
        if not closed or opening in inside:
            return None
        observations.append(inside.strip())
        rest = rest.strip()
        if not rest:
            return observations
        if not rest.startswith("OR"):
            return None
        rest = rest[2:].strip()


def _stamp(value: object) -> int | None:
    """Return a MISP timestamp, seconds as a text, as microseconds."""
    text = _text(value)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 11):
        raise ValueError(text)
    return int(text) * SECOND


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**12 else ""
    return value if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
