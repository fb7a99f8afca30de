"""The whole path under hypothesis: orders, cuts, repetitions, contradictions of real handshakes.

What must hold: no exception, one release a packet, bounded state (`fuzz.path` looks at all three
with every packet), the same verdict as in order once all bytes have come, and the one rule.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.path import Game, certificate_end
from fuzz.seeds import ACK, CLIENT_PORT, SYN_ACK
from ratwall.flow.connection import HANDSHAKE_LIMIT
from ratwall.inspector.inspector import Inspector
from ratwall.inspector.tracked import TrackedTable
from ratwall.kernel.marks import FlowClass
from ratwall.selftest.flight import canned_handshake
from ratwall.wire.reassembly import ISLAND_LIMIT, OUT_OF_ORDER_LIMIT

FLIGHT = canned_handshake().server_flight
EXAMPLES = settings(max_examples=60, deadline=None)


@dataclass(frozen=True)
class Move:
    """Bytes of the server at a place, and what becomes of them."""

    place: int
    data: bytes
    flags: int = ACK
    lost: bool = False
    checksum_error: int = 0
    stray: bool = False


def serve(game: Game, moves: Sequence[Move]) -> None:
    for move in moves:
        game.serve(
            move.place,
            move.data,
            flags=move.flags,
            lost=move.lost,
            checksum_error=move.checksum_error,
            stray=move.stray,
        )


def tiling(cuts: list[int]) -> list[Move]:
    edges = sorted({0, len(FLIGHT), *cuts})
    return [Move(start, FLIGHT[start:end]) for start, end in itertools.pairwise(edges)]


@st.composite
def extra(draw: st.DrawFn) -> Move:
    """A part of the flight once more, as it is, lost, broken or with other bytes."""
    place = draw(st.integers(0, len(FLIGHT) - 1))
    data = FLIGHT[place : place + draw(st.integers(1, 400))]
    kind = draw(st.sampled_from(["again", "lost", "broken", "stray"]))
    if kind != "again":
        data = bytes(byte ^ draw(st.integers(1, 255)) for byte in data[:20]) + data[20:]
    return Move(
        place,
        data if kind in ("broken", "stray") else FLIGHT[place : place + len(data)],
        lost=kind == "lost",
        checksum_error=int(kind == "broken"),
        stray=kind == "stray",
    )


whole_flight = (
    st.lists(st.integers(1, len(FLIGHT) - 1), max_size=25)
    .map(tiling)
    .flatmap(lambda parts: st.lists(extra(), max_size=10).map(lambda more: parts + more))
    .flatmap(st.permutations)
)
GREETING = b"220 mail.example ready, TLS required\r\n"
# What means something where a connection begins, and what may be the beginning of an answer.
telling = st.sampled_from(
    [GREETING, b"SSH-2.0-none\r\n", b"HTTP/1.1 200 OK\r\n\r\n", FLIGHT[:1], FLIGHT[:5], FLIGHT]
)
contradiction = st.builds(
    Move,
    place=st.one_of(st.just(0), st.integers(-200, 2 * len(FLIGHT))),
    data=st.one_of(st.binary(max_size=400), telling),
    flags=st.sampled_from([ACK, ACK | 0x20, SYN_ACK, 0]),
    lost=st.booleans(),
)
genuine = st.integers(0, len(FLIGHT) - 1).flatmap(
    lambda at: st.integers(1, 800).map(lambda size: Move(at, FLIGHT[at : at + size]))
)


@EXAMPLES
@given(whole_flight, st.sampled_from([4, 6]), st.booleans())
def test_in_any_order_the_verdict_is_that_of_the_order_it_was_written_in(
    moves: list[Move], version: int, fast_open: bool
) -> None:
    game = Game(version)
    game.hello(fast_open)
    serve(game, moves)
    assert game.kernel is FlowClass.BLOCK
    (report,) = game.reports
    assert report["class"] == "block"
    assert game.inspector.cut == 1


@EXAMPLES
@given(
    st.lists(st.one_of(genuine, contradiction, st.binary(max_size=40)), max_size=40),
    st.integers(0, 5),
    st.booleans(),
)
def test_whatever_a_server_says_its_client_never_reads_the_certificate(
    script: list[Move | bytes], early: int, fast_open: bool
) -> None:
    """A binary is what the client says meanwhile, acknowledging what it has read."""
    game = Game()
    for number, step in enumerate([*script, *tiling([700])]):
        if number == (0 if fast_open else early):
            game.hello(fast_open)
        if isinstance(step, bytes):
            if game.greeted:
                game.speak(step)
        else:
            serve(game, [step])
    assert game.inspector.queued >= len(game.reports)


@EXAMPLES
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=120)), max_size=20))
def test_arbitrary_datagrams_get_one_release_each(packets: list[tuple[bool, bytes]]) -> None:
    game = Game()
    for from_client, data in packets:
        game.raw(from_client, data)
        game.raw(from_client, b"\x45" + data)
    assert game.inspector.queued == 2 * len(packets)


# -- memory does not grow -------------------------------------------------------------------------


def held(inspector: Inspector) -> int:
    return inspector._table.held


@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_too_far_ahead_to_be_held_does_not_pass_and_frees_nobody(size: int) -> None:
    game = Game()
    game.hello()
    limit = OUT_OF_ORDER_LIMIT // size if size > 1 else ISLAND_LIMIT
    for number in range(limit + 2):
        game.serve(len(FLIGHT) + 1 + number * (size + 1), bytes(size))
    passed = sum(len(copies) for copies in game.client.copies.values())
    assert passed == limit * size
    assert held(game.inspector) <= limit * size + len(canned_handshake().client_hello)
    serve(game, tiling([700]))
    assert game.kernel is FlowClass.BLOCK


@pytest.mark.parametrize("step", [2, 1001])
def test_noise_before_the_hello_does_not_move_the_beginning(step: int) -> None:
    """More of it than is held, so that the server's stream begins before the client has spoken."""
    game = Game()
    for place in range(2000, 2000 + 2 * max(OUT_OF_ORDER_LIMIT, step * ISLAND_LIMIT), step):
        game.serve(place, bytes(min(step, 1000)), lost=True)
        if game.kernel is FlowClass.OBSERVED:
            break
    game.hello()
    serve(game, tiling([700]))
    assert game.kernel is FlowClass.BLOCK


