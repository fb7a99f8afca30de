"""What was found of a kind of connection is kept for the next of its kind, within bounds."""

import pytest

from ratwall.inspector.repeats import KEPT, Repeats
from ratwall.kernel.marks import FlowClass


@pytest.mark.parametrize(("more", "kept"), [(-1, True), (0, True), (1, False)])
def test_at_the_limit_the_kind_not_met_longest_makes_room(more: int, kept: bool) -> None:
    repeats = Repeats()
    kinds = [str(number).encode() for number in range(KEPT + more)]
    for number, kind in enumerate(kinds):
        repeats.put(kind, FlowClass.CLEAN, {"number": number})
    assert (kinds[0] in repeats.kept) is kept
    assert repeats.kept[kinds[-1]] == (FlowClass.CLEAN, {"number": KEPT + more - 1})


def test_all_is_forgotten_at_once() -> None:
    repeats = Repeats()
    kept = repeats.kept
    repeats.put(b"one", FlowClass.OBSERVED, {})
    repeats.forget()
    assert kept == {}, "the fast path looks into this very dict"
