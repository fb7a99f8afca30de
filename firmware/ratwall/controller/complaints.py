"""What the kernel refuses: told in the status while it lasts, and once in the log."""

import logging

log = logging.getLogger(__name__)


class Complaints:
    """`problem` is the last thing that went wrong since `clear`, in words."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self._logged: str | None = None

    def tell(self, problem: str) -> None:
        """Note a problem; the log hears of it unless it was the last one there too."""
        if problem != self._logged:
            log.warning("%s", problem)
        self.problem = self._logged = problem

    def clear(self) -> None:
        """Forget the problem: what is still wrong will be told again."""
        self.problem = None
