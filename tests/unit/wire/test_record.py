"""Records cut from bytes as they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.wire.errors import ParseError
from ratwall.wire.tls.record import (
    RECORD_LIMIT,
    SSL2_HELLO,
    RecordPiece,
    RecordReader,
    looks_like_record,
)

fragments = st.lists(
    st.tuples(st.integers(20, 24), st.integers(0x0300, 0x0304), st.binary(max_size=300)), max_size=6
)


def wire(records: list[tuple[int, int, bytes]]) -> bytes:
    return b"".join(
        bytes((kind,)) + version.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data
        for kind, version, data in records
    )


@given(fragments, st.integers(1, 400))
def test_any_cut_gives_the_same_records(records: list[tuple[int, int, bytes]], size: int) -> None:
    reader = RecordReader(ssl2=False)
    data = wire(records)
    whole: list[tuple[int, int, bytes]] = []
    for start in range(0, len(data), size):
        for piece in reader.feed(data[start : start + size]):
            if piece.first:
                whole.append((piece.type, piece.version, b""))
            kind, version, so_far = whole[-1]
            whole[-1] = (kind, version, so_far + piece.data)
            assert piece.rest == piece.length - len(whole[-1][2])
    assert whole == records


@pytest.mark.parametrize(
    ("length", "fits"), [(RECORD_LIMIT - 1, True), (RECORD_LIMIT, True), (RECORD_LIMIT + 1, False)]
)
def test_a_record_has_at_most_the_length_of_rfc_5246(length: int, fits: bool) -> None:
    header = b"\x16\3\3" + length.to_bytes(2, "big")
    assert looks_like_record(header) == fits
    reader = RecordReader(ssl2=False)
    if fits:
        assert list(reader.feed(header)) == []
    else:
        with pytest.raises(ParseError):
            list(reader.feed(header))


def test_garbage_is_refused_at_its_first_wrong_byte_and_named() -> None:
    reader = RecordReader(ssl2=False)
    pieces = reader.feed(b"\x16\3\1\0\1xGET")
    assert next(pieces) == RecordPiece(0x16, 0x0301, 1, True, 0, b"x")
    with pytest.raises(ParseError, match="byte 6"):
        next(pieces)
    with pytest.raises(ParseError):
        list(RecordReader(ssl2=False).feed(b"G"))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", True),
        ("16", True),
        ("1603", True),
        ("160301", True),
        ("1603010200", True),
        ("15030000020228", True),
        ("1604", False),
        ("160305", False),
        ("1903010001", False),
        ("802e010002", True),
        ("802e010301", True),
        ("802e02", False),
        ("802e010001", False),
        ("c0010100ff", False),  # TACACS+
        ("474554", False),
        ("0010", False),
    ],
)
def test_what_looks_like_the_start_of_tls(text: str, answer: bool) -> None:
    assert looks_like_record(bytes.fromhex(text)) == answer


def test_an_ssl2_hello_is_possible_only_at_the_beginning_of_the_client() -> None:
    hello = b"\x80\x06\1\3\1abc"
    pieces = list(RecordReader(ssl2=True).feed(hello))
    assert {piece.type for piece in pieces} == {SSL2_HELLO}
    assert b"".join(piece.data for piece in pieces) == hello[2:]
    with pytest.raises(ParseError):
        list(RecordReader(ssl2=False).feed(hello))
    with pytest.raises(ParseError):
        list(RecordReader(ssl2=True).feed(b"\x16\3\1\0\1x" + hello))


def test_an_ssl2_hello_shorter_than_its_own_version_is_an_error() -> None:
    with pytest.raises(ParseError):
        list(RecordReader(ssl2=True).feed(b"\x80\x02\1\3\1"))
