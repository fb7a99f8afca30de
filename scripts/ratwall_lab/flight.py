"""A server's TLS flight, recorded once and cut into records and segments in any way we like.

The bytes come from a real handshake of OpenSSL with itself in memory; the pieces are pure data that
`ratwall_lab.segments` puts on the wire. It never completes a handshake. Design note: a piece has
its own bytes, not just a range, so that overlapping pieces that contradict each other can be told.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from itertools import cycle

from ratwall_lab.certificates import Identity
from ratwall_lab.contexts import (
    SCHANNEL_PICK,
    Version,
    rat_client_context,
    rat_server_context,
)
from ratwall_lab.endpoint import RECORD_HEADER_LENGTH

HANDSHAKE = 22
HANDSHAKE_HEADER_LENGTH = 4
HELLO_FIXED_LENGTH = 2 + 32 + 1  # version, random, length of the session id
CIPHER_AND_COMPRESSION = 2 + 1
UNKNOWN_EXTENSION = b"\x42\x42"
RECORD_LIMIT = 1 << 14  # bytes of plaintext in a record (RFC 5246 section 6.2.1)
MSS = 1400  # fits IPv6 with a time stamp and an extension header in 1500 bytes
RSA_KEY_EXCHANGE = "AES256-SHA:@SECLEVEL=0"  # ServerHello, Certificate, Done and nothing else


class Way(Enum):
    """How a segment goes over the wire."""

    PLAIN = "plain"
    BAD_CHECKSUM = "bad checksum"
    OLD_TIMESTAMP = "old time stamp"  # older than any before: its receiver throws it away (PAWS)
    NO_ACK = "no ACK flag"  # likewise (RFC 9293 §3.10.7.4)
    EARLY_ACK = "early ACK"  # acknowledges what was never sent: likewise
    URGENT = "urgent"  # its last byte is urgent, and so no part of what the application reads
    FRAGMENTS = "fragments"  # IP fragments of 64 bytes
    EXTENDED = "extended"  # behind IPv6 destination options, or with options of IPv4


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes for one segment, where in the flight they belong, and how they are sent.

    Below 0 or beyond the flight's end is allowed too.
    """

    start: int
    data: bytes
    way: Way = Way.PLAIN


@dataclass(frozen=True, slots=True)
class Recording:
    """A ClientHello record, and the handshake messages with which the server answered."""

    client_hello: bytes
    record_version: int
    messages: tuple[bytes, ...]

    def flight(self, sizes: Iterable[int] | None = None) -> bytes:
        """Return the server's flight as records: all messages in one (as Schannel does it), or
        cut into records of `sizes` bytes, over and over, whatever message they fall into."""
        stream = b"".join(self.messages)
        lengths = cycle(sizes or [RECORD_LIMIT])
        flight = b""
        while stream:
            step = next(lengths)
            part, stream = stream[:step], stream[step:]
            flight += bytes([HANDSHAKE]) + self.record_version.to_bytes(2) + len(part).to_bytes(2)
            flight += part
        return flight

    def with_hello_extension(self, size: int) -> Recording:
        """Return the same with an unknown extension of `size` bytes at the ServerHello's end."""
        hello, *rest = self.messages
        body = hello[HANDSHAKE_HEADER_LENGTH:]
        fixed = HELLO_FIXED_LENGTH + body[HELLO_FIXED_LENGTH - 1] + CIPHER_AND_COMPRESSION
        extensions = body[fixed + 2 :] + UNKNOWN_EXTENSION + size.to_bytes(2) + bytes(size)
        body = body[:fixed] + len(extensions).to_bytes(2) + extensions
        hello = hello[:1] + len(body).to_bytes(HANDSHAKE_HEADER_LENGTH - 1) + body
        return replace(self, messages=(hello, *rest))

    def flight_by_message(self) -> bytes:
        """Return the server's flight with each message in a record of its own, as OpenSSL does."""
        return b"".join(
            Recording(self.client_hello, self.record_version, (one,)).flight()
            for one in self.messages
        )


