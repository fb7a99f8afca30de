"""Whether the office is protected at this moment, in one word and with the reason.

Pure: told who is there, it says since when what holds. It says "protecting" only while an inspector
has been heard of within the last seconds.
"""

from dataclasses import dataclass

STARTING_US = 10_000_000  # inspectors connect within a second or two; a slow card takes some more
SILENT_US = 5_000_000  # a worker speaks once a second: after five it hangs or is gone
PAUSABLE = ("protecting", "partial", "monitor")
PAUSED = "nothing is inspected for a while; what was blocked stays blocked"
NOBODY = "no inspector is running: traffic passes uninspected"


@dataclass(slots=True)
class Protection:
    """The state of protection; times are UTC microseconds."""

    started: int
    workers: int = 1  # inspectors that there shall be
    state: str = "starting"
    since: int = 0
    reason: str | None = None
    _full: bool = False  # all have been there
    _met: bool = False  # one has been there: without any, it is not starting any more

    def __post_init__(self) -> None:
        self.since = self.started

    def update(
        self,
        *,
        alive: int,
        connected: int,
        rules: bool,
        enforce: bool,
        now: int,
        paused: bool = False,
    ) -> None:
        """Take in how many inspectors are connected, how many of them were heard of lately,
        whether the kernel has the rules that send them anything, and whether a person has them
        all pass by for a while."""
        self._full = self._full or alive >= self.workers
        self._met = self._met or connected > 0
        state, reason = self._judge(alive, connected, rules, enforce, now)
        if paused and state in PAUSABLE:
            state, reason = "paused", PAUSED
        if state != self.state:
            self.since = now
        self.state, self.reason = state, reason

    def clock_set(self, by: int) -> None:
        """Be as old as before, though the clock was set."""
        self.started += by
        self.since += by

    def _judge(
        self, alive: int, connected: int, rules: bool, enforce: bool, now: int
    ) -> tuple[str, str | None]:
        if not rules:
            return "bypassed", "the rules are not in the kernel: traffic passes uninspected"
        if alive:
            if alive < self.workers and (self._full or now - self.started >= STARTING_US):
                return "partial", (
                    f"{alive} of {self.workers} inspectors at work: "
                    "the others' share passes uninspected"
                )
            if not enforce:
                return "monitor", "monitor mode: connections are judged, none is cut"
            return "protecting", None
        early = self.state == "starting" and now - self.started < STARTING_US
        if early and (connected or not self._met):
            return "starting", "waiting for the inspector"
        if connected:
            return "bypassed", "the inspector does not answer: traffic passes uninspected"
        return "bypassed", NOBODY
