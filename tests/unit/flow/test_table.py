"""The table finds a connection from either side, and never grows beyond its capacity."""

import pytest

from ratwall.flow.table import FlowTable, flow_key
from unit.flow.segments import Wire


def test_both_directions_have_one_key() -> None:
    wire = Wire()
    _, one = wire.segment(True, b"hello")
    _, other = wire.segment(False, b"answer")
    assert flow_key(one) == flow_key(other)
    other.source_port += 1
    assert flow_key(one) != flow_key(other)


@pytest.mark.parametrize(("count", "evicted"), [(2, 0), (3, 0), (4, 1)])
def test_the_least_recently_used_makes_room(count: int, evicted: int) -> None:
    table: FlowTable[int] = FlowTable(3)
    made_room = [table.put(bytes((number,)), number) for number in range(count)]
    assert len(table) == min(count, 3)
    assert table.evicted == evicted
    assert [each for each in made_room if each is not None] == [0][:evicted]


def test_a_connection_in_use_stays() -> None:
    table: FlowTable[int] = FlowTable(2)
    table.put(b"a", 1)
    table.put(b"b", 2)
    assert table.get(b"a") == 1
    assert table.put(b"c", 3) == 2
    assert table.get(b"b") is None
    assert table.values() == [1, 3]


def test_an_entry_can_be_replaced_and_taken_out() -> None:
    table: FlowTable[int] = FlowTable(1)
    table.put(b"a", 1)
    assert table.put(b"a", 2) is None
    assert table.pop(b"a") == 2
    assert table.pop(b"a") is None
    assert (len(table), table.evicted) == (0, 0)


def test_a_table_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="0 entries, at least 1"):
        FlowTable(0)
