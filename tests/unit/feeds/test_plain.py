"""A plain list: each line is what it looks like."""

import pytest

from ratwall.feeds.errors import FeedError
from ratwall.feeds.indicator import Indicator, Kind
from ratwall.feeds.plain import read_plain
from ratwall.feeds.reading import BYTES_LIMIT, LINE_LIMIT
from unit.feeds.lists import JA3, JA4, PLAIN, SHA1, SHA256


def test_each_line_is_what_it_looks_like() -> None:
    reading = read_plain(PLAIN)
    assert reading.indicators == (
        Indicator(Kind.ADDRESS, "198.51.100.11"),
        Indicator(Kind.ENDPOINT, "198.51.100.12", 6606),
        Indicator(Kind.ENDPOINT, "2001:db8::12", 8808),
        Indicator(Kind.ADDRESS, "2001:db8::13"),
        Indicator(Kind.NAME, "c2.rat.example"),
        Indicator(Kind.NAME, "dyn.rat.example"),
        Indicator(Kind.CERTIFICATE_SHA1, SHA1),
        Indicator(Kind.CERTIFICATE_SHA256, SHA256),
        Indicator(Kind.JA3, JA3),
        Indicator(Kind.JA4, JA4),
    )
    assert reading.rows == 12
    assert sum(reading.skipped.values()) == 2  # a small network, a web address


@pytest.mark.parametrize(
    ("line", "kind", "value", "port"),
    [
        ("::ffff:198.51.100.1", Kind.ADDRESS, "198.51.100.1", 0),
        ("198.51.100.1/32", Kind.ADDRESS, "198.51.100.1", 0),
        ("2001:0DB8::0001", Kind.ADDRESS, "2001:db8::1", 0),
        ("198.51.100.1:65535", Kind.ENDPOINT, "198.51.100.1", 65535),
        ("Müller.example", Kind.NAME, "xn--mller-kva.example", 0),
        ("RAT.Example.", Kind.NAME, "rat.example", 0),
    ],
)
def test_one_thing_has_one_spelling(line: str, kind: Kind, value: str, port: int) -> None:
    assert read_plain(line.encode()).indicators == (Indicator(kind, value, port),)


@pytest.mark.parametrize(
    "line",
    [
        *("198.51.100.1:0", "198.51.100.1:65536", "1.2.3", "a" * 64 + ".example"),
        *("fe80::1%eth0", "dead beef", "-rat.example", "0123456789abcdef"),
    ],
)
def test_what_is_nothing_is_named(line: str) -> None:
    with pytest.raises(FeedError, match="1 of 1 rows cannot be read, first line 1"):
        read_plain(line.encode())


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "198.51.100.0/23", "2001:db8::/63"])
def test_a_wide_network_is_a_poisoned_list(network: str) -> None:
    with pytest.raises(FeedError, match=r"line 2: .* is a whole network"):
        read_plain(f"198.51.100.7\n{network}\n".encode())


@pytest.mark.parametrize("network", ["198.51.100.0/24", "2001:db8::/64"])
def test_a_narrow_network_is_left_out(network: str) -> None:
    reading = read_plain(network.encode())
    assert reading.indicators == ()
    assert list(reading.skipped) == ["a network: list its addresses"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"PK\x03\x04", "a packed file"),
        (b"\x1f\x8b\x08", "a packed file"),
        (b"198.51.100.7\0", "a zero byte at 12"),
        (b"a" * (LINE_LIMIT + 1), "line 1: longer than"),
        (b"\n" * (BYTES_LIMIT + 1), "more than 33554432 bytes"),
    ],
)
def test_what_is_no_list_at_all_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(FeedError, match=complaint):
        read_plain(data)


def test_a_line_at_the_limit_is_read() -> None:
    assert read_plain(b"198.51.100.7 #" + b"a" * (LINE_LIMIT - 14)).rows == 1
