"""Power cuts: every boot after one protects, and what was on record before is on record still."""

import pytest

from hil.conftest import Box
from hil.traffic import attack
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import End

LEDGER = "/var/lib/ratwall/ledger.sqlite3"
ASK = f'import sqlite3; print(*sqlite3.connect("{LEDGER}").execute("pragma quick_check"))'
CHECK = f"python3 -c '{ASK}'"


@pytest.mark.parametrize("moment", ["at rest", "right after a cut", "while the ledger is written"])
def test_after_a_power_cut_the_box_protects_and_remembers(
    box: Box, rat: Identity, moment: str
) -> None:
    attack(box, rat)
    known = box.wait_for("the incident", lambda: box.ask("incidents"))
    blocks = box.wait_for("the block", lambda: box.ask("actions"))
    if moment == "right after a cut":
        attack(box, rat, index=1)
    elif moment == "while the ledger is written":
        box.machine.succeed(
            "for n in $(seq 40); do ratwall block 203.0.113.200:$((n + 1000)) --reason load; done"
            " > /dev/null 2>&1 &"
        )
    box.machine.power_cut()
    box.wait_protecting()

    assert "ok" in box.machine.succeed(CHECK)
    numbers = {one["id"] for one in box.ask("incidents")}
    assert {one["id"] for one in known} <= numbers
    assert {one["id"] for one in blocks} <= {one["id"] for one in box.ask("actions")}
    attempt, visits = attack(box, rat)
    assert attempt.end is End.REFUSED, "the block was not laid again"
    assert visits == []
