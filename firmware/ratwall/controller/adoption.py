"""Blocks that the packet path has made and nobody accounts for: taken into the ledger.

The kernel refuses a server from the packet on that gave it away; why, says the inspector's report.
If that is lost (the inspector was killed at that moment, or the ledger was), the server stays
refused and nobody could tell why, or undo it. Never blocks anything and never judges. A report may
be on its way still, so an endpoint has to stand there at two looks; a later report replaces what
was written here.
"""

from ratwall.controller.blocks import Actions, KernelSets
from ratwall.controller.selftest import is_selftest_server

TAKEN_A_LOOK = 200  # each is a row: a tenth of a second of them on a slow card, then others' turn


class Adoption:
    """Ask it every few seconds."""

    def __init__(self, sets: KernelSets) -> None:
        self._sets = sets
        self._unexplained: set[tuple[str, int]] = set()  # at the look before

    def look(self, actions: Actions, now: int) -> int:
        """Take in what has been unexplained since the last look; return how many were.

        RatwallError if the kernel does not say what it refuses, or there is no room.
        """
        explained = {action.endpoint for action in actions.blocking()}
        left = {
            (str(each.server), each.port): each.seconds_left
            for each in self._sets.blocks()
            if not is_selftest_server(str(each.server), each.port)
        }
        unexplained = {endpoint for endpoint in left if endpoint not in explained}
        known, self._unexplained = self._unexplained, unexplained
        taken = 0
        for server, port in sorted(unexplained & known)[:TAKEN_A_LOOK]:
            seconds = left[server, port]
            if seconds:  # what is without end was put there by somebody else
                actions.adopt(server, port, seconds, now)
                taken += 1
        return taken
