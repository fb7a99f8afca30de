"""What is observed: bounded, the least suspicious out first, nothing comes back from the dead."""

import pytest

from ratwall.controller.observed import ENDED_LIMIT, ObservedTable, Reason
from ratwall.controller.proofs import Connection

NOON = 1_750_000_000_000_000
HIDDEN = frozenset({Reason.HIDDEN})
NAMELESS = frozenset({Reason.HIDDEN, Reason.NAMELESS})


def connection(number: int) -> Connection:
    return ("192.168.1.10", 50_000 + number, "203.0.113.7", 443)


@pytest.mark.parametrize(("count", "evicted"), [(2, 0), (3, 0), (4, 1)])
def test_a_full_table_lets_the_one_observed_longest_go(count: int, evicted: int) -> None:
    table = ObservedTable(3)
    gone = []
    for each in range(count):
        gone += table.observe(connection(each), HIDDEN, 0, NOON)
    assert gone == [connection(0)][:evicted]
    assert len(table) == min(count, 3)


def test_the_least_suspicious_leaves_even_if_it_has_just_come() -> None:
    table = ObservedTable(2)
    table.observe(connection(1), NAMELESS, 0, NOON)
    table.observe(connection(2), HIDDEN, 45, NOON)
    assert table.observe(connection(3), HIDDEN, 0, NOON) == [connection(3)]
    assert table.observe(connection(4), NAMELESS, 30, NOON) == [connection(1)]
    assert [each["client_port"] for each in table.listing(9)] == [50_004, 50_002]
    assert len(table.listing(1)) == 1


def test_a_connection_gets_more_suspicious_by_what_is_learned_of_it() -> None:
    table = ObservedTable(9)
    table.copied(connection(1), 100, NOON, NOON)
    (flow,) = table.listing(9)
    assert (flow["reasons"], flow["suspicion"]) == (["no TLS read"], 5)
    table.observe(connection(1), NAMELESS, 30, NOON + 1)
    table.copied(connection(1), 50, NOON + 2, NOON + 3)
    (flow,) = table.listing(9)
    assert flow["reasons"] == ["certificate hidden", "no server name"]
    assert (flow["suspicion"], flow["copies"], flow["bytes"]) == (55, 2, 150)
    assert (flow["since"], flow["last"]) == (NOON, NOON + 2)


def test_a_late_copy_does_not_bring_a_connection_back() -> None:
    table = ObservedTable(9)
    table.copied(connection(1), 100, NOON, NOON)
    table.end(connection(1), NOON + 100)
    table.copied(connection(1), 100, NOON + 100, NOON + 200)
    assert len(table) == 0
    table.copied(connection(1), 100, NOON + 101, NOON + 200)
    assert len(table) == 1, "the ports are used again"


def test_what_has_ended_is_forgotten_in_the_end() -> None:
    table = ObservedTable(9)
    for number in range(ENDED_LIMIT + 1):
        table.observe(connection(number), HIDDEN, 0, NOON)
        table.end(connection(number), NOON)
    table.copied(connection(0), 1, NOON, NOON)
    table.copied(connection(1), 1, NOON, NOON)
    assert [each["client_port"] for each in table.listing(9)] == [50_000]
