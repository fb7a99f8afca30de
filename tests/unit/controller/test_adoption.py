"""What the kernel refuses and nobody has reported is accounted for, and can be undone."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from ratwall.controller.adoption import TAKEN_A_LOOK, Adoption
from ratwall.controller.blocks import REPORT_LOST, Action, Actions
from ratwall.controller.selftest import SERVER as SELFTEST_SERVER
from ratwall.controller.selftest import SERVER_PORT as SELFTEST_PORT
from ratwall.kernel.sets import BlockedEndpoint
from ratwall.ledger import queries
from unit.controller.box import NOON, SERVER, Box, FakeInspector, Running, eventually, report

SECOND = 1_000_000
LOOK = 5 * SECOND


def refused(server: str = SERVER, port: int = 6606, left: int | None = 600) -> BlockedEndpoint:
    return BlockedEndpoint(ip_address(server), port, left)


@pytest.fixture
def actions(box: Box) -> Iterator[Actions]:
    made = box.service()
    made.start()
    yield made.actions
    made.stop()


def of_server(actions: Actions) -> list[Action]:
    return [action for action in actions.blocking() if action.server == SERVER]


def test_a_block_whose_report_was_lost_is_written_down_with_the_time_it_has_left(
    box: Box, actions: Actions
) -> None:
    adoption = Adoption(box.sets)
    box.sets.by_itself = [refused(left=600)]
    assert adoption.look(actions, NOON) == 0, "its report may be on its way"
    box.sets.by_itself = [refused(left=595)]
    assert adoption.look(actions, NOON + LOOK) == 1
    (action,) = of_server(actions)
    assert (action.author, action.reason, action.incident) == ("rule", REPORT_LOST, None)
    assert action.expires == NOON + LOOK + 595 * SECOND
    assert adoption.look(actions, NOON + 2 * LOOK) == 0, "once"
    assert box.sets.blocked == {}, "the kernel is not asked to do what it has done"


def test_what_is_explained_or_gone_or_a_test_is_left_alone(box: Box, actions: Actions) -> None:
    actions.block(SERVER, 7707, 60, author="root", reason="mine", incident=None, now=NOON)
    adoption = Adoption(box.sets)
    box.sets.by_itself = [
        refused(port=7707),
        refused(SELFTEST_SERVER, SELFTEST_PORT),
        refused(port=8808, left=None),
        refused("2001:db8::7", 6606),
    ]
    adoption.look(actions, NOON)
    del box.sets.by_itself[-1]
    assert adoption.look(actions, NOON + LOOK) == 0
    assert [action.reason for action in actions.blocking()] == ["mine"]


def test_of_very_many_some_are_taken_at_a_time(box: Box, actions: Actions) -> None:
    adoption = Adoption(box.sets)
    box.sets.by_itself = [refused(port=number + 1) for number in range(TAKEN_A_LOOK + 1)]
    looks = [adoption.look(actions, NOON + number * LOOK) for number in range(4)]
    assert looks == [0, TAKEN_A_LOOK, 1, 0]


def test_a_report_that_was_late_after_all_takes_its_place(
    box: Box, running: Running, inspector: FakeInspector
) -> None:
    def blocks() -> list[dict[str, Any]]:
        with box.reading() as ledger:
            return queries.actions_of(ledger, ("block",), box.now)

    def looked() -> list[dict[str, Any]]:
        box.now += LOOK
        return blocks()

    box.sets.by_itself = [refused(left=86_400)]
    assert eventually(looked)[0]["reason"] == REPORT_LOST
    inspector.send(report())
    (only,) = eventually(lambda: (found := blocks()) and found[0]["incident"] and found)
    assert only["reason"] == "The name."


def test_it_can_be_undone_and_lasts_over_a_restart(box: Box) -> None:
    service = box.service()
    service.start()
    box.sets.by_itself = [refused()]
    for _ in range(2):
        box.now += LOOK
        service.tick()
    service.flush()
    service.stop()
    again = box.service()
    again.start()
    (action,) = of_server(again.actions)
    assert box.sets.blocked == {(SERVER, 6606): 600}, "the kernel holds it, should it be empty"
    again.actions.undo(action, box.now)
    assert box.sets.blocked == {}
    again.stop()
    with box.reading() as ledger:
        assert queries.actions_of(ledger, ("block",), box.now) == []