@pytest.mark.parametrize("early", [b"\x16\x03\x01\x40\x00", FLIGHT[:1], FLIGHT[:700]])
@pytest.mark.parametrize("read", [True, False])
def test_a_server_that_does_not_wait_for_the_hello_says_no_more(early: bytes, read: bool) -> None:
    """Found by the fuzzer: whether the client has read the first bytes cannot be known."""
    game = Game()
    place = 0 if read else -len(early)
    serve(game, [Move(place, early, lost=not read)])
    game.hello()
    before = game.client.read
    serve(game, tiling([1, 700]))
    assert game.kernel in (FlowClass.WATCH, FlowClass.BLOCK)
    assert game.client.read == before


@pytest.mark.parametrize("read", [True, False])
@pytest.mark.parametrize("behind", [b"", b"220 and a second line\r\n"])
def test_a_greeting_before_the_hello_changes_nothing(read: bool, behind: bytes) -> None:
    """Read by the client or below its window; what it has not read yet stands before the answer."""
    game = Game()
    start = len(GREETING) if read else 0
    serve(game, [Move(start - len(GREETING), GREETING, lost=not read)])
    game.hello()
    serve(game, [Move(start, behind)] if behind else [])
    serve(game, [replace(move, place=start + len(behind) + move.place) for move in tiling([700])])
    assert game.kernel is FlowClass.BLOCK
    assert game.client.read < start + len(behind) + certificate_end()


