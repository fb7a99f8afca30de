"""The conntrack table watched: stages come into force, are repeated, and never do harm."""

from ratwall.controller.capacity import LOOK_US, REPEAT_US, Capacity
from ratwall.errors import RatwallError
from ratwall.kernel.crowding import Stage
from ratwall.kernel.marks import Marks


class Table:
    """A conntrack table, and the rules that were applied."""

    def __init__(self, *, routes: bool = False, translates: bool = False) -> None:
        self.count, self.now = 0, 0
        self.applied: list[str] = []
        self.broken = False
        self.capacity = Capacity(
            Marks(),
            ("br0",),
            1000,
            routes=routes,
            measure=lambda: (self.count, 262_144),
            apply=self._apply,
            translates=lambda: translates,
        )

    def _apply(self, text: str) -> None:
        if self.broken:
            raise RatwallError("nft: no")
        self.applied.append(text)

    def at(self, count: int) -> Stage:
        self.count = count
        self.now += LOOK_US
        self.capacity.look(self.now)
        return self.capacity.stage


def test_stages_follow_the_fill_of_what_was_asked_for_not_of_the_kernels_limit() -> None:
    table = Table()
    assert table.at(499) is Stage.CALM
    assert table.applied == [], "at rest nothing is touched"
    assert table.at(500) is Stage.CROWDED
    assert table.at(800) is Stage.FULL
    assert "notrack" in table.applied[-1]
    assert table.at(600) is Stage.WANING
    assert table.at(0) is Stage.CALM
    assert "delete chain" in table.applied[-1]
    assert table.capacity.facts() == {
        "tracked": 0, "limit": 1000, "most": 800, "stage": "calm", "share": 62, "way_around": True,
    }  # fmt: skip


def test_it_looks_no_more_often_than_needed_and_repeats_what_is_in_force() -> None:
    table = Table()
    table.at(900)
    table.capacity.look(table.now + LOOK_US - 1)
    table.at(900)
    assert len(table.applied) == 1
    table.now += REPEAT_US
    table.at(900)
    assert len(table.applied) == 2, "somebody may have laid the rules anew"


def test_behind_address_translation_nothing_goes_around_the_table() -> None:
    assert Table(routes=True, translates=True).at(900) is Stage.FULL
    for routes, translates, around in (
        (True, True, False),
        (True, False, True),
        (False, True, True),
    ):
        table = Table(routes=routes, translates=translates)
        table.at(900)
        assert ("notrack" in table.applied[-1]) is around


def test_a_kernel_that_refuses_is_told_and_tried_again() -> None:
    table = Table()
    table.broken = True
    assert table.at(900) is Stage.CALM
    assert table.capacity.problem == "conntrack is 90% full: nft: no"
    table.broken = False
    assert table.at(900) is Stage.FULL
    assert table.capacity.problem is None