def record(
    identity: Identity,
    version: Version = "1.0",
    *,
    key_exchange: str = SCHANNEL_PICK,
    server_name: str | None = None,
) -> Recording:
    """Let OpenSSL shake hands with itself in memory and keep the first flight of each side."""
    client_side = rat_client_context(version)
    server_side = rat_server_context(identity, version)
    server_side.set_ciphers(key_exchange)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname=server_name)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    _step(client)
    hello = to_server.read()
    to_server.write(hello)
    _step(server)
    return _read(hello, to_client.read())


def _step(side: ssl.SSLObject) -> None:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return
    raise AssertionError("a TLS handshake does not end with its first flight")


def _read(hello: bytes, flight: bytes) -> Recording:
    """Take the handshake messages out of their records (RFC 5246 sections 6.2.1 and 7.4)."""
    version, stream = int.from_bytes(flight[1:3]), b""
    while flight and flight[0] == HANDSHAKE:
        end = RECORD_HEADER_LENGTH + int.from_bytes(flight[3:5])
        stream += flight[RECORD_HEADER_LENGTH:end]
        flight = flight[end:]
    messages = []
    while stream:
        end = HANDSHAKE_HEADER_LENGTH + int.from_bytes(stream[1:4])
        messages.append(stream[:end])
        stream = stream[end:]
    return Recording(hello, version, tuple(messages))


# -- ways of cutting a flight into segments ---------------------------------------------------


def in_order(flight: bytes, size: int = MSS) -> list[Piece]:
    """Cut into segments of `size` bytes, in order; size 1 is the cruellest."""
    return [Piece(at, flight[at : at + size]) for at in range(0, len(flight), size)]


def backwards(flight: bytes, size: int = MSS) -> list[Piece]:
    """Cut into segments of `size` bytes, the last one first."""
    return in_order(flight, size)[::-1]


def shuffled(flight: bytes, size: int = MSS, seed: int = 7) -> list[Piece]:
    """Cut into segments of `size` bytes in an order that only the seed decides."""
    pieces = in_order(flight, size)
    random.Random(seed).shuffle(pieces)
    return pieces


def duplicated(flight: bytes, size: int = MSS) -> list[Piece]:
    """Send every segment twice, the copy one segment late."""
    pieces = in_order(flight, size)
    late = [None, *pieces]
    return [
        one for pair in zip([*pieces, None], late, strict=True) for one in pair if one is not None
    ]


def overlapping(flight: bytes, size: int = MSS) -> list[Piece]:
    """Let each segment begin in the middle of the one before, with the same bytes."""
    return [
        Piece(max(0, at - size // 2), flight[max(0, at - size // 2) : at + size])
        for at in range(0, len(flight), size)
    ]


def odd_ones_first(flight: bytes) -> list[Piece]:
    """One byte a segment: every second one, then those between."""
    pieces = in_order(flight, 1)
    return pieces[1::2] + pieces[::2]


def last_first(flight: bytes, size: int = MSS) -> list[Piece]:
    """Everything but the first segment, and then the first one."""
    pieces = in_order(flight, size)
    return pieces[1:] + pieces[:1]


def sent(pieces: Iterable[Piece], way: Way) -> list[Piece]:
    """Send the same pieces another way."""
    return [replace(piece, way=way) for piece in pieces]


def decoys(flight: bytes, way: Way, size: int = MSS, text: bytes | None = None) -> list[Piece]:
    """Put other bytes in front of every segment, in its place (`text`: which; default: noise)."""
    other = text or random.Random(11).randbytes(len(flight))
    return [
        piece
        for real in in_order(flight, size)
        for piece in (
            Piece(real.start, other[real.start : real.start + len(real.data)], way),
            real,
        )
        if piece.data
    ]
