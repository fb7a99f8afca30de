"""A stream picked up anywhere is known as TLS by two headers that agree, and nothing else is."""

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.flow.connection import Connection
from ratwall.flow.opening import SEARCH_SEGMENTS, Opening, Outcome
from ratwall.flow.resync import CANDIDATES, SEARCH_BYTES, RecordSearch
from ratwall.wire.tls.conversation import ConversationState
from ratwall.wire.tls.record import RECORD_LIMIT
from unit.flow.segments import Wire
from unit.wire import handshakes


def record(length: int, content: bytes | None = None, kind: int = 23) -> bytes:
    return bytes((kind, 3, 3)) + length.to_bytes(2, "big") + (content or os.urandom(length))


def found_after(stream: bytes, size: int) -> int | None:
    """How many bytes it took, fed `size` at a time; None if it was never found."""
    search = RecordSearch()
    for at in range(0, len(stream), size):
        if search.feed(stream[at : at + size]):
            return at + size
    return None


@given(
    st.integers(0, RECORD_LIMIT - 1),
    st.lists(st.integers(1, RECORD_LIMIT), min_size=3, max_size=3),
    st.sampled_from([100, 536, 1448, 65_536]),
)
def test_two_whole_records_are_enough_wherever_it_begins(
    skipped: int, lengths: list[int], size: int
) -> None:
    stream = b"".join(record(length, bytes(length)) for length in lengths)
    first = 5 + lengths[0]
    taken = found_after(stream[min(skipped, first - 1) :], size)
    assert taken is not None
    assert taken <= SEARCH_BYTES + size


def test_a_record_that_ends_where_the_sender_stopped_is_enough() -> None:
    assert found_after(record(28), 1000) is not None
    search = RecordSearch()
    assert not search.feed(record(28)[:20])
    assert search.feed(record(28)[20:])


def test_one_header_alone_is_not() -> None:
    search = RecordSearch()
    assert not search.feed(record(500, bytes(500))[:400])
    assert not search.feed(bytes(200)), "no header where the first says"
    assert not RecordSearch().feed(record(0) + b"x"), "an empty record says nothing"


@given(st.lists(st.binary(max_size=700), max_size=20))
def test_how_it_is_cut_does_not_matter(pieces: list[bytes]) -> None:
    """Found in pieces is found: but for records that end with a piece, which only they have."""
    stream = b"".join(pieces)
    search = RecordSearch()
    in_pieces = any(search.feed(piece) for piece in pieces)
    whole = RecordSearch().feed(stream + b"\0")
    assert in_pieces or not whole


def test_random_bytes_and_text_are_not_taken_for_records() -> None:
    ciphertext = random.Random(7).randbytes(4_000_000)
    assert found_after(ciphertext, 1448) is None
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" * 1000
    assert found_after(text, 1448) is None


@pytest.mark.parametrize("count", [CANDIDATES - 1, CANDIDATES, CANDIDATES + 1])
def test_candidates_are_bounded(count: int) -> None:
    decoys = b"".join(record(9000 + number, b"-") for number in range(count))
    search = RecordSearch()
    assert not search.feed(decoys + b"end")
    ends = [(number + 1) * 6 + 8999 + number for number in range(count)]
    padding = bytes(ends[-1] - len(decoys) - 3)
    assert search.feed(padding + record(50)[:10]) == (count <= CANDIDATES)


# -- and so says a connection ------------------------------------------------------------------


@pytest.mark.parametrize("from_client", [True, False])
@pytest.mark.parametrize("skipped", [0, 1, 3, 100, 5000])
def test_a_connection_begun_before_our_time_is_picked_up(from_client: bool, skipped: int) -> None:
    data = handshakes.records(bytes(30_000), 23)[skipped:]
    connection = Connection(0)
    for sender, segment in Wire().flight(from_client, data, 1448):
        connection.push(sender, segment)
    assert connection.state == ConversationState.HIDDEN
    assert connection.carried_tls
    assert connection.facts.picked_up
    assert connection.facts.certificate_der is None


def test_the_next_heartbeat_is_enough() -> None:
    connection = Connection(0)
    for sender, segment in Wire().flight(True, record(28) + record(60), 1448):
        connection.push(sender, segment)
    assert connection.facts.picked_up


@pytest.mark.parametrize("size", [1, 100, 1448])
def test_what_is_no_tls_is_given_up_in_time(size: int) -> None:
    opening, pushed = Opening(), 0
    while opening.outcome is Outcome.SEARCHING:
        assert opening.take(True, b"x" * size) == b""
        pushed += 1
    assert opening.outcome is Outcome.PLAIN
    assert pushed == min(SEARCH_SEGMENTS, -(-SEARCH_BYTES // size))


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ([(True, b"GET / HTTP/1.1\r\n\r\n")], Outcome.PLAIN),
        ([(True, b"GETTING")], Outcome.SEARCHING),
        ([(True, b"CONNECT a:443 HTTP/1.1\r\n\r\n"), (False, b"HTTP/1.1")], Outcome.SEARCHING),
        ([(False, b"SSH-2.0-OpenSSH_9\r\n")], Outcome.PLAIN),
        ([(True, b"SSH-2.0-PuTTY\r\n"), (False, b"SSH-2.0-x\r\n")], Outcome.PLAIN),
        ([(False, b"220 mail\r\n"), (True, b"EHLO me\r\n")], Outcome.SEARCHING),
        ([(False, b"HTTP/1.1 200 OK\r\n")], Outcome.PLAIN),
    ],
)
def test_the_first_bytes_decide_early(said: list[tuple[bool, bytes]], outcome: Outcome) -> None:
    opening = Opening()
    for from_client, data in said:
        assert opening.take(from_client, data) == b""
    assert opening.outcome is outcome
