"""RITA's beacon score: by hand, at each of its limits, and against a second way of reckoning."""

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratwall.detections.rita import (
    BINS,
    SECOND,
    WEIGHTS,
    BeaconScore,
    beacon_score,
)

MIDNIGHT = 1_750_032_000  # seconds
HOUR, DAY = 3600, 86_400
WINDOW = (MIDNIGHT * SECOND, (MIDNIGHT + DAY) * SECOND)


def score(seconds: Sequence[int], sizes: Sequence[int] | None = None) -> BeaconScore:
    """Return the score of connections begun at these seconds of the day."""
    starts = [(MIDNIGHT + second) * SECOND for second in seconds]
    found = beacon_score(starts, sizes or [300] * len(starts), WINDOW)
    assert found is not None
    return found


def after(*gaps: int) -> list[int]:
    return list(accumulate(gaps, initial=0))


def bars(*counts: int) -> list[int]:
    """Return the seconds of so many connections in each hour, ten seconds apart."""
    return [hour * HOUR + 10 * n for hour, count in enumerate(counts) for n in range(count)]


@pytest.mark.parametrize(
    ("gaps", "thousandths"),
    [
        # No spread at all.
        ((60,) * 9, 1000),
        # Median 100, deviation 1, quartiles 99 and 101, too near for a skew: (1 + 0.99) / 2.
        ((98, 99, 99, 100, 100, 100, 101, 101, 102), 995),
        # Quartiles 98, 199, 300: symmetric. Deviation 101 of 199: (1 + 98/199) / 2 = 0.7462.
        ((98, 300) * 5, 746),
        # Quartiles 13.5, 90, 1000: skew 833.5/986.5 = 0.8449. Deviation 89 of 90: 0.0111.
        # (0.1551 + 0.0111) / 2 = 0.0831.
        ((1, 299, 25, 4975, 90, 2, 42, 500, 1500), 83),
        # Three gaps: quartiles 10 and 40 are those beside the middle one, 20. Skew 10/30 = 1/3,
        # deviations 10, 0, 20: their middle is 10 of 20. (2/3 + 1/2) / 2 = 0.58333.
        ((10, 20, 40), 583),
        # Two connections in one second are one gap less, not a gap of nothing.
        ((10, 0, 20, 0, 40), 583),
    ],
)
def test_the_time_part_by_hand(gaps: tuple[int, ...], thousandths: int) -> None:
    found = score(after(*gaps))
    assert found.times == thousandths
    assert found.gaps == tuple(sorted(Counter(gap for gap in gaps if gap).items()))


@pytest.mark.parametrize(
    ("sizes", "thousandths"),
    [
        ([60] * 9, 1000),
        # Quartiles 3, 5.5, 8: nearer than ten. Deviation 2.5 of 5.5: (1 + 3/5.5) / 2 = 0.7727.
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 773),
        # Nothing sent: a median of 0 cannot be divided by, and the narrowness counts as none.
        ([0] * 9, 500),
    ],
)
def test_the_size_part_by_hand(sizes: list[int], thousandths: int) -> None:
    assert score([60 * number for number in range(len(sizes))], sizes).sizes == thousandths


@pytest.mark.parametrize(
    ("counts", "flat", "long"),
    [
        # All in one hour of 24: deviation sqrt(23) of the mean, far above 1.
        ((10,), 0, 0),
        # Every hour the same; coverage 23 h and 30 s of 24 h, but a run of all 24 is enough.
        ((4,) * 24, 1000, 1000),
        # Half of the day: mean 2, deviation 2: 0. Two heights: 12 of (12 - 1) bars, capped.
        ((4,) * 12, 1000, 1000),
        # Ten hours: mean 5/3, deviation sqrt((10*(7/3)^2 + 14*(5/3)^2)/24) = 1.97: 0. A run of ten
        # of twelve is 0.8333, rounded up; coverage 9 h 30 s of 24 is less.
        ((4,) * 10, 0, 834),
        # Every second hour: two heights are one height here, 12 of 11 bars. No two in a row, and
        # coverage (22 h 30 s) / 24 h = 0.91701, rounded up.
        ((4, 0) * 12, 1000, 918),
        # Three heights, of eight bars each, in 24: two of them are 16 of 23 bars, 0.69565. Mean 5,
        # deviation sqrt((16 + 0 + 16)/3) = 3.266: 0.3468.
        ((1, 5, 9) * 8, 696, 1000),
        # Heights that differ by less than a 20th of the highest are one: steps of 2 make
        # 39, 38 -> 19 and 20 -> 10, which is two heights.
        ((39, 38, 20) * 8, 1000, 1000),
        # From 41 on the step is 3: 41, 40, 39 -> 13.
        ((41, 40, 39) * 8, 1000, 1000),
    ],
)
def test_the_histogram_and_the_duration_by_hand(
    counts: tuple[int, ...], flat: int, long: int
) -> None:
    found = score(bars(*counts))
    assert found.bins == (*counts, *[0] * (BINS - len(counts)))
    assert (found.histogram, found.duration) == (flat, long)


