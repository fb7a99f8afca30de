"""The index: whatever goes in is found, nothing else is, and a damaged file is refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratwall.feeds.errors import FeedError
from ratwall.feeds.index import EMPTY, Index, Listed, index_bytes, open_index
from ratwall.feeds.indicator import DAY, SECOND, Indicator, Kind, packed, server_key, text_key
from ratwall.feeds.suricata import read_suricata
from unit.feeds.lists import JA3, SHA1, SHA256, SURICATA

NOW = 1_700_000_000 * SECOND
RULES = read_suricata(SURICATA).rules

servers = st.builds(
    Indicator,
    st.just(Kind.ENDPOINT),
    st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6, network="2001:db8::/32").map(str),
    st.integers(1, 65_535),
)
names = st.builds(Indicator, st.just(Kind.NAME), st.from_regex(r"[a-z]{1,8}\.rat", fullmatch=True))
digests = st.builds(
    Indicator,
    st.just(Kind.CERTIFICATE_SHA1),
    st.binary(min_size=20, max_size=20).map(bytes.hex),
)


def index(*indicators: Indicator, edition: int = NOW) -> Index:
    return Index(index_bytes([Listed("own", edition, indicators, ())], NOW))


@settings(max_examples=60)
@given(st.lists(servers | names | digests, max_size=60), st.binary(min_size=20, max_size=20))
def test_what_goes_in_is_found_and_nothing_else(inside: list[Indicator], other: bytes) -> None:
    made = index(*inside)
    for item in inside:
        hit = made.find(item.kind, item.key)
        assert hit is not None
        assert (hit.kind, hit.feed) == (item.kind, "own")
    keys = {(item.kind, item.key) for item in inside}
    assert len(made) == len(keys)
    for kind in Kind:
        assert (made.find(kind, other) is not None) == ((kind, other) in keys)
    found = {(address, port) for address, port, _ in made.servers()}
    assert found == {(packed(i.value), i.port) for i in inside if i.kind is Kind.ENDPOINT}


def test_a_hit_says_who_lists_it_as_what_and_for_how_long() -> None:
    seen = NOW - 3 * DAY
    hit = index(Indicator(Kind.NAME, "c2.rat.example", 0, "AsyncRAT", seen)).find(
        Kind.NAME, text_key("c2.rat.example")
    )
    assert hit is not None
    assert (hit.feed, hit.family, hit.seen) == ("own", "AsyncRAT", seen)
    assert hit.acts_until == seen + 180 * DAY
    assert hit.told_until == seen + 1095 * DAY


def test_of_two_lists_the_one_that_acts_longer_speaks() -> None:
    old = Indicator(Kind.ENDPOINT, "198.51.100.7", 6606, "Old", NOW - 40 * DAY)
    new = Indicator(Kind.ENDPOINT, "198.51.100.7", 6606, "New", NOW - DAY)
    for feeds in ([old, new], [new, old]):
        made = Index(index_bytes([Listed(str(i.family), NOW, [i], ()) for i in feeds], NOW))
        hit = made.find(Kind.ENDPOINT, server_key(packed("198.51.100.7"), 6606))
        assert hit is not None
        assert hit.feed == "New"
        assert len(made) == 1


def test_what_is_too_old_to_tell_of_is_not_in_it() -> None:
    old = Indicator(Kind.ENDPOINT, "198.51.100.7", 6606, seen=NOW - 1095 * DAY)
    assert len(index(old)) == 0
    assert len(index(Indicator(Kind.ENDPOINT, "198.51.100.7", 6606, seen=NOW - 1094 * DAY))) == 1


def test_the_same_digits_of_another_kind_are_another_thing() -> None:
    made = index(Indicator(Kind.CERTIFICATE_SHA1, SHA1))
    (item,) = (Indicator(Kind.CERTIFICATE_SHA256, SHA256),)
    assert made.find(Kind.CERTIFICATE_SHA256, Indicator(Kind.CERTIFICATE_SHA1, SHA1).key) is None
    assert made.find(Kind.JA3, Indicator(Kind.JA3, JA3).key) is None
    assert index(item).holds(Kind.CERTIFICATE_SHA256)
    assert not made.holds(Kind.CERTIFICATE_SHA256)


def test_rules_are_kept_whole() -> None:
    made = Index(index_bytes([Listed("rules", NOW, (), RULES)], NOW))
    assert [each.rule for each in made.rules] == list(RULES)
    assert made.rules[0].hit.acts_until == NOW + 3650 * DAY


def test_a_file_is_mapped_and_outlives_its_replacement(tmp_path: Path) -> None:
    path = tmp_path / "index.bin"
    assert open_index(path) is EMPTY
    item = Indicator(Kind.NAME, "c2.rat.example")
    path.write_bytes(index_bytes([Listed("own", NOW, [item], ())], NOW))
    first = open_index(path)
    staged = tmp_path / "index.new"
    staged.write_bytes(index_bytes([], NOW))
    staged.replace(path)
    assert first.find(item.kind, item.key) is not None
    assert len(open_index(path)) == 0


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "index.bin").symlink_to("/etc/passwd")
    with pytest.raises(FeedError, match="cannot be read"):
        open_index(tmp_path / "index.bin")


WHOLE = index_bytes(
    [Listed("own", NOW, [Indicator(Kind.NAME, "c2.rat.example"), *[
        Indicator(Kind.ENDPOINT, f"198.51.100.{n}", 6606, "AsyncRAT") for n in range(20)
    ]], RULES)],
    NOW,
)  # fmt: skip


@settings(max_examples=200)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255), st.integers(0, len(WHOLE)))
def test_a_damaged_file_is_refused_or_harmless(place: int, value: int, end: int) -> None:
    damaged = bytearray(WHOLE)
    damaged[place] = value
    for data in (bytes(damaged), bytes(damaged[:end])):
        try:
            made = Index(data)
        except FeedError as error:
            assert "\n" not in str(error)
            continue
        for kind in Kind:
            made.find(kind, bytes(20))
            made.find(kind, server_key(packed("198.51.100.7"), 6606))
        list(made.servers())


@pytest.mark.parametrize("data", [b"", b"RWFEEDS1", b"RWFEEDS1\xff\xff\xff\xff", b"x" * 100])
def test_what_is_no_index_is_refused(data: bytes) -> None:
    with pytest.raises(FeedError):
        Index(data)
