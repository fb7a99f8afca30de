"""A server that hides its certificate from the box and not from its client: cut all the same.

Between the pieces of the flight stand segments that the client never reads, or the kernel must help
to see them. HELD is the whole list of what is not cut: a server that contradicts itself is held to
what it said first, and the client gets that and nothing else.
"""

import itertools
import random
import socket
from collections.abc import Callable, Iterator

import pytest

from inline.conftest import Box
from inline.flights import attack, play
from ratwall_lab.certificates import DCRAT, RENAMED, Identity, Notary
from ratwall_lab.clients import say_and_listen
from ratwall_lab.contexts import ANYTHING, rat_server_context
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.flight import (
    RSA_KEY_EXCHANGE,
    Piece,
    Recording,
    Way,
    decoys,
    in_order,
    last_first,
    odd_ones_first,
    record,
    sent,
)
from ratwall_lab.namespaces import run_tool
from ratwall_lab.segments import FlightServer
from ratwall_lab.servers import Server, idle_handler
from ratwall_lab.shapes import rat_shape
from ratwall_lab.topology import Lab

Cut = Callable[[Recording], list[Piece]]
LARGE_LEAF = 20_000
HELD_SECONDS = 2.0  # a client hears nothing for so long: several repetitions of its server


def contradicted(recording: Recording) -> list[Piece]:
    """The flight out of order, each segment followed by other bytes in its place."""
    pieces = decoys(recording.flight(), Way.PLAIN, 300)
    return [
        one for other, real in zip(pieces[::2], pieces[1::2], strict=True) for one in (real, other)
    ]


def with_garbage(recording: Recording) -> list[Piece]:
    """A keep-alive with a byte of garbage (RFC 9293 section 3.8.4) before each segment."""
    return [
        one
        for piece in in_order(recording.flight(), 200)
        for one in (Piece(piece.start - 1, b"\0"), piece)
    ]


CUTS: dict[str, Cut] = {
    "one byte a segment, every second one first": lambda r: odd_ones_first(r.flight()),
    "contradicted afterwards": contradicted,
    "other bytes with a bad checksum": lambda r: decoys(r.flight(), Way.BAD_CHECKSUM),
    "other bytes without ACK": lambda r: decoys(r.flight(), Way.NO_ACK),
    "other bytes that acknowledge too much": lambda r: decoys(r.flight(), Way.EARLY_ACK),
    "bytes below the window": lambda r: [Piece(-600, bytes(600)), *in_order(r.flight(), 500)],
    "bytes above the window": lambda r: [Piece(200_000, bytes(600)), *in_order(r.flight(), 500)],
    "a byte of garbage behind each segment": with_garbage,
    "urgent bytes": lambda r: sent(in_order(r.flight(), 300), Way.URGENT),
    "IP fragments": lambda r: sent(in_order(r.flight(), 500), Way.FRAGMENTS),
    "options of IPv4, extension headers of IPv6": lambda r: sent(
        in_order(r.flight(), 500), Way.EXTENDED
    ),
    "a hello of 60 KB": lambda r: in_order(r.flight()),
    "a hello of 60 KB, its first segment last": lambda r: last_first(r.flight()),
}
# Bytes of an extension of the ServerHello; 300 make more islands than are held.
EXTENSIONS = {
    "one byte a segment, every second one first": 300,
    "a hello of 60 KB": 60_000,
    "a hello of 60 KB, its first segment last": 60_000,
}
EARLY: dict[str, Piece] = {
    "a greeting below the window": Piece(-100, b"SSH-2.0-OpenSSH_9.2\r\n"),
    "an answer out of order": Piece(5000, b"HTTP/1.1 200 OK\r\n\r\n"),
    "noise far ahead": Piece(20_000, bytes(1000)),
}
# Not cut. The client gets what stood there first; nothing else is let through.
HELD: dict[str, Way] = {
    "overlap with conflict": Way.PLAIN,
    "overlap with conflict, old time stamps": Way.OLD_TIMESTAMP,
}
ports = itertools.count(12_000)


@pytest.fixture(scope="module")
def recording(rat: Identity) -> Recording:
    return record(rat, "1.2")


@pytest.fixture(scope="module")
def honest(notary: Notary) -> Recording:
    site, name = notary.web_site("shop.example"), "shop.example"
    return record(site, "1.2", key_exchange=ANYTHING, server_name=name)