def test_heights_are_told_apart_at_a_twentieth_of_the_highest() -> None:
    # 40 of 40 is a step of 2: 40 -> 20, 37 -> 18, 34 -> 17, eight bars each, so 16 of 23.
    three = score(bars(*(40, 37, 34) * 8))
    # The bars hardly differ, so 1 - CV (2.449/37 = 0.0662) is the better fit of the two.
    assert three.histogram == 934
    # With empty hours in between the bars are what counts: 12 bars, 8 of them of two heights.
    assert score(bars(*(40, 0, 37, 0, 34, 0) * 4)).histogram == round(1000 * 8 / 11)


def test_a_run_of_hours_goes_on_over_midnight() -> None:
    # 18:00 to 06:00 is twelve hours in a row, though in a day's histogram it is two times six; from
    # the first start to the last it is 23 h 30 s of 24 h, which alone would give 0.959.
    assert score(bars(*[4] * 6, *[0] * 12, *[4] * 6)).duration == 1000
    # One hour less: eleven of twelve, and the coverage is more.
    assert score(bars(*[4] * 5, *[0] * 13, *[4] * 6)).duration == 959
    # 09:00 to 15:00 is six of twelve, and covers less.
    assert score(bars(*[0] * 9, *[4] * 6)).duration == 500


def test_the_whole_is_the_weighted_mean() -> None:
    # 1000 and 1000 for times and sizes, nothing for the rest.
    assert score([60 * number for number in range(10)]).total == 500
    # 746, 1000, 0, 0: 436.5, and half a thousandth is rounded up.
    assert score(after(*(98, 300) * 5)).total == 437
    assert sum(WEIGHTS.values()) == 100


@pytest.mark.parametrize(("seconds", "scored"), [((0, 5, 10), 0), ((0, 5, 10, 15), 1)])
def test_four_different_seconds_are_the_least(seconds: tuple[int, ...], scored: int) -> None:
    doubled = [(MIDNIGHT + second) * SECOND + extra for second in seconds for extra in (0, 7)]
    found = beacon_score(doubled, [300] * len(doubled), WINDOW)
    assert (found is not None) == bool(scored)


@pytest.mark.parametrize(("count", "scored"), [(86_399, True), (86_400, False)])
def test_one_a_second_all_day_is_a_strobe_and_has_no_score(count: int, scored: bool) -> None:
    starts = [(MIDNIGHT + second) * SECOND for second in range(count)]
    assert (beacon_score(starts, [60] * count, WINDOW) is not None) == scored


@pytest.mark.parametrize(("hours", "told"), [(5, 0), (6, 500)])
def test_the_duration_asks_for_six_hours(hours: int, told: int) -> None:
    assert score(bars(*[4] * hours)).duration == told


@pytest.mark.parametrize(("hours", "told"), [(10, 0), (11, 1000)])
def test_two_heights_ask_for_eleven_hours(hours: int, told: int) -> None:
    assert score(bars(*[4] * hours)).histogram == told


@pytest.mark.parametrize(("far", "skewed"), [(19, False), (20, True)])
def test_quartiles_nearer_than_ten_are_never_skewed(far: int, skewed: bool) -> None:
    # Three gaps of which the quartiles are the outer two.
    found = score(after(10, 11, far))
    narrow = Fraction(10, 11)
    symmetric = 1 - Fraction(abs(far + 10 - 22), far - 10) if skewed else Fraction(1)
    assert found.times == rounded((symmetric + narrow) / 2)


def test_a_connection_that_stays_up_has_no_score() -> None:
    assert beacon_score([MIDNIGHT * SECOND], [90_000], WINDOW) is None


def test_nothing_is_scored_in_no_time_and_a_start_needs_its_size() -> None:
    starts = [(MIDNIGHT + second) * SECOND for second in (0, 5, 10, 15)]
    assert beacon_score(starts, [1] * 4, (WINDOW[0], WINDOW[0])) is None
    with pytest.raises(ValueError, match="4 starts with 3 sizes"):
        beacon_score(starts, [1] * 3, WINDOW)


# The second way: exact fractions, bars found by their edges, runs by splitting a text.


def rounded(value: Fraction) -> int:
    return math.floor(value * 1000 + Fraction(1, 2))


