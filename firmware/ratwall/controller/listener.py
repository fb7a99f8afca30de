"""Whoever wants to hear what the controller hears: reports, events, copies, and the time.

A part of the controller that needs nothing else is a subclass in a module of its own and one
`Service.add`. Every method may be left out. None may wait, and none may raise for what it is told:
all of it comes from the network.
"""

from collections.abc import Set

from ratwall.controller.books import Books
from ratwall.controller.messages import FlowReport
from ratwall.controller.proofs import Connection, Reported
from ratwall.kernel.conntrack import FlowEvent


class Listener:
    """Does nothing with what it hears."""

    def start(self, books: Books) -> None:
        """Take the books; again with new ones whenever another ledger is begun."""

    def take_report(self, report: FlowReport, written: Reported) -> None:
        """Take in a judged connection; `written` says where its rows are, which still wait."""

    def take_event(self, event: FlowEvent) -> None:
        """Take in what conntrack tells of a connection."""

    def take_table(self, there: Set[Connection]) -> None:
        """Take in all connections that there are, from both ends: others have ended unheard."""

    def fileno(self) -> int | None:
        """Return a descriptor to poll for `take_copies`, None if there is none."""
        return None

    def take_copies(self) -> None:
        """Read what has come at `fileno`."""

    def tick(self, now: int) -> None:
        """Do what is due by time (UTC microseconds); called several times a second."""

    def clock_set(self, by: int) -> None:
        """Move the times that are kept for later: the wall clock was set forward by so many
        microseconds, or back where `by` is negative."""

    def rules_again(self) -> None:
        """Fill sets of its own again: somebody had taken the rules out, and they were put back."""

    def stop(self) -> None:
        """Write down what must last: the ledger is about to be closed."""
