"""What comes in by socket, checked: bytes of a stranger in, frozen values out, or one line of why.

Never acts and never keeps anything. An inspector is ours but parses hostile traffic, and the page
faces the network, so both are believed only in the form declared here: bounded sizes, known types.
"""

import base64
import binascii
import ipaddress
import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from ratwall.address import PORT_LIMIT
from ratwall.errors import UsageError

TEXT_LIMIT = 1024  # characters of any text in a report: as much as a flow record allows
EVIDENCE_LIMIT = 64  # facts a flow; the packs have fewer rules than that
DER_LIMIT = 65_536  # bytes; the wire reads no larger certificate either
SCORE_LIMIT = 100
WORKER_LIMIT = 63  # more queues than a box has cores
COUNTER_LIMIT = 2**63 - 1  # what SQLite's integers hold
POINTS_LIMIT = 1000  # sums are clamped to 100; a single fact never needs more
VERDICTS = ("clean", "watch", "alert", "block")
CLASSES = ("clean", "observed", "watch", "block", "exempt")
COUNTERS = (
    *("queued", "flows", "blocked", "reports_lost", "uptime_s", "failures", "evicted"),
    "waiting_percent",
)
CERTIFICATE_TEXTS = ("subject", "issuer", "sha1", "sha256", "serial", "key_type")
OBSERVED_LIMIT = 1000  # observed connections in one answer: 300 KB
MAC_LENGTH = 6
ALLOW_SECONDS_LOW = 60  # shorter than that nobody gets a connection through and looks
ALLOW_SECONDS_HIGH = 366 * 86_400  # a year; longer is "always"
SHA256_LENGTH = 64  # hexadecimal digits


class MessageError(UsageError):
    """A message that is not of the agreed form; nothing was done about it."""


UNJUDGED_LIMIT = 100  # what an inspector lists
ENDS = ("client", "server", "server_port")
LINE = ("client", "client_port", "mac", "start")
LINES_LIMIT = 64  # connections told together; `ratwall.reports.gathering` sends no more
PATTERNS_REMEMBERED = 256  # some 6 KB each: what the inspectors of one office see within minutes
ADDRESSES_REMEMBERED = 4096  # 1 MB


@dataclass(frozen=True, slots=True)
class FlowReport:
    """One judged connection, as an inspector saw it; `start` is UTC microseconds."""

    worker: int
    flow_class: str
    enforced: bool
    proxied: bool  # the endpoint is a proxy's, the TLS that of a server behind it
    mac: str | None
    client: str
    client_port: int
    server: str
    server_port: int
    start: int
    sni: str | None
    tls_version: str | None
    ja3: str | None
    ja4: str | None
    ja3s: str | None
    resumed: bool
    certificate: dict[str, Any] | None
    der: bytes | None
    score: int
    verdict: str
    family: str | None
    evidence: tuple[dict[str, Any], ...]

    def like(self, mac: str | None, client: str, client_port: int, start: int) -> "FlowReport":
        """Return the report of a connection like this one, from another end at another time.

        The same as `dataclasses.replace`, at a fifth of the time.
        """
        return FlowReport(
            self.worker,
            self.flow_class,
            self.enforced,
            self.proxied,
            mac,
            client,
            client_port,
            self.server,
            self.server_port,
            start,
            self.sni,
            self.tls_version,
            self.ja3,
            self.ja4,
            self.ja3s,
            self.resumed,
            self.certificate,
            self.der,
            self.score,
            self.verdict,
            self.family,
            self.evidence,
        )


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A worker's counters since its start."""

    worker: int
    pid: int
    counters: dict[str, int]
    unjudged: tuple[tuple[str, str, int], ...] = ()  # device, server, port; the newest last


def is_sha256(text: str) -> bool:
    """Say whether `text` is a SHA-256 in hexadecimal, in either case."""
    return len(text) == SHA256_LENGTH and not set(text) - set(string.hexdigits)


