"""Who has the least evidence leaves first, and a scan pushes no beacon out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.controller.histories import PAIRS_LIMIT, Histories
from ratwall.controller.ranked import SHARE, Ranked
from ratwall.detections.history import Rarity
from unit.controller.box import CLIENT, NOON, SERVER

LIMIT = 12
HOUR = 3_600_000_000
SECOND = 1_000_000


def table(limit: int = LIMIT) -> Ranked[str, int]:
    """A table whose values are their own ranks."""
    return Ranked(limit, lambda value: value, HOUR)


def test_of_equals_the_one_touched_longest_ago_leaves() -> None:
    held = table(2)
    held.put("a", 1, 1)
    held.put("b", 1, 2)
    held.put("a", 1, 3)
    held.put("c", 1, 4)
    assert sorted(held) == ["a", "c"]


def test_a_newcomer_among_those_with_evidence_stays_for_a_while() -> None:
    """Else nobody could ever come to have any, once the table is full."""
    held = table()
    for number in range(LIMIT):
        held.put(f"old{number}", 5, number)
    held.put("new", 0, LIMIT)
    assert "new" in held
    assert "old0" not in held
    held.put("new", 1, LIMIT + 1)
    assert held.get("new") == 1


def test_what_is_stale_leaves_before_a_scan_s() -> None:
    held = table(2)
    held.put("told", 9, 0)
    held.put("scan", 0, HOUR - 1)
    held.put("other", 0, HOUR)
    assert sorted(held) == ["other", "scan"]


@pytest.mark.parametrize(("after", "stays"), [(HOUR - 1, True), (HOUR, False)])
def test_forgetting_is_by_the_time_of_the_last_touch(after: int, stays: bool) -> None:
    held = table()
    held.put("a", 1, 0)
    held.clock_set(5 * HOUR)
    held.forget_stale(5 * HOUR + after)
    assert ("a" in held) is stays
    assert held.pop("a") == (1 if stays else None)
    assert held.pop("a") is None


puts = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4)), max_size=120)


@given(puts)
def test_nobody_leaves_for_the_newest_while_a_lower_rank_fills_its_share(
    steps: list[tuple[int, int]],
) -> None:
    held = table()
    mirror: dict[str, int] = {}
    for at, (key, rank) in enumerate(steps):
        name = str(key)
        mirror[name] = rank
        before = dict(mirror)
        held.put(name, rank, at)
        gone = [one for one in mirror if one not in held]
        assert len(gone) <= 1
        for one in gone:
            assert one != name
            lower = [other for other, its in before.items() if its < before[one]]
            lower_but_newest = [other for other in lower if other != name]
            assert len(lower_but_newest) <= LIMIT // SHARE
            del mirror[one]
        assert dict(held.items()) == mirror
        assert len(held) == min(len(mirror), LIMIT)


@given(
    st.lists(st.integers(0, 1), min_size=2 * LIMIT, max_size=4 * LIMIT),
    st.integers(1, LIMIT // SHARE - 1),
)
def test_a_scan_of_any_length_leaves_whoever_has_more_evidence(
    scan: list[int], beacons: int
) -> None:
    held = table()
    for number in range(beacons):
        held.put(f"beacon{number}", 3, number)
    for number, rank in enumerate(scan):
        held.put(f"scanned{number}", rank, beacons + number)
    assert all(f"beacon{number}" in held for number in range(beacons))
    assert len(held) == LIMIT


def test_a_scan_does_not_push_a_slow_beacon_out_of_the_histories() -> None:
    """One connection every ten minutes, and in between more servers tried than are held."""
    histories, at = Histories({}), NOON
    pair = CLIENT, SERVER
    for number in range(6):
        histories.take_failure(pair, 443, at)
        for other in range(PAIRS_LIMIT // 5):
            server = f"198.{number}.{other >> 8}.{other & 255}"
            histories.take_failure((CLIENT, server), 443, at + other)
        at += 600 * SECOND
    assert len(histories) == PAIRS_LIMIT
    seen = histories.view(pair, Rarity(1, HOUR), site_age=HOUR, named=False, watched=False, now=at)
    assert seen is not None
    assert len(seen.starts) == 6
