"""Marks: eight bits of ours, every other bit somebody else's."""

import pytest

from ratwall.kernel.marks import FlowClass, Marks

FOREIGN = 0x00ABCDEF


def test_a_verdict_keeps_side_and_foreign_bits_and_clears_to_inspect() -> None:
    marks = Marks()
    queued = FOREIGN | marks.lan | marks.to_inspect | marks.of(FlowClass.WATCH)

    after = marks.verdict(queued, FlowClass.CLEAN)

    assert after == FOREIGN | marks.lan | marks.of(FlowClass.CLEAN)
    assert marks.class_of(after) is FlowClass.CLEAN


@pytest.mark.parametrize("mask", [0x000000FF, 0x0000FF00, 0x00FF0000, 0xFF000000])
def test_all_values_lie_within_the_mask_and_do_not_meet(mask: int) -> None:
    marks = Marks(mask)
    values = [marks.lan, marks.to_inspect, marks.wan, marks.class_mask]

    assert all(value & ~mask == 0 for value in values)
    assert sum(values) == values[0] | values[1] | values[2] | values[3]
    for flow_class in FlowClass:
        assert marks.class_of(marks.of(flow_class) | ~mask & 0xFFFFFFFF) is flow_class


@pytest.mark.parametrize("mask", [0, 0x7F, 0x1FF, 0xF0F00000, 0xFF0000000, 0xFF << 25])
def test_a_mask_that_is_not_eight_bits_in_a_row_is_refused(mask: int) -> None:
    with pytest.raises(ValueError, match="not 8 contiguous bits"):
        Marks(mask)


def test_an_unknown_class_counts_as_none() -> None:
    marks = Marks()
    assert marks.class_of(0x0F << marks.shift) is FlowClass.NONE