class Fields:
    """Typed access to the keys of a JSON object; MessageError names what is wrong with which."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = values
        self._where = where

    def integer(self, key: str, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""
        value = self._values.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.error(key, f"an integer from {low} to {high}")
        return value

    def optional_integer(self, key: str, low: int, high: int) -> int | None:
        """Return a whole number, or None if the key is null or absent."""
        return None if self._values.get(key) is None else self.integer(key, low, high)

    def boolean(self, key: str) -> bool:
        """Return true or false."""
        value = self._values.get(key)
        if not isinstance(value, bool):
            raise self.error(key, "true or false")
        return value

    def text(self, key: str, limit: int = TEXT_LIMIT) -> str:
        """Return a string of at most `limit` characters that UTF-8 can hold."""
        value = self._values.get(key)
        if not isinstance(value, str) or len(value) > limit:
            raise self.error(key, f"text of at most {limit} characters")
        return value.encode("utf-8", "replace").decode()  # JSON may spell a lone surrogate

    def optional_text(self, key: str, limit: int = TEXT_LIMIT) -> str | None:
        """Return a string, or None if the key is null or absent."""
        return None if self._values.get(key) is None else self.text(key, limit)

    def choice(self, key: str, words: tuple[str, ...]) -> str:
        """Return one of `words`."""
        value = self._values.get(key)
        if not isinstance(value, str) or value not in words:
            raise self.error(key, f"one of {', '.join(words)}")
        return value

    def address(self, key: str) -> str:
        """Return an IP address in its canonical spelling."""
        value = self._values.get(key)
        if isinstance(value, str) and "%" not in value:
            try:
                return _canonical(value)
            except ValueError:
                pass  # falls through to the one message for all that is no address
        raise self.error(key, "an IPv4 or IPv6 address")

    def optional_address(self, key: str) -> str | None:
        """Return an IP address, or None if the key is null or absent."""
        return None if self._values.get(key) is None else self.address(key)

    def items(self) -> list[tuple[str, Any]]:
        """Return everything as it came, for whoever has a reader of its own."""
        return list(self._values.items())

    def mapping(self, key: str) -> dict[str, Any]:
        """Return a JSON object as it is."""
        value = self._values.get(key)
        if not isinstance(value, dict):
            raise self.error(key, "an object")
        return value

    def secret_mapping(self, key: str) -> dict[str, Any]:
        """Return a JSON object, empty if the key is absent; an error does not repeat it."""
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            raise MessageError(f"{self._where}: {key}: expected an object")
        return value

    def error(self, key: str, expected: str) -> MessageError:
        """Return the error that says which key, what was expected and what was found."""
        found = json.dumps(self._values.get(key), default=str)
        shown = found if len(found) <= 60 else found[:59] + "…"  # one line on a console
        return MessageError(f"{self._where}: {key}: expected {expected}, found {shown}")


@lru_cache(ADDRESSES_REMEMBERED)
def _canonical(text: str) -> str:
    """Return an address in its one spelling; ValueError if it is none."""
    return str(ipaddress.ip_address(text))


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """Return the JSON object in `data`; MessageError if there is none."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"{where}: not JSON") from error
    if not isinstance(value, dict):
        raise MessageError(f"{where}: expected a JSON object")
    return value


def parse_reports(data: bytes) -> list[FlowReport] | StatusReport:
    """Return what one packet says; MessageError if any of it is not of the agreed form.

    A pattern (`flows`) has a line behind it for each connection like it, a list of client, its
    port, hardware address and start in UTC microseconds.
    """
    head, *lines = data.split(b"\n", LINES_LIMIT + 1)
    if not lines:
        report = parse_report(data)
        return report if isinstance(report, StatusReport) else [report]
    if len(lines) > LINES_LIMIT:
        raise MessageError(f"report: more than {LINES_LIMIT} connections")
    pattern = _pattern(head)
    return [_like(pattern, line) for line in lines]


@lru_cache(PATTERNS_REMEMBERED)
def _pattern(head: bytes) -> FlowReport:
    """Read the report that those behind it are like: the same bytes again and again."""
    values = parse_object(head, "report")
    if values.get("type") != "flows":
        raise Fields(values, "report").error("type", "flows, with lines behind it")
    return _flow(values, Fields(values, "report"))


def _like(pattern: FlowReport, line: bytes) -> FlowReport:
    try:
        ends = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageError("report: a line is not JSON") from error
    if not isinstance(ends, list) or len(ends) != len(LINE):
        raise MessageError(f"report: expected lines of {', '.join(LINE)}")
    fields = Fields(dict(zip(LINE, ends, strict=True)), "report: line")
    return pattern.like(
        _mac(fields),
        fields.address("client"),
        fields.integer("client_port", 0, PORT_LIMIT),
        fields.integer("start", 0, COUNTER_LIMIT),
    )


def parse_report(data: bytes) -> FlowReport | StatusReport:
    """Return the report in one packet; MessageError if it is not of the agreed form."""
    values = parse_object(data, "report")
    fields = Fields(values, "report")
    if fields.choice("type", ("flow", "status")) == "status":
        return StatusReport(
            worker=fields.integer("worker", 0, WORKER_LIMIT),
            pid=fields.integer("pid", 0, COUNTER_LIMIT),
            counters={key: fields.optional_integer(key, 0, COUNTER_LIMIT) or 0 for key in COUNTERS},
            unjudged=_unjudged(fields, values.get("unjudged", [])),
        )
    return _flow(values, fields)


