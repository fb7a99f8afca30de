"""How many packets passed uninspected, ever, and when last: kept over restarts of box and rules.

Pure: the kernel's counter is passed in. It begins again with every new table, and goes on counting
while the controller is away.
"""

import json
from dataclasses import dataclass


@dataclass(slots=True)
class Uninspected:
    """The sum over all tables; `last` is UTC microseconds, exact to the pace of asking."""

    packets: int = 0
    last: int | None = None
    kernel: int = 0  # the counter of the present table when it was last asked

    @classmethod
    def from_note(cls, note: str | None) -> "Uninspected":
        """Return what the ledger's note says, nothing for None."""
        return cls() if note is None else cls(**json.loads(note))

    def to_note(self) -> str:
        """Return the form that the ledger keeps."""
        return json.dumps({"packets": self.packets, "last": self.last, "kernel": self.kernel})

    def take(self, count: int, now: int) -> int:
        """Take in the kernel's counter and return by how much the sum has grown."""
        # A lower count is that of a new table: the box was taken out and put in again.
        more = count - self.kernel if count >= self.kernel else count
        self.kernel = count
        if more:
            self.packets += more
            self.last = now
        return more