def test_nor_does_one_that_nobody_could_hold() -> None:
    """It frees the connection before the client has spoken: the hello brings it back, and what the
    client may have read of the flight meanwhile is not known any more."""
    game = Game()
    greeting = b"SSH-2.0-none\r\n".ljust(OUT_OF_ORDER_LIMIT + 2000, b".")
    for place in range(0, len(greeting), 1000):
        piece = greeting[place : place + 1000]
        game.serve(place - len(greeting), piece, lost=True)
    assert game.kernel is FlowClass.OBSERVED
    game.serve(0, FLIGHT[:700])
    game.hello()
    serve(game, tiling([700]))
    assert game.client.read == 700


@pytest.mark.parametrize("early", [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n"])
def test_nor_does_one_in_the_place_of_the_answer(early: bytes) -> None:
    """The client throws it away, says hello, and would read the flight there."""
    game = Game()
    game.serve(0, early, lost=True)
    game.hello()
    serve(game, tiling([700]))
    assert game.kernel in (FlowClass.WATCH, FlowClass.BLOCK)


def test_what_was_said_behind_the_beginning_is_not_forgotten() -> None:
    """The client has the end of the flight, out of order; then noise, its hello, the beginning."""
    game = Game()
    game.serve(300, FLIGHT[300:])
    for place in range(100_000, 100_000 + OUT_OF_ORDER_LIMIT, 1000):
        game.serve(place, bytes(1000), lost=True)
    game.hello()
    game.serve(0, FLIGHT[:300])
    assert game.kernel is FlowClass.BLOCK


def test_an_inspector_that_comes_late_holds_nobody() -> None:
    """It sees the answer of a handshake whose hello another one has read."""
    game = Game(fast=False)
    game.kernel = FlowClass.WATCH
    serve(game, tiling([700])[:1])
    game.hello()  # after a HelloRetryRequest, say
    serve(game, [Move(700, b"anything")])
    assert game.client.read == 708


def test_a_keep_alive_before_the_hello_is_no_word() -> None:
    game = Game()
    serve(game, [Move(-1, b"\0", lost=True)])
    game.hello()
    serve(game, tiling([700]))
    assert game.kernel is FlowClass.BLOCK


def test_a_handshake_without_end_is_held_at_its_limit() -> None:
    """Records of one byte, for ever: the server's words stop passing, and are not kept."""
    game = Game()
    game.hello()
    endless = b"\x16\x03\x01\x00\x01\x00" * 200
    for place in range(0, 2 * HANDSHAKE_LIMIT, len(endless)):
        game.serve(place, endless)
    assert HANDSHAKE_LIMIT <= game.client.read <= HANDSHAKE_LIMIT + len(endless)
    assert held(game.inspector) <= HANDSHAKE_LIMIT + 2 * len(endless)
    assert game.kernel is FlowClass.WATCH


@pytest.mark.parametrize("limit", [49, 50, 51])
def test_many_connections_do_not_grow_the_inspector(limit: int) -> None:
    """More than a (small) table holds, each with half a hello; a quarter of it may be held."""
    game = Game(fast=False)  # which has bounds of its own: tests/unit/inspector/test_fast_path.py
    half = canned_handshake().client_hello[:60]
    game.inspector._table = TrackedTable(capacity=limit, held_limit=limit * len(half) // 4)
    for number in range(200):
        game.said = 0
        game.kernel = FlowClass.NONE
        game.port = CLIENT_PORT + number
        game.speak(half)
        assert held(game.inspector) <= limit * len(half) // 4
    assert 0 < len(game.inspector._table) <= limit
    assert game.inspector.evicted == 200 - len(game.inspector._table)


def test_the_game_can_be_lost() -> None:
    """Without the certificate's end it is nobody's; a client that reads it all has lost."""
    game = Game()
    game.hello()
    game.client.take(0, FLIGHT[: certificate_end() - 1])
    game.check_client()
    game.client.take(certificate_end() - 1, FLIGHT[certificate_end() - 1 :])
    with pytest.raises(AssertionError, match="got through"):
        game.check_client()