def _flow(values: dict[str, Any], fields: Fields) -> FlowReport:
    return FlowReport(
        worker=fields.integer("worker", 0, WORKER_LIMIT),
        flow_class=fields.choice("class", CLASSES),
        enforced=fields.boolean("enforced"),
        proxied=fields.boolean("proxied"),
        mac=_mac(fields),
        client=fields.address("client"),
        client_port=fields.integer("client_port", 0, PORT_LIMIT),
        server=fields.address("server"),
        server_port=fields.integer("server_port", 0, PORT_LIMIT),
        start=_time(fields, "start"),
        sni=fields.optional_text("sni"),
        tls_version=fields.optional_text("tls_version"),
        ja3=fields.optional_text("ja3"),
        ja4=fields.optional_text("ja4"),
        ja3s=fields.optional_text("ja3s"),
        resumed=fields.boolean("resumed"),
        certificate=_certificate(values.get("certificate")),
        der=_der(fields),
        score=fields.integer("score", 0, SCORE_LIMIT),
        verdict=fields.choice("verdict", VERDICTS),
        family=fields.optional_text("family"),
        evidence=_evidence(values.get("evidence")),
    )


def lookup_certificate(values: dict[str, Any]) -> tuple[dict[str, Any] | None, bytes | None]:
    """Return the certificate that a look-up found, and its DER; MessageError as `parse_report`."""
    return _certificate(values.get("certificate")), _der(Fields(values, "look-up"))


def _mac(fields: Fields) -> str | None:
    """Return the hardware address in lower case, None for none and for the all-zero one."""
    text = fields.optional_text("mac", limit=MAC_LENGTH * 3)
    if text is None:
        return None
    try:
        return _hardware_address(text)
    except ValueError as error:
        raise fields.error("mac", "six bytes such as 02:00:00:00:00:01") from error


@lru_cache(ADDRESSES_REMEMBERED)
def _hardware_address(text: str) -> str | None:
    """Return it in lower case, None for the all-zero one; ValueError if it is none."""
    raw = bytes.fromhex(text.replace(":", ""))
    if len(raw) != MAC_LENGTH or raw.hex(":") != text.lower():
        raise ValueError(text)
    return text.lower() if any(raw) else None


def _time(fields: Fields, key: str) -> int:
    """Return an ISO 8601 time with zone as UTC microseconds."""
    try:
        moment = datetime.fromisoformat(fields.text(key, limit=40))
        seconds = moment.timestamp()  # exact to the microsecond only for whole seconds
    except (ValueError, OverflowError) as error:
        raise fields.error(key, "a time such as 2024-01-23T02:04:30.000000Z") from error
    if moment.tzinfo is None or seconds < 0:
        raise fields.error(key, "a time such as 2024-01-23T02:04:30.000000Z")
    return round(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond


def _unjudged(fields: Fields, value: Any) -> tuple[tuple[str, str, int], ...]:
    """Return the connections that an inspector had to give up, each checked like any other."""
    if not isinstance(value, list) or len(value) > UNJUDGED_LIMIT:
        raise fields.error("unjudged", f"a list of at most {UNJUDGED_LIMIT} connections")
    found = []
    for entry in value:
        if not isinstance(entry, list) or len(entry) != len(ENDS):
            raise fields.error("unjudged", "lists of device, server and port")
        ends = Fields(dict(zip(ENDS, entry, strict=True)), "status: unjudged")
        port = ends.integer("server_port", 0, PORT_LIMIT)
        found.append((ends.address("client"), ends.address("server"), port))
    return tuple(found)


def _certificate(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise MessageError("report: certificate: expected an object or null")
    fields = Fields(value, "report: certificate")
    return {
        **{key: fields.text(key) for key in CERTIFICATE_TEXTS},
        "not_before": fields.optional_text("not_before"),
        "not_after": fields.optional_text("not_after"),
        "key_bits": fields.integer("key_bits", 0, COUNTER_LIMIT),
        "signature_algorithm": fields.text("signature_algorithm"),
        "self_issued": fields.boolean("self_issued"),
    }


def _der(fields: Fields) -> bytes | None:
    # Base64 makes four characters of three bytes, rounded up to whole groups.
    text = fields.optional_text("der", limit=(DER_LIMIT + 2) // 3 * 4)
    if text is None:
        return None
    try:
        der = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise fields.error("der", "base64") from error
    if len(der) > DER_LIMIT:
        raise fields.error("der", f"at most {DER_LIMIT} bytes")
    return der


def _evidence(value: object) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list) or len(value) > EVIDENCE_LIMIT:
        raise MessageError(f"report: evidence: expected a list of at most {EVIDENCE_LIMIT}")
    facts = []
    for item in value:
        if not isinstance(item, dict):
            raise MessageError("report: evidence: expected objects")
        fields = Fields(item, "report: evidence")
        facts.append(
            {
                "id": fields.text("id"),
                "points": fields.integer("points", -POINTS_LIMIT, POINTS_LIMIT),
                "text": fields.text("text"),
                "technique": fields.optional_text("technique"),
            }
        )
    return tuple(facts)
