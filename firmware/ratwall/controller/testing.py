"""A self-test that somebody asked for on the page: begun once, awaited, and never forgotten.

The controller may not run it (it takes hosts of its own, and so root): it knocks at whoever may,
under `ratwall run` the supervisor, in the image the steward. The result comes as a command, like
that of `ratwall selftest`. A test that says nothing has failed, and is told so.
"""

import socket
from collections.abc import Callable
from pathlib import Path

from ratwall.controller.blocks import RefusedError
from ratwall.controller.listener import Listener
from ratwall.controller.sockets import SELFTEST_BEGUN, SELFTEST_SOCKET
from ratwall.errors import RatwallError
from ratwall.steward.client import Steward
from ratwall.steward.order import Order, Verb

# The supervisor answers before it starts anything.
KNOCK_SECONDS = 2.0
# It gives up by itself after 10 s; a slow box that has just started takes as long to begin it.
LONGEST_US = 40_000_000
LOST_AUTHOR = "controller"
LOST = {
    "ok": False,
    "cause": "lost",
    "reason": "the self-test was begun, but no result came back; see the box's log",
    "duration_ms": LONGEST_US // 1000,
}


class Selftests(Listener):
    """Whether a self-test is under way, and since when."""

    def __init__(
        self, knock: Callable[[], None], clock: Callable[[], int], lost: Callable[[], None]
    ) -> None:
        """`knock` has one begun or raises RatwallError; `lost` is told of one without a result."""
        self._knock = knock
        self._clock = clock
        self._lost = lost
        self.began: int | None = None

    def begin(self) -> int:
        """Have one begun and return when; RatwallError if one runs, or nobody may run it."""
        if self.began is not None:
            raise RefusedError("self-test: one is running; wait for its result")
        self._knock()
        self.began = self._clock()
        return self.began

    def over(self) -> None:
        """Take in that a result is there."""
        self.began = None

    def tick(self, now: int) -> None:
        """Give up on a test that takes too long."""
        if self.began is not None and now - self.began > LONGEST_US:
            self.began = None
            self._lost()

    def clock_set(self, by: int) -> None:
        """Be as old as before."""
        if self.began is not None:
            self.began += by


def knocker(run: Path, steward: Steward) -> Callable[[], None]:
    """Return what has a self-test begun on this machine."""

    def knock() -> None:
        path = run / SELFTEST_SOCKET
        if path.is_socket():
            _knock_at(path)
        elif steward.is_there:
            steward.ask(Order(Verb.SELFTEST))
        else:
            raise RatwallError(
                "self-test: there is nobody here who may run it; "
                "at the box, as root: ratwall selftest"
            )

    return knock


def _knock_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(KNOCK_SECONDS)
        try:
            connection.connect(str(path))
            answer = connection.recv(len(SELFTEST_BEGUN))
        except OSError as error:
            raise RatwallError(f"self-test: {path}: {error}") from error
    if answer != SELFTEST_BEGUN:
        raise RefusedError("self-test: one is running; wait for its result")
