"""What was found of a kind of connection is kept for the next of its kind, within bounds."""

import pytest

from ratwall.inspector.repeats import KEPT, Repeats
from ratwall.kernel.marks import FlowClass


@pytest.mark.parametrize(("more", "kept"), [(-1, True), (0, True), (1, False)])
def test_at_the_limit_the_kind_not_met_longest_makes_room(more: int, kept: bool) -> None:
    repeats = Repeats()
    keys = [Repeats.key(str(number).encode()) for number in range(KEPT + more)]
    for number, key in enumerate(keys):
        repeats.put(key, FlowClass.CLEAN, {"number": number})
    assert (repeats.get(keys[0]) is not None) is kept
    assert repeats.get(keys[-1]) == (FlowClass.CLEAN, {"number": KEPT + more - 1})


def test_one_that_is_met_again_stays() -> None:
    repeats = Repeats()
    keys = [Repeats.key(str(number).encode()) for number in range(KEPT + 1)]
    for key in keys[:KEPT]:
        repeats.put(key, FlowClass.CLEAN, {})
    assert repeats.get(keys[0]) is not None
    repeats.put(keys[KEPT], FlowClass.CLEAN, {})
    assert repeats.get(keys[0]) is not None
    assert repeats.get(keys[1]) is None


def test_all_is_forgotten_at_once() -> None:
    repeats = Repeats()
    repeats.put(b"one", FlowClass.OBSERVED, {})
    repeats.forget()
    assert repeats.get(b"one") is None
