"""DNS over TCP: messages out of copied segments, whole, in order, bounded."""

from hypothesis import given
from hypothesis import strategies as st

from ratwall.names.streams import STREAMS_LIMIT, AnswerStreams
from ratwall.wire.packet import Segment

START = 0xFFFF_FF00  # the sequence numbers wrap on the way


def segment(at: int, payload: bytes, *, port: int = 40_000, missing: int = 0) -> Segment:
    length = 40 + len(payload) + missing
    sequence = (START + at) % 2**32
    return Segment(4, b"\1" * 4, b"\2" * 4, 53, port, sequence, 0, 0x18, payload, 20, 20, length)


def framed(*messages: bytes) -> bytes:
    return b"".join(len(each).to_bytes(2, "big") + each for each in messages)


@given(
    st.lists(st.binary(min_size=1, max_size=600), min_size=1, max_size=5),
    st.integers(1, 400),
    st.randoms(use_true_random=False),
)
def test_messages_come_whole_however_they_were_cut(messages, size, random) -> None:  # type: ignore[no-untyped-def]
    text = framed(*messages)
    pieces = [segment(at, text[at : at + size]) for at in range(0, len(text), size)]
    later = pieces[1:]
    random.shuffle(later)
    streams = AnswerStreams()
    found = [message for piece in (pieces[0], *later) for message in streams.take(piece)]
    assert found == messages


def test_a_copy_that_was_cut_off_ends_its_connection_only() -> None:
    streams = AnswerStreams()
    assert streams.take(segment(0, framed(b"whole") + b"\0\x09half", missing=5)) == [b"whole"]
    assert len(streams) == 0
    assert streams.take(segment(0, framed(b"other"), port=41_000)) == [b"other"]


def test_a_new_connection_on_old_ports_begins_anew() -> None:
    streams = AnswerStreams()
    assert streams.take(segment(0, b"\0\x09half")) == []
    assert streams.take(segment(0x4000_0000, framed(b"new"))) == [b"new"]


def test_connections_are_bounded() -> None:
    streams = AnswerStreams()
    for port in range(1, STREAMS_LIMIT + 10):
        streams.take(segment(0, b"\0\x09", port=port))
    assert len(streams) == STREAMS_LIMIT