@pytest.mark.parametrize("name", CUTS)
def test_a_flight_in_disguise_is_cut(
    lab: Lab, box: Box, rat: Identity, recording: Recording, name: str
) -> None:
    """IPv4 through the router, IPv6 through the bridge; both where IP itself is the disguise."""
    if name in EXTENSIONS:
        recording = recording.with_hello_extension(EXTENSIONS[name])
    pieces = CUTS[name](recording)
    for family in (4, 6) if "IP" in name else (4 if lab.mode == "router" else 6,):
        attack(lab, box, rat, lab.internet.address(2, family), next(ports), recording, pieces)


@pytest.mark.parametrize("name", EARLY)
def test_what_is_said_before_the_hello_decides_nothing(
    lab: Lab, box: Box, rat: Identity, recording: Recording, name: str
) -> None:
    attack(
        lab,
        box,
        rat,
        lab.internet.address(2),
        next(ports),
        recording,
        in_order(recording.flight(), 500),
        before_hello=[EARLY[name]],
    )


def test_a_server_that_answers_before_it_is_asked_is_cut(
    lab: Lab, box: Box, rat: Identity, recording: Recording
) -> None:
    """Whether its client has read that or not: nothing more gets through, all of it is read."""
    flight = recording.flight()
    for length in (5, 600):
        attack(
            lab,
            box,
            rat,
            lab.internet.address(2),
            next(ports),
            recording,
            in_order(flight, 500),
            before_hello=[Piece(0, flight[:length])],
        )


def test_a_leaf_of_20_kb_is_read(lab: Lab, box: Box, notary: Notary) -> None:
    identity = notary.rat(RENAMED, padding=LARGE_LEAF)
    recording = record(identity, "1.2")
    pieces = in_order(recording.flight())
    attack(lab, box, identity, lab.internet.address(2), next(ports), recording, pieces)


@pytest.mark.parametrize("name", HELD)
def test_a_server_that_contradicts_itself_is_held_to_what_it_said_first(
    lab: Lab, box: Box, recording: Recording, honest: Recording, name: str
) -> None:
    """First an honest flight, then a RAT's in its place: said of the connection on every page."""
    flight = recording.flight()
    first = honest.flight()[: len(flight)].ljust(len(flight), b"\0")
    address, port = lab.internet.address(2), next(ports)
    played = play(lab, address, port, recording, decoys(flight, HELD[name], 500, text=first))
    assert played.exchange.received == first
    assert played.exchange.end is End.STOPPED, "it got all of what was said first"
    flow = box.wait_flow(address, port)
    reasons = {reason["id"]: reason["text"] for reason in flow["evidence"]}
    assert "general.odd-handshake" in reasons
    assert "held to the first, and not reset" in reasons["flow.held"], "told on the page"


def test_an_answer_out_of_turn_is_held_and_its_server_is_reached_all_the_same(
    lab: Lab, box: Box, honest: Recording
) -> None:
    """No RAT is seen in it, and where its client begins to read cannot be known. That one
    connection stands still, which is told; nobody is blocked, and the next one passes."""
    flight, address, port = honest.flight(), lab.internet.address(4), next(ports)
    early, pieces = Piece(0, flight[:5]), in_order(flight, 500)
    with (
        FlightServer(
            lab.internet, address, port, pieces, content=flight, before_hello=[early]
        ) as server,
        lab.anna.enter(),
        socket.create_connection((address, port), PATIENCE_SECONDS) as client,
    ):
        assert client.recv(100) == early.data
        client.sendall(honest.client_hello)
        client.settimeout(HELD_SECONDS)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert server.visits[0].hello_bytes == len(honest.client_hello), "it has answered"
    flow = box.wait_flow(address, port)
    assert flow["verdict"] == "watch", "odd, and no more"
    reasons = {reason["id"]: reason["text"] for reason in flow["evidence"]}
    assert "answered in TLS before its client had asked" in reasons["flow.held"]
    played = play(lab, address, port, honest, pieces)
    assert (played.exchange.received, played.exchange.end) == (flight, End.STOPPED)
    assert [one for one in box.ask("incidents") if one["server"] == address] == []


# -- where the kernel must help -----------------------------------------------------------------


@pytest.fixture
def fast_open(lab: Lab) -> Iterator[None]:
    """Data in SYNs without a cookie, on either side."""
    lab.anna.write_sysctl("net.ipv4.tcp_fastopen", 0x1 | 0x4)
    lab.internet.write_sysctl("net.ipv4.tcp_fastopen", 0x2 | 0x200 | 0x400)
    yield
    for host in (lab.anna, lab.internet):
        host.write_sysctl("net.ipv4.tcp_fastopen", 1)


