"""Object identifiers: octets to dotted text, judged by `cryptography`."""

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from ratwall.wire.x509 import oid


def octets(text: str) -> bytes:
    """The octets of a dotted identifier (X.690 §8.19), written anew to check the reading."""
    first, second, *rest = (int(arc) for arc in text.split("."))
    out = b""
    for arc in (40 * first + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        out += bytes(reversed(groups))
    return out


arcs = st.lists(st.integers(0, 1 << 28), min_size=1, max_size=8)
roots = st.one_of(
    st.tuples(st.integers(0, 1), st.integers(0, 39)), st.tuples(st.just(2), st.integers(0, 999))
)


@given(roots, arcs)
def test_reads_what_was_written(root: tuple[int, int], rest: list[int]) -> None:
    text = ".".join(map(str, (*root, *rest)))
    assert oid.dotted(octets(text)) == text


@pytest.mark.parametrize(
    "table", [oid.ATTRIBUTE_NAMES, oid.SIGNATURE_NAMES, oid.KEY_NAMES, oid.CURVE_BITS]
)
def test_every_identifier_listed_is_one(table: dict[str, object]) -> None:
    for text in table:
        assert x509.ObjectIdentifier(text).dotted_string == text
        assert oid.dotted(octets(text)) == text


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_an_endless_identifier_is_shown_in_hexadecimal(extra: int) -> None:
    size = oid.OID_OCTETS_LIMIT + extra
    text = oid.dotted(b"\x2a" + b"\x81" * (size - 2) + b"\x01")
    assert text.startswith("#2a81" if extra > 0 else "1.2.")
    assert len(text) <= 2 + 2 * oid.OID_OCTETS_LIMIT + 8


@pytest.mark.parametrize("broken", [b"", b"\x2a\x81"])
def test_a_cut_identifier_is_shown_in_hexadecimal(broken: bytes) -> None:
    assert oid.dotted(broken) == "#" + broken.hex()
