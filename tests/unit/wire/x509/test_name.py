"""Names in wire order, as openssl prints them, and harmless to print."""

import pytest

from ratwall.wire.x509 import der
from ratwall.wire.x509.name import ATTRIBUTES_LIMIT, Name, parse_name
from unit.wire.x509.minting import COMMON_NAME_OID, plain_name, tlv


def read(data: bytes) -> tuple[Name, list[str]]:
    walker = der.Walker(data)
    name = parse_name(walker, walker.element(0, len(data)))
    return name, list(walker.defects)


def attribute(oid: str, value: bytes, tag: int = 0x0C) -> bytes:
    return tlv(0x30, tlv(0x06, bytes.fromhex(oid)), tlv(tag, value))


COUNTRY, COMMON = attribute("550406", b"CN", 0x13), attribute("550403", b"DcRat Server")


def test_prints_parts_in_wire_order() -> None:
    name, defects = read(tlv(0x30, tlv(0x31, COMMON), tlv(0x31, COUNTRY)))
    assert str(name) == "CN=DcRat Server,C=CN"
    assert name.values("CN") == ("DcRat Server",)
    assert name.attribute_names == ("CN", "C")
    assert defects == []


def test_joins_the_attributes_of_one_part_with_a_plus() -> None:
    name, _ = read(tlv(0x30, tlv(0x31, COMMON, COUNTRY)))
    assert str(name) == "CN=DcRat Server+C=CN"


def test_an_unknown_attribute_keeps_its_number() -> None:
    name, _ = read(tlv(0x30, tlv(0x31, attribute("2a0304", b"x"))))
    assert str(name) == "1.2.3.4=x"


@pytest.mark.parametrize(
    ("tag", "value", "text"),
    [
        (0x0C, "Café".encode(), "Café"),
        (0x13, b"Caf\xe9", "Café"),
        (0x14, b"Caf\xe9", "Café"),
        (0x1C, "Café".encode("utf-32-be"), "Café"),
        (0x1E, "Café".encode("utf-16-be"), "Café"),
    ],
)
def test_reads_every_kind_of_string(tag: int, value: bytes, text: str) -> None:
    name, defects = read(plain_name(value, tag))
    assert name.values("CN") == (text,)
    assert defects == []


def test_shows_what_cannot_be_printed_as_code_points() -> None:
    name, _ = read(plain_name(b"two\nlines\x1b[2J \xe2\x80\xae"))
    assert str(name) == "CN=two\\u{a}lines\\u{1b}[2J \\u{202e}"


def test_wrongly_encoded_text_is_shown_and_named() -> None:
    name, defects = read(plain_name(b"Caf\xe9"))
    assert name.values("CN") == ("Café",)
    assert defects == ["name value that is not utf-8"]


def test_a_value_that_is_no_string_is_shown_in_hexadecimal() -> None:
    name, defects = read(plain_name(b"\x01\x02", 0x04))
    assert str(name) == "CN=#0102"
    assert defects == ["name value of type 0x04"]


def test_a_part_that_is_no_set_is_read_all_the_same() -> None:
    name, defects = read(tlv(0x30, tlv(0x30, COMMON)))
    assert str(name) == "CN=DcRat Server"
    assert defects == ["name part that is not a SET"]


def test_a_broken_part_keeps_what_came_before() -> None:
    name, defects = read(tlv(0x30, tlv(0x31, COMMON), tlv(0x31, tlv(0x30, b"\x02\x01\x05"))))
    assert str(name) == "CN=DcRat Server"
    assert len(defects) == 1
    assert defects[0].startswith("name: name attribute type has tag 0x02")


@pytest.mark.parametrize("count", [ATTRIBUTES_LIMIT - 1, ATTRIBUTES_LIMIT, ATTRIBUTES_LIMIT + 1])
@pytest.mark.parametrize("in_one_part", [True, False])
def test_reads_attributes_up_to_the_limit(count: int, in_one_part: bool) -> None:
    parts = [tlv(0x30, COMMON_NAME_OID, tlv(0x0C, b"x"))] * count
    sets = [tlv(0x31, *parts)] if in_one_part else [tlv(0x31, part) for part in parts]
    name, defects = read(tlv(0x30, *sets))
    assert len(name.attribute_names) == min(count, ATTRIBUTES_LIMIT)
    assert bool(defects) is (count > ATTRIBUTES_LIMIT)


def test_names_are_equal_when_their_octets_are() -> None:
    assert read(plain_name(b"x"))[0] == read(plain_name(b"x"))[0]
    assert read(plain_name(b"x"))[0] != read(plain_name(b"x", 0x13))[0]


def test_a_name_may_be_empty() -> None:
    name, defects = read(tlv(0x30))
    assert (str(name), name.values("CN"), defects) == ("", (), [])
