"""The canned handshake: one ClientHello and the flight of a server that must be cut.

`flight.bin` holds TLS records as they go over the wire, the client's one first; the certificate in
it has the RATs' shape and the name "Ratwall Self-Test". Nobody has its private key: it was thrown
away when `scripts/make-selftest-flight` wrote the file.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

RECORD_HEADER_LENGTH = 5  # type, version, length: RFC 5246 section 6.2.1


@dataclass(frozen=True, slots=True)
class Handshake:
    """What each side says first."""

    client_hello: bytes
    server_flight: bytes


@cache
def canned_handshake() -> Handshake:
    """Return the handshake that the package carries."""
    data = files("ratwall.selftest").joinpath("flight.bin").read_bytes()
    end = RECORD_HEADER_LENGTH + int.from_bytes(data[3:RECORD_HEADER_LENGTH], "big")
    return Handshake(data[:end], data[end:])
