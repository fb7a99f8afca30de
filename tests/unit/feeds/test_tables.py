"""Lists in columns, as their publishers write them, and as they change them over the years."""

import pytest

from ratwall.feeds.errors import FeedError
from ratwall.feeds.indicator import DAY, Indicator, Kind
from ratwall.feeds.reading import moment
from ratwall.feeds.tables import read_feodo, read_sslbl, read_sslbl_ja3, read_threatfox
from unit.feeds.lists import (
    FEODO,
    JA3,
    OTHER_SHA1,
    SHA1,
    SSLBL,
    SSLBL_IP,
    SSLBL_JA3,
    THREATFOX_14,
    THREATFOX_15,
    fox_row,
)

SEEN = moment("2026-11-20 10:00:00")


def test_sslbl_names_certificates_with_their_family() -> None:
    reading = read_sslbl(SSLBL)
    first, second = reading.indicators
    assert (first.kind, first.value, first.family) == (Kind.CERTIFICATE_SHA1, SHA1, "AsyncRAT")
    assert first.seen == moment("2026-11-20 09:58:00")
    # The reason is the last column and may hold commas.
    assert (second.value, second.family) == (OTHER_SHA1, "DCRat, or what is left of it")
    assert (reading.rows, reading.skipped) == (2, {})


def test_sslbl_ja3_is_told_by_when_it_was_last_seen() -> None:
    (only,) = read_sslbl_ja3(SSLBL_JA3).indicators
    assert only == Indicator(Kind.JA3, JA3, 0, "AsyncRAT", moment("2021-08-11"))


def test_threatfox_of_today_has_fifteen_columns() -> None:
    reading = read_threatfox(THREATFOX_15)
    server, name, broken_into = reading.indicators
    assert server == Indicator(Kind.ENDPOINT, "198.51.100.7", 6606, "AsyncRAT", SEEN)
    assert name == Indicator(Kind.NAME, "c2.rat.example", 0, "AsyncRAT", SEEN, confidence=75)
    # Somebody's own server: it is told of, and never blocked.
    assert broken_into.value == "198.51.100.8"
    assert SEEN is not None
    assert broken_into.acts_until(SEEN) == 0
    assert broken_into.told_until(SEEN) > SEEN
    assert reading.rows == 5
    assert list(reading.skipped.values()) == [1, 1]
    assert any("hash of a file" in reason for reason in reading.skipped)


def test_threatfox_of_old_has_fourteen() -> None:
    server, six = read_threatfox(THREATFOX_14).indicators
    assert (server.value, server.port) == ("198.51.100.7", 6606)
    assert (six.value, six.port) == ("2001:db8::7", 7707)


def test_columns_are_found_by_name_in_whatever_order() -> None:
    swapped = [
        '"new_column","malware_printable","confidence_level","threat_type","ioc_type"'
        ',"ioc_value","first_seen_utc"',
        '"x, y", "AsyncRAT", "100", "botnet_cc", "ip:port", "198.51.100.7:6606"'
        ', "2026-11-20 10:00:00"',
    ]
    assert read_threatfox("\r\n".join(swapped).encode()).indicators == (
        Indicator(Kind.ENDPOINT, "198.51.100.7", 6606, "AsyncRAT", SEEN),
    )


def test_a_list_of_servers_with_ports() -> None:
    (quoted,) = read_feodo(FEODO).indicators
    assert quoted == Indicator(
        Kind.ENDPOINT, "198.51.100.9", 4782, "QuasarRAT", moment("2026-11-20")
    )
    (bare,) = read_feodo(SSLBL_IP).indicators
    assert (bare.value, bare.port, bare.seen) == ("198.51.100.10", 8848, moment("2026-11-01 12:00"))


def test_an_empty_list_with_its_header_is_a_list() -> None:
    assert read_feodo(b"# Firstseen,DstIP,DstPort\r\n# END 0 entries\r\n").indicators == ()


@pytest.mark.parametrize(
    "page",
    [
        b"<html><body>503 Service Unavailable</body></html>",
        b"# nothing but\n# comments\n",
        b"a,b,c\n1,2,3\n",
    ],
)
def test_a_page_that_is_no_list_is_refused(page: bytes) -> None:
    with pytest.raises(FeedError, match="no line names the columns"):
        read_sslbl(page)


def test_one_bad_row_among_many_is_counted_and_named() -> None:
    rows = "".join(fox_row(f"198.51.100.{n}:6606", "ip:port") for n in range(1, 41))
    head = THREATFOX_15.decode().splitlines(keepends=True)[1]
    reading = read_threatfox((head + rows + fox_row("198.51.100.300:1", "ip:port")).encode())
    assert len(reading.indicators) == 40
    assert reading.skipped == {"cannot be read": 1}
    assert reading.unreadable[0].startswith("line 42: ")


def test_a_download_that_broke_off_is_refused_whole() -> None:
    with pytest.raises(FeedError, match=r'1 of 2 rows cannot be read, first line 8: "2026-11-19'):
        read_sslbl(SSLBL[: SSLBL.index(b"DCRat") - 30])


def test_what_is_seen_tomorrow_does_not_live_longer() -> None:
    edition = moment("2026-11-20")
    assert edition is not None
    today = Indicator(Kind.ENDPOINT, "198.51.100.7", 1, seen=edition)
    tomorrow = Indicator(Kind.ENDPOINT, "198.51.100.7", 1, seen=edition + 400 * DAY)
    assert tomorrow.acts_until(edition) == today.acts_until(edition) == edition + 30 * DAY
