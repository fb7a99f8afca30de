"""A recorded flight played to an ordinary client, and what must have become of both."""

from collections.abc import Sequence
from dataclasses import dataclass

from inline.conftest import Box
from ratwall_lab.certificates import Identity
from ratwall_lab.clients import Exchange, say_and_listen
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.flight import Piece, Recording
from ratwall_lab.segments import FlightServer, FlightVisit
from ratwall_lab.topology import Lab


@dataclass(frozen=True)
class Played:
    """What the client got, and what the server saw of it."""

    exchange: Exchange
    visit: FlightVisit
    content: bytes

    def assert_cut(self, identity: Identity) -> None:
        """Reset on both sides before the flight was whole, and nothing said after the hello."""
        assert self.exchange.end is End.RESET
        assert len(self.exchange.received) < len(self.content)
        assert identity.der not in self.exchange.received
        assert self.visit.bytes_after_hello == 0
        assert self.visit.reset is not None


def play(
    lab: Lab,
    address: str,
    port: int,
    recording: Recording,
    pieces: Sequence[Piece],
    *,
    content: bytes | None = None,
    before_hello: Sequence[Piece] = (),
    source_port: int = 0,
    fast_open: bool = False,
) -> Played:
    """Play pieces to a client that says hello; `content` is what the server sends again."""
    content = recording.flight() if content is None else content
    with FlightServer(
        lab.internet, address, port, pieces, content=content, before_hello=before_hello
    ) as server:
        exchange = say_and_listen(
            lab.anna,
            address,
            port,
            recording.client_hello,
            expected=len(content),
            timeout=PATIENCE_SECONDS,
            source_port=source_port,
            fast_open=fast_open,
        )
        return Played(exchange, server.wait_visit(), content)


def attack(
    lab: Lab,
    box: Box,
    identity: Identity,
    address: str,
    port: int,
    recording: Recording,
    pieces: Sequence[Piece],
    *,
    content: bytes | None = None,
    before_hello: Sequence[Piece] = (),
    source_port: int = 0,
    fast_open: bool = False,
) -> None:
    """The same, and it must have been cut and its server blocked."""
    played = play(
        lab,
        address,
        port,
        recording,
        pieces,
        content=content,
        before_hello=before_hello,
        source_port=source_port,
        fast_open=fast_open,
    )
    played.assert_cut(identity)
    box.wait_blocked(address, port)
