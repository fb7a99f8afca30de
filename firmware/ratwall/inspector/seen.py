"""Between the fast path and the slow one: what a connection has said there, in the terms of here.

The fast path is compiled (`ratwall.queue.fastpath`); without it `FastPath` is None and nothing else
of this file is used. It decides nothing: facts come from the same readers that the slow path uses.
"""

import time
from typing import TYPE_CHECKING, Any

from ratwall.flow.connection import Connection
from ratwall.inspector.tracked import Tracked
from ratwall.kernel.marks import FlowClass
from ratwall.reports.gathering import Line
from ratwall.verdict.record import address_text as packed_text
from ratwall.verdict.record import iso_time
from ratwall.wire.errors import ParseError
from ratwall.wire.packet import parse_segment
from ratwall.wire.tls.facts import TlsFacts
from ratwall.wire.tls.handshake import pull_client_hello, pull_server_hello
from ratwall.wire.tls.record import HEADER_LENGTH
from ratwall.wire.x509.certificate import parse_certificate

if TYPE_CHECKING:
    from ratwall.queue.fastpath import SLOW, FastPath, Seen
else:
    try:
        from ratwall.queue.fastpath import SLOW, FastPath, Seen
    except ImportError:
        SLOW, FastPath, Seen = -1, None, None

__all__ = [
    "SLOW",
    "FastPath",
    "Seen",
    "address_text",
    "connection_of",
    "facts_of",
    "line_of",
    "repeated",
    "tracked_of",
    "wall_clock",
]

_MAC_LENGTH = 6
_MESSAGE_HEADER = 4  # type and length of a handshake message


def wall_clock() -> int:
    """UTC microseconds. Who is given this clock may read it by a shorter way."""
    return time.time_ns() // 1000


def address_text(raw: bytes) -> str:
    """Return a hardware address as people write it, from the eight bytes that a queue gives."""
    return raw[:_MAC_LENGTH].hex(":")


def facts_of(seen: Seen) -> TlsFacts | None:
    """Return what a connection has shown; None if that is anything but ordinary."""
    assert seen.hello is not None
    assert seen.server_hello is not None
    facts = TlsFacts()
    version = seen.hello[1] << 8 | seen.hello[2]
    try:
        hello = pull_client_hello(seen.hello[HEADER_LENGTH + _MESSAGE_HEADER :], version)
        facts.set_server_hello(pull_server_hello(seen.server_hello))
        if seen.leaf is not None:
            facts.certificate = parse_certificate(seen.leaf)
            facts.certificate_der = seen.leaf
            facts.chain_length = seen.chain
    except ParseError:
        return None
    if hello.unread:
        return None
    facts.client_hello = hello
    facts.resumed = seen.resumed
    return facts


def tracked_of(seen: Seen, connection: Connection | None) -> Tracked:
    """Return the connection as the slow path keeps it."""
    raw = seen.hardware_address
    return Tracked(
        connection,
        seen.device,
        seen.device_port,
        seen.server,
        seen.server_port,
        hardware_address=None if raw is None else address_text(raw),
        last_seen=seen.last_seen,
        settled=seen.settled,
        judged=None if seen.judged < 0 else FlowClass(seen.judged),
        judged_at=None if seen.judged < 0 else seen.judged_at,
        final=None if seen.final < 0 else FlowClass(seen.final),
    )


def line_of(device: bytes, port: int, hardware_address: bytes | None, start: int) -> Line:
    """Return what is told of a connection behind the report of one that it is like."""
    mac = None if hardware_address is None else address_text(hardware_address)
    return packed_text(device), port, mac, start


def repeated(line: Line, report: dict[str, Any]) -> dict[str, Any]:
    """Return the report of a connection that is like another one, of which this is the report."""
    client, client_port, mac, start = line
    return {
        **report,
        "mac": mac,
        "client": client,
        "client_port": client_port,
        "start": iso_time(start),
    }


def connection_of(seen: Seen) -> Connection | None:
    """Return what the slow path would hold of it now; None once it has its class."""
    if seen.final >= 0:
        return None
    connection = Connection(seen.first_seen, keep_text=True)
    for from_client, datagram in seen.datagrams:
        segment = parse_segment(datagram)
        assert segment is not None
        connection.push(from_client, segment)
    return connection
