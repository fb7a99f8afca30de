"""The kernel's counters, looked at every few seconds: what passed, and whether our rules are there.

Only reads. That rules are new again is told to whoever must fill their sets.
"""

from ratwall.controller.blocks import KernelSets
from ratwall.controller.complaints import Complaints
from ratwall.controller.uninspected import Uninspected
from ratwall.errors import RatwallError


class Counters:
    """`values` are the counters as of the last look."""

    def __init__(self, sets: KernelSets, complaints: Complaints) -> None:
        self.values: dict[str, int] = {}
        self.rules_there = True
        self._sets = sets
        self._complaints = complaints

    def look(self, uninspected: Uninspected, now: int) -> bool:
        """Add what passed uninspected since the last look; True if the rules are new."""
        try:
            self.values = self._sets.counters()
            if uninspected.count(self.values, now):
                uninspected.take_missed(self._sets.missed(), now)
        except (RatwallError, KeyError) as error:
            missing = "nft shows no table inet ratwall" if isinstance(error, KeyError) else error
            self._complaints.problem = f"kernel counters: {missing}"
            # Once is no news for the log: on a clean end the rules go before this process does.
            if not self.rules_there:
                self._complaints.tell(self._complaints.problem)
            self.rules_there = False
            return False
        were_there, self.rules_there = self.rules_there, True
        return not were_there
