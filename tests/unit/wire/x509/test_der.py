"""The DER walker: finds elements, forgives what Windows forgives, and is bounded everywhere."""

import pytest

from ratwall.wire.errors import ParseError
from ratwall.wire.x509 import der
from unit.wire.x509.minting import tlv


def walk(data: bytes) -> tuple[der.Walker, der.Element]:
    walker = der.Walker(data)
    return walker, walker.element(0, len(data))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_reads_every_shortest_length(size: int) -> None:
    walker, element = walk(tlv(0x04, b"x" * size))
    assert walker.value(element) == b"x" * size
    assert not walker.defects


def test_names_a_length_that_is_longer_than_needed() -> None:
    walker, element = walk(b"\x04\x82\x00\x02hi")
    assert walker.value(element) == b"hi"
    assert list(walker.defects) == ["length not in its shortest form"]


def test_reads_length_octets_up_to_the_limit() -> None:
    for octets in (der.LENGTH_OCTETS_LIMIT - 1, der.LENGTH_OCTETS_LIMIT):
        walk(bytes((0x04, 0x80 | octets)) + (1).to_bytes(octets, "big") + b"x")
    too_long = b"\x04" + bytes((0x80 | der.LENGTH_OCTETS_LIMIT + 1,)) + b"\x01" * 5 + b"x" * 99
    with pytest.raises(ParseError, match="DER length of 5 octets at byte 2"):
        walk(too_long)


def test_an_indefinite_length_ends_at_its_marker() -> None:
    inner = b"\x30\x80" + tlv(0x02, b"\x07") + b"\0\0"
    walker, element = walk(b"\x30\x80" + inner + b"\0\0" + b"behind")
    assert walker.value(element) == inner
    assert walker.data[element.after :] == b"behind"
    assert list(walker.defects) == ["indefinite length"]


@pytest.mark.parametrize(
    ("depth", "readable"),
    [(der.NESTING_LIMIT - 1, True), (der.NESTING_LIMIT, True), (der.NESTING_LIMIT + 1, False)],
)
def test_indefinite_lengths_nest_up_to_the_limit(depth: int, readable: bool) -> None:
    data = b"\x30\x80" * depth + b"\0\0" * depth
    if readable:
        walk(data)
    else:
        with pytest.raises(ParseError, match="nested over 16 deep"):
            walk(data)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_certificate_of_endless_small_elements_is_refused(extra: int) -> None:
    children = der.ELEMENTS_LIMIT - 1 + extra  # the indefinite element itself counts too
    data = b"\x30\x80" + b"\x05\x00" * children + b"\0\0"
    if extra <= 0:
        walk(data)
    else:
        with pytest.raises(ParseError, match="more than 4096 DER elements"):
            walk(data)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_children_stop_at_a_limit_and_say_so(count: int) -> None:
    walker, element = walk(tlv(0x30, b"\x05\x00" * count))
    assert len(walker.children(element, 3)) == min(count, 3)
    assert bool(walker.defects) is (count > 3)


@pytest.mark.parametrize("octets", [3, 4, 5])
def test_a_long_tag_is_stepped_over_up_to_the_limit(octets: int) -> None:
    data = b"\x1f" + b"\x81" * (octets - 1) + b"\x01" + b"\x02hi"
    if octets <= der.TAG_OCTETS_LIMIT:
        walker, element = walk(data)
        assert walker.value(element) == b"hi"
    else:
        with pytest.raises(ParseError, match="unreadable DER tag"):
            walk(data)


@pytest.mark.parametrize("cut", range(6))
def test_a_cut_element_is_an_error_with_an_offset(cut: int) -> None:
    with pytest.raises(ParseError) as caught:
        walk(b"\x30\x82\x01\x00xx"[:cut])
    assert 0 <= caught.value.offset <= cut


def test_a_wrong_tag_is_named_with_both_tags() -> None:
    walker = der.Walker(tlv(0x04, b"x"))
    with pytest.raises(ParseError, match="serial number has tag 0x04, expected 0x02 at byte 0"):
        walker.expect(der.INTEGER, 0, 3, "serial number")