@pytest.mark.parametrize("order", [in_order, last_first])
def test_a_hello_in_the_syn_is_read(
    lab: Lab,
    box: Box,
    rat: Identity,
    recording: Recording,
    fast_open: None,
    order: Callable[[bytes, int], list[Piece]],
) -> None:
    for family in (4, 6):
        address, port = lab.internet.address(2, family), next(ports)
        pieces = order(recording.flight(), 400)
        attack(lab, box, rat, address, port, recording, pieces, fast_open=True)


def test_a_real_server_with_fast_open_is_cut(
    lab: Lab, box: Box, rat: Identity, recording: Recording, fast_open: None
) -> None:
    address, port = lab.internet.address(2), next(ports)
    context, handler = rat_server_context(rat, "1.2"), idle_handler(rat_shape("1.2"))
    with Server(lab.internet, address, port, context, handler) as server:
        exchange = say_and_listen(
            lab.anna, address, port, recording.client_hello, expected=9999, fast_open=True
        )
        (visit,) = server.wait_visits(1)
        assert visit.wait_end(PATIENCE_SECONDS) is End.RESET
    assert exchange.end is End.RESET
    assert exchange.received == b""
    box.wait_blocked(address, port)


def test_old_ports_used_again_are_read_again(
    lab: Lab, box: Box, rat: Identity, recording: Recording, honest: Recording
) -> None:
    """The port of a connection that was judged clean, and of one that was given up half read."""
    address, port = lab.internet.address(2), next(ports)
    source = 40_001
    played = play(lab, address, port, honest, in_order(honest.flight()), source_port=source)
    assert played.exchange.received == honest.flight()
    half = in_order(recording.flight()[:200])
    play(
        lab,
        address,
        port,
        recording,
        half,
        content=b"".join(piece.data for piece in half),
        source_port=source,
    )
    pieces = in_order(recording.flight())
    attack(lab, box, rat, address, port, recording, pieces, source_port=source)


# -- the reset itself ---------------------------------------------------------------------------

LOSE_FIRST_RESET = """
table inet lab_loss {{
    chain input {{
        type filter hook input priority -300;
        tcp sport {port} tcp flags & rst == rst limit rate 1/hour burst 1 packets counter drop
    }}
}}
"""


def test_a_client_whose_reset_is_lost_is_closed_all_the_same(
    lab: Lab, box: Box, notary: Notary
) -> None:
    """A flight in one segment: there is no second one to become a reset as well."""
    identity = notary.rat(DCRAT)
    recording = record(identity, "1.0", key_exchange=RSA_KEY_EXCHANGE)
    pieces = in_order(recording.flight())
    assert len(pieces) == 1
    address, port = lab.internet.address(2), next(ports)
    run_tool(lab.anna.argv(["nft", "-f", "-"]), text=LOSE_FIRST_RESET.format(port=port))
    try:
        attack(lab, box, identity, address, port, recording, pieces)
        listing = run_tool(lab.anna.argv(["nft", "list", "table", "inet", "lab_loss"]))
    finally:
        run_tool(lab.anna.argv(["nft", "delete", "table", "inet", "lab_loss"]))
    assert "counter packets 1 " in listing, "one was lost, and only one"


def test_the_last_segment_may_begin_with_what_the_client_has(
    lab: Lab, box: Box, rat: Identity, recording: Recording
) -> None:
    """The reset in its place must stand where the client waits, not where the segment begins."""
    flight = recording.flight()
    middle = len(flight) // 3
    pieces = [Piece(0, flight[:middle]), Piece(middle // 2, flight[middle // 2 :][:1400])]
    attack(lab, box, rat, lab.internet.address(2), next(ports), recording, pieces)


# -- and who means well ---------------------------------------------------------------------------


def test_a_reordered_download_completes(lab: Lab, box: Box) -> None:
    """Plain text, far more of it out of order than is held, and lost on the way by our dropping."""
    text = random.Random(5).randbytes(400_000)
    request = Recording(b"ASK\x00\x05again", 0x0303, ())  # framed like a record, and none
    for shuffle in (last_first, lambda data: in_order(data)[::-1]):
        played = play(
            lab, lab.internet.address(2), next(ports), request, shuffle(text), content=text
        )
        assert played.exchange.received == text
