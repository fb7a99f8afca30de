"""What a box has on record, as somebody outside of it knows: what it acknowledged must last."""

import re
from dataclasses import dataclass, field

from hil.conftest import Box

LEDGER = "/var/lib/ratwall/ledger.sqlite3"
ASK = (
    f'import sqlite3; found = sqlite3.connect("{LEDGER}").execute("pragma quick_check"); '
    "print(*(row[0] for row in found))"
)
CHECK = f"python3 -c '{ASK}'"
MANY = "--limit 1000"
# Blocks one port after the other, and says so on the console when the box has said so: what stands
# there was acknowledged, up to the moment of the cut.
BLOCKS = """python3 -P - {first} {count} > /dev/null 2>&1 << 'END' &
import sys
from pathlib import Path
from ratwall.controller.client import Client
client = Client(Path("/var/lib/ratwall/run/control.sock"))
first, count = map(int, sys.argv[1:])
with open("/dev/ttyS0", "w", buffering=1) as console:
    for port in range(first, first + count):
        done = client.call("block", author="lab", reason="load", server="203.0.113.200",
                           server_port=port, seconds=86400)
        console.write(f"lab: acknowledged {{done['action']}}.\\n")
END"""
ACKNOWLEDGED = re.compile(r"lab: acknowledged (\d+)\.")


@dataclass(slots=True)
class Known:
    """Numbers of incidents and actions that a box has told of."""

    incidents: set[int] = field(default_factory=set)
    actions: set[int] = field(default_factory=set)

    def learn(self, box: Box) -> None:
        """Ask for all that is on record."""
        self.incidents |= {one["id"] for one in box.ask("incidents", MANY)}
        self.actions |= {one["id"] for one in box.ask("actions", MANY)}

    def read_console(self, box: Box) -> None:
        """Take what `BLOCKS` wrote since power-on; the box may be off by now."""
        self.actions |= {int(number) for number in ACKNOWLEDGED.findall(box.machine.console.text())}

    def check(self, box: Box) -> None:
        """Fail unless the ledger is whole and holds all of it, and the kernel has the blocks."""
        assert box.machine.succeed(CHECK).strip() == "ok"
        incidents = {one["id"] for one in box.ask("incidents", MANY)}
        assert not self.incidents - incidents, "incidents are lost that were acknowledged"
        actions = {one["id"]: one for one in box.ask("actions", MANY)}
        assert not self.actions - actions.keys(), "actions are lost that were acknowledged"
        blocks = [one for one in actions.values() if one["kind"] == "block"]
        places = {(one["server"], one["server_port"]) for one in blocks}
        assert box.ask("status")["blocks"] >= len(places), "not all blocks are in force again"
