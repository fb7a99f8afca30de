"""However many connections begin, what an inspector holds of them stays below its caps."""

import gc
import tracemalloc

import pytest

from bench.memory import flood, half_a_hello, inspector
from ratwall.flow.connection import Connection
from ratwall.inspector.tracked import (
    BURST_US,
    CAPACITY,
    UNJUDGED_LIMIT,
    Tracked,
    TrackedTable,
)
from ratwall.kernel.marks import FlowClass
from ratwall.queue import fastpath
from ratwall.wire.packet import TcpFlag
from unit.flow.segments import CLIENT, SERVER, Wire

BYTES_A_CONNECTION = 6000  # being read, with its place in the table; 3 KB measured


def tracked(held: int = 0) -> Tracked:
    """A connection that holds so many bytes, because the one before them has not come."""
    connection = Connection(0)
    wire = Wire()
    connection.push(*wire.segment(True, b"", TcpFlag.SYN))
    wire.numbers[True] += 1
    if held:
        connection.push(*wire.segment(True, bytes(held)))
    assert connection.held == held
    return Tracked(connection, *CLIENT, *SERVER)


@pytest.mark.parametrize(("count", "evicted"), [(2, 0), (3, 0), (4, 1)])
def test_a_full_table_drops_the_one_untouched_longest(count: int, evicted: int) -> None:
    table = TrackedTable(capacity=3)
    for number in range(count):
        table.begin(bytes((number,)), tracked())
    assert (len(table), table.evicted) == (min(count, 3), evicted)
    assert (table.get(b"\0") is None) == bool(evicted)


@pytest.mark.parametrize("ports", [UNJUDGED_LIMIT - 1, UNJUDGED_LIMIT, UNJUDGED_LIMIT + 1])
def test_what_was_dropped_is_listed_once_an_end_the_newest_last(ports: int) -> None:
    table = TrackedTable(capacity=1)
    for number, port in enumerate([*range(1, ports + 1), 0, 0, 0]):
        one = tracked()
        one.server_port = port
        table.begin(number.to_bytes(2, "big"), one)
    listed = [port for _, _, port in table.unjudged]
    assert len(listed) == min(ports + 1, UNJUDGED_LIMIT)
    assert listed[-2:] == [ports, 0]


@pytest.mark.parametrize(("bytes_held", "evicted"), [(99, 0), (100, 0), (101, 1)])
def test_too_many_bytes_drop_the_one_that_holds_most(bytes_held: int, evicted: int) -> None:
    table = TrackedTable(capacity=9, held_limit=300)
    sizes = {b"a": 90, b"heavy": 110, b"last": bytes_held}
    for key, size in sizes.items():
        one = tracked(size)
        table.begin(key, one)
        table.weigh(one)
    assert table.evicted == evicted
    assert (table.get(b"heavy") is None) == bool(evicted)
    assert table.held == sum(sizes.values()) - 110 * evicted


def test_a_judged_connection_holds_nothing_and_counts_as_judged() -> None:
    table = TrackedTable(capacity=1, held_limit=100)
    one = tracked(50)
    table.begin(b"a", one)
    table.weigh(one)
    one.connection, one.final = None, FlowClass.CLEAN
    table.weigh(one)
    assert table.held == 0
    table.begin(b"b", tracked())
    assert table.evicted == 0


@pytest.mark.parametrize(("pause", "over"), [(BURST_US, False), (BURST_US + 1, True)])
def test_a_judged_connection_without_a_class_is_read_again_after_its_burst(
    pause: int, over: bool
) -> None:
    one = tracked()
    assert not one.is_over(FlowClass.NONE, BURST_US + 1), "it is being read: the pause is longer"
    one.final = FlowClass.OBSERVED
    assert one.is_over(FlowClass.NONE, pause) == over


def test_a_new_connection_on_old_ports_takes_the_place_of_the_old_one() -> None:
    table = TrackedTable()
    one = tracked(50)
    table.begin(b"a", one)
    table.weigh(one)
    table.begin(b"a", tracked())
    assert (len(table), table.held, table.evicted) == (1, 0, 0)


@pytest.mark.parametrize("payload", [b"\x16", half_a_hello()], ids=["one byte", "half a hello"])
def test_a_flood_of_beginnings_stops_at_the_cap(payload: bytes) -> None:
    """No cycle of references keeps what was dropped: the collector is off."""
    flooded = inspector()
    cap = CAPACITY
    if flooded.fast_path is not None and len(payload) > 1:
        cap += fastpath.CAPACITY  # which it fills before anything comes to the table
    gc.disable()
    tracemalloc.start()
    try:
        flood(flooded, payload, 0, cap)
        assert flooded.evicted == 0
        full, _ = tracemalloc.get_traced_memory()
        flood(flooded, payload, cap, CAPACITY // 2)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert flooded.evicted == CAPACITY // 2
    assert full < cap * (BYTES_A_CONNECTION + len(payload))
    assert after < full * 1.05
