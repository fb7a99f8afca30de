"""Power cuts: every boot after one protects, and what was on record before is on record still."""

import pytest

from hil.conftest import Box
from hil.ledger import ACKNOWLEDGED, BLOCKS, Known
from hil.traffic import attack
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import End


@pytest.mark.parametrize("moment", ["at rest", "right after a cut", "while the ledger is written"])
def test_after_a_power_cut_the_box_protects_and_remembers(
    box: Box, rat: Identity, moment: str
) -> None:
    known, address = Known(), box.address()
    attack(box, rat)
    box.wait_for("the incident", lambda: box.ask("incidents"))
    box.wait_for("the block", lambda: box.ask("actions"))
    known.learn(box)
    if moment == "right after a cut":
        attack(box, rat, index=1)
    elif moment == "while the ledger is written":
        box.machine.succeed(BLOCKS.format(first=1000, count=120))
        box.wait_for(
            "the first of many blocks", lambda: ACKNOWLEDGED.search(box.machine.console.text())
        )
    box.machine.crash()
    known.read_console(box)
    box.machine.start()
    box.wait_protecting()

    known.check(box)
    assert box.address() == address, "nobody would find the admin page where it was"
    attempt, visits = attack(box, rat)
    assert attempt.end is End.REFUSED, "the block was not laid again"
    assert visits == []
