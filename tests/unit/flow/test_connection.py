"""Segments in, facts out; and always the number that a reset would need."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratwall.flow.connection import Connection
from ratwall.wire.packet import TcpFlag
from ratwall.wire.reassembly import OUT_OF_ORDER_LIMIT
from ratwall.wire.tls.conversation import ConversationState
from ratwall.wire.tls.facts import Anomaly
from unit.flow.segments import MASK, Sent, Wire
from unit.wire import handshakes
from unit.wire.handshakes import observe, papers

FULL = handshakes.full("TLS 1.2")
HELLO, ANSWER = FULL[0][1], FULL[1][1]


def play(sent: list[Sent], connection: Connection | None = None) -> Connection:
    connection = connection or Connection(first_seen=0)
    for from_client, segment in sent:
        connection.push(from_client, segment)
    return connection


def test_a_connection_is_what_its_conversation_says() -> None:
    connection = play([sent for flight in Wire().conversation(FULL) for sent in flight])
    assert connection.state == ConversationState.CERTIFICATE
    assert connection.facts == observe(FULL).facts
    assert connection.carried_tls


@given(st.data(), st.sampled_from([1, 60, 536]))
@settings(max_examples=60, deadline=None)
def test_any_order_and_repetition_of_the_servers_segments_gives_the_same_facts(
    data: st.DataObject, size: int
) -> None:
    """The box sees no SYN: the server's start is known from the client's first acknowledgement."""
    wire = Wire()
    hello = wire.flight(True, HELLO)
    answer = wire.flight(False, ANSWER, size)
    again = data.draw(st.lists(st.sampled_from(answer), max_size=5))
    if size == 1:
        seed = data.draw(st.randoms(use_true_random=False))
        shuffled = answer + again
        seed.shuffle(shuffled)
    else:
        shuffled = data.draw(st.permutations(answer + again))
    connection = play(hello + list(shuffled))
    assert connection.facts == observe(FULL[:2]).facts
    assert connection.state == ConversationState.CERTIFICATE
    assert connection.released(to_client=True) == wire.numbers[False]


def test_the_second_half_of_a_hello_may_come_first() -> None:
    wire = Wire()
    first, second, *rest = wire.flight(True, HELLO, 100)
    assert play([second, first, *rest]).facts == observe(FULL[:1]).facts


# -- the number that a reset needs -------------------------------------------------------------


def test_released_is_the_first_byte_that_a_side_still_waits_for() -> None:
    wire = Wire()
    client_start, server_start = wire.numbers[True], wire.numbers[False]
    connection = play(wire.flight(True, HELLO))
    assert connection.released(to_client=False) == (client_start + len(HELLO)) & MASK
    assert connection.released(to_client=True) == server_start
    first, lost, third, *_ = wire.flight(False, ANSWER, 100)
    play([first, third], connection)
    assert connection.released(to_client=True) == (server_start + 100) & MASK
    play([lost], connection)
    assert connection.released(to_client=True) == (server_start + 300) & MASK


def test_before_a_stream_has_started_released_is_what_its_receiver_acknowledged() -> None:
    wire = Wire()
    connection = play(wire.flight(False, b"220 mail.example ESMTP\r\n"))
    assert connection.released(to_client=False) == wire.numbers[True]


# -- where streams start -----------------------------------------------------------------------


def test_fast_open_data_follows_the_syn() -> None:
    wire = Wire()
    sent = [wire.segment(True, HELLO, TcpFlag.SYN), *wire.flight(False, ANSWER)]
    assert play(sent).facts == observe(FULL[:2]).facts


def test_syns_are_used_where_they_are_seen() -> None:
    """With the SYN-ACK seen, even a server that speaks first may be out of order."""
    wire = Wire()
    opening = [
        wire.segment(True, b"", TcpFlag.SYN),
        wire.segment(False, b"", TcpFlag.SYN | TcpFlag.ACK),
    ]
    first, second, *rest = wire.flight(False, ANSWER)
    connection = play([*opening, second, first, *rest])
    assert connection.state == ConversationState.CERTIFICATE


def test_a_second_syn_ack_with_another_number_misleads_nobody() -> None:
    wire = Wire()
    opening = [wire.segment(True, b"", TcpFlag.SYN)]
    stray = Wire({True: 1, False: 77}).segment(False, b"", TcpFlag.SYN | TcpFlag.ACK)
    opening += [stray, wire.segment(False, b"", TcpFlag.SYN | TcpFlag.ACK)]
    connection = play(opening + wire.flight(True, HELLO) + wire.flight(False, ANSWER))
    assert connection.state == ConversationState.CERTIFICATE


@pytest.mark.parametrize("skipped", [1, 3, 100, 5000])
def test_a_connection_picked_up_in_its_middle_is_never_a_handshake(skipped: int) -> None:
    data = handshakes.records(bytes(8000), 23)
    wire = Wire()
    connection = play(wire.flight(True, data[skipped:]) + wire.flight(False, data[skipped:]))
    assert connection.state in (ConversationState.NOT_TLS, ConversationState.UNKNOWN)
    assert connection.facts.certificate_der is None


# -- what a peer may try -----------------------------------------------------------------------


def test_the_first_copy_wins_and_a_different_one_is_an_anomaly() -> None:
    wire = Wire()
    hello = wire.flight(True, HELLO)
    first, second, *rest = wire.flight(False, ANSWER)
    wire.numbers[False] = second[1].sequence
    other = wire.segment(False, bytes(len(second[1].payload)))
    connection = play([*hello, second, other, first, *rest])
    assert connection.facts.certificate_der == papers().der
    assert connection.facts.anomalies == {Anomaly.OVERLAP_CONFLICT}


def test_too_much_out_of_order_is_an_anomaly() -> None:
    wire = Wire()
    connection = play(wire.flight(True, HELLO))
    wire.numbers[False] += 1
    play(wire.flight(False, bytes(OUT_OF_ORDER_LIMIT)), connection)
    assert not connection.facts.anomalies
    play(wire.flight(False, b"x"), connection)
    assert connection.facts.anomalies == {Anomaly.REASSEMBLY_OVERFLOW}


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.integers(0, MASK),
            st.integers(0, MASK),
            st.integers(0, 63),
            st.binary(max_size=60),
        ),
        max_size=12,
    ),
)
def test_arbitrary_segments_never_raise(
    segments: list[tuple[bool, int, int, int, bytes]],
) -> None:
    connection = Connection(0)
    for from_client, sequence, acknowledgement, flags, payload in segments:
        _, segment = Wire({from_client: sequence, not from_client: acknowledgement}).segment(
            from_client, payload, flags
        )
        connection.push(from_client, segment)
        connection.released(from_client)
