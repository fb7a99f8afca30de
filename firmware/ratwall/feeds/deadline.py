"""A time for each list, and one for all: whatever a publisher's server does, others get their turn.

Never fetches itself. A server can dribble where no time-out of ours looks: a header a minute,
trailers without end, a hundred addresses that do not answer. So the process's one timer interrupts
whatever goes on.

Design note: without it one such server would use up the time of the whole run, of which then
nothing is written down, and no other list would ever be looked at again.
"""

import signal
import time
from collections.abc import Callable

from ratwall.feeds.errors import FeedError
from ratwall.feeds.fetch import Fetched

Obtain = Callable[[str, str | None, str | None, int], Fetched | None]


class Deadline:
    """Gets lists by `obtain`, each within `each` seconds and all within `whole`."""

    def __init__(self, obtain: Obtain, each: float, whole: float) -> None:
        """Begin now; only one at a time, and in the main thread."""
        self._obtain = obtain
        self._each = each
        self._end = time.monotonic() + whole
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, whole)

    def obtain(
        self, source: str, etag: str | None, modified: str | None, now: int
    ) -> Fetched | None:
        """Get a list; FeedError if it takes too long, or no time is left for it."""
        if time.monotonic() + self._each > self._end:
            raise FeedError("no time was left for it: others took too long")
        try:
            signal.setitimer(signal.ITIMER_REAL, self._each)
            return self._obtain(source, etag, modified, now)
        except TimeoutError as error:
            raise FeedError(f"{source}: {error}") from error
        finally:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, self._end - time.monotonic()))

    def close(self) -> None:
        """Let the timer go."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _interrupt(number: int, frame: object) -> None:
    raise TimeoutError("took too long")