def middle(values: Sequence[Fraction]) -> Fraction:
    ordered = sorted(values)
    half, odd = divmod(len(ordered), 2)
    return ordered[half] if odd else (ordered[half - 1] + ordered[half]) / 2


def symmetric_and_narrow(numbers: Sequence[int], otherwise: int) -> Fraction:
    values = sorted(Fraction(number) for number in numbers)
    q1, q3 = middle(values[: len(values) // 2]), middle(values[(len(values) + 1) // 2 :])
    q2 = middle(values)
    plain = q3 - q1 < 10 or q2 in (q1, q3)
    skew = Fraction(0) if plain else abs((q3 - q2) - (q2 - q1)) / (q3 - q1)
    spread = middle([abs(value - q2) for value in values])
    narrow = Fraction(otherwise) if q2 < 1 else max(Fraction(0), 1 - spread / q2)
    return (1 - skew + narrow) / 2


def other_way(seconds: Sequence[int], sizes: Sequence[int]) -> dict[str, int]:
    """Return the four parts of the connections of one day."""
    different = sorted(set(seconds))
    gaps = [b - a for a, b in pairwise(different)]
    heights = [
        sum(hour * HOUR <= second < (hour + 1) * HOUR for second in seconds) for hour in range(24)
    ]
    busy = [height for height in heights if height]
    mean = Fraction(sum(heights), 24)
    variance = sum((height - mean) ** 2 for height in heights) / 24
    flat = max(0.0, 1 - math.sqrt(variance / mean**2))
    modes = Fraction(0)
    if len(busy) >= 11:
        step = math.ceil(Fraction(max(busy), 20))
        alike = sorted(Counter(height - height % step for height in busy).values())
        modes = min(Fraction(1), Fraction(sum(alike[-2:]), len(busy) - 1))
    run = max(map(len, "".join("x" if height else " " for height in heights * 2).split()))
    duration = 0
    if len(busy) >= 6:
        parts = Fraction(different[-1] - different[0], DAY), Fraction(min(run, 24), 12)
        duration = min(1000, max(math.ceil(part * 1000) for part in parts))
    return {
        "times": rounded(symmetric_and_narrow(gaps, 1)),
        "sizes": rounded(symmetric_and_narrow(sizes, 0)),
        "histogram": max(rounded(Fraction(flat)), rounded(modes)),
        "duration": duration,
    }


@st.composite
def days(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Draw a day of connections: a timer with jitter in some of the hours, and strays."""
    period = draw(st.integers(60, 2 * HOUR))
    jitter = draw(st.sampled_from([0, 1, period // 4]))
    begin = draw(st.integers(0, 12 * HOUR))
    end = draw(st.integers(begin + 1, DAY))
    quiet = draw(st.sets(st.integers(0, 23), max_size=12))
    wobble = draw(st.randoms(use_true_random=False))
    timer = [min(DAY - 1, tick + wobble.randint(0, jitter)) for tick in range(begin, end, period)]
    strays = draw(st.lists(st.integers(0, DAY - 1), min_size=4, max_size=20, unique=True))
    seconds = [second for second in timer if second // HOUR not in quiet] + strays
    wide = draw(st.sampled_from([0, 3, 2000]))
    return [(second, wobble.randint(0, 1 + wide)) for second in seconds]


@settings(max_examples=300, deadline=None)
@given(days())
def test_both_ways_of_reckoning_agree(day: list[tuple[int, int]]) -> None:
    seconds, sizes = [second for second, _ in day], [size for _, size in day]
    found = score(seconds, sizes)
    expected = other_way(seconds, sizes)
    for part, thousandths in expected.items():
        # A float just below a half is rounded down where the fraction is the half itself.
        assert abs(getattr(found, part) - thousandths) <= 1, part
    assert found.duration == expected["duration"]
    whole = sum(getattr(found, part) * weight for part, weight in WEIGHTS.items())
    assert abs(found.total - whole / 100) <= 0.5
    assert sum(found.bins) == len(seconds)


@settings(max_examples=50, deadline=None)
@given(days(), st.randoms(use_true_random=False), st.integers(-10_000, 10_000))
def test_neither_the_order_nor_the_date_matters(
    day: list[tuple[int, int]], dice: Random, moved: int
) -> None:
    starts = [(MIDNIGHT + second) * SECOND for second, _ in day]
    sizes = [size for _, size in day]
    first = beacon_score(starts, sizes, WINDOW)
    dice.shuffle(starts)
    shift = moved * SECOND
    other = beacon_score(
        [start + shift for start in starts], sizes, (WINDOW[0] + shift, WINDOW[1] + shift)
    )
    assert first == other
