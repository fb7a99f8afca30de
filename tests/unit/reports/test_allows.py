"""Lists of allowed certificates: cut into parts that fit, put together whole or not at all."""

import json

import pytest

from ratwall.reports.allows import ENTRIES_A_PART, AllowGathering, allow_messages
from ratwall.reports.channel import MESSAGE_LIMIT


def certificates(count: int) -> list[dict[str, str | None]]:
    # The longest that an entry can be: a device with a full IPv6 address.
    device = "2001:db8:1111:2222:3333:4444:5555:6666"
    return [{"sha256": f"{number:064x}", "device": device} for number in range(count)]


@pytest.mark.parametrize(
    ("count", "parts"),
    [(0, 1), (ENTRIES_A_PART - 1, 1), (ENTRIES_A_PART, 1), (ENTRIES_A_PART + 1, 2), (3000, 15)],
)
def test_a_list_of_any_length_arrives_whole(count: int, parts: int) -> None:
    listed = certificates(count)
    messages = list(allow_messages(listed))
    assert len(messages) == parts
    assert all(len(json.dumps(message)) < MESSAGE_LIMIT // 4 for message in messages)
    gathering = AllowGathering()
    *before, last = [gathering.take(message) for message in messages]
    assert before == [None] * (parts - 1)
    assert last == {(item["sha256"], item["device"]) for item in listed}


def test_a_list_that_breaks_off_leaves_no_trace_in_the_next() -> None:
    gathering = AllowGathering()
    begun = list(allow_messages(certificates(3 * ENTRIES_A_PART)))
    gathering.take(begun[0])
    gathering.take(begun[1])
    (whole,) = allow_messages([{"sha256": "ab" * 32, "device": None}])
    assert gathering.take(whole) == {("ab" * 32, None)}
    with pytest.raises(ValueError, match=r"part 2 .* expected 0"):
        gathering.take(begun[2])


def test_a_list_with_a_part_missing_is_never_in_force() -> None:
    gathering = AllowGathering()
    first, _, third = allow_messages(certificates(3 * ENTRIES_A_PART))
    assert gathering.take(first) is None
    with pytest.raises(ValueError, match=r"part 2 .* expected 1"):
        gathering.take(third)
