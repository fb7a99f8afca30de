"""The cursor and its inverse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.wire.buffer import Buffer, Writer
from ratwall.wire.errors import ParseError


@given(
    st.integers(0, 0xFF),
    st.integers(0, 0xFFFF),
    st.binary(max_size=300),
    st.lists(st.integers(0, 0xFFFF), max_size=50).map(tuple),
)
def test_what_is_pushed_is_pulled(
    small: int, large: int, data: bytes, numbers: tuple[int, ...]
) -> None:
    writer = Writer()
    writer.push_uint8(small)
    writer.push_uint16(large)
    writer.push_opaque(data, 2)
    with writer.push_block(3):
        writer.push_uint16_list(numbers)
        writer.push_bytes(data)
    buffer = Buffer(writer.getvalue())
    assert buffer.pull_uint8() == small
    assert buffer.pull_uint16() == large
    assert buffer.pull_opaque(2) == data
    with buffer.pull_block(3) as block:
        assert block.pull_uint16_list() == numbers
        assert block.pull_rest() == data
    assert buffer.eof()


def test_an_error_names_the_byte_in_the_whole_message() -> None:
    block = Buffer(b"\0\2\xaa\xbb\xcc", base=100).pull_block(2)
    block.pull_uint8()
    with pytest.raises(ParseError, match=r"2 bytes wanted, 1 left at byte 103"):
        block.pull_uint16()


def test_a_block_cannot_reach_behind_its_end() -> None:
    buffer = Buffer(b"\1\xaa\xbb")
    with pytest.raises(ParseError):
        buffer.pull_block(1).pull_bytes(2)
    assert buffer.pull_uint8() == 0xBB


def test_bytes_left_in_a_block_are_an_error_but_do_not_hide_another() -> None:
    with (
        pytest.raises(ParseError, match="1 trailing bytes at byte 1"),
        Buffer(b"\1x").pull_block(1),
    ):
        pass
    with pytest.raises(KeyError), Buffer(b"\1x").pull_block(1):
        raise KeyError


@pytest.mark.parametrize("pull", ["pull_uint8", "pull_uint16", "pull_uint24", "pull_uint32"])
def test_numbers_past_the_end_are_parse_errors(pull: str) -> None:
    with pytest.raises(ParseError):
        getattr(Buffer(b""), pull)()


def test_numbers_are_big_endian() -> None:
    buffer = Buffer(b"\1\2\3\4\5\6\7\x08\x09\x0a")
    assert buffer.pull_uint8() == 0x01
    assert buffer.pull_uint16() == 0x0203
    assert buffer.pull_uint24() == 0x040506
    assert buffer.pull_uint32() == 0x0708090A


def test_an_odd_list_of_16_bit_numbers_is_a_parse_error() -> None:
    with pytest.raises(ParseError, match="3 bytes"):
        Buffer(b"\0\3abc").pull_uint16_list()


def test_a_block_too_long_for_its_length_is_refused() -> None:
    writer = Writer()
    writer.push_opaque(bytes(255), 1)
    with pytest.raises(ValueError, match="256 bytes"):
        writer.push_opaque(bytes(256), 1)
