"""What the controller keeps books of, all of it bound to one ledger.

Opened by `Storage`; when another ledger is begun there are new books, and whoever held the old ones
is given the new. Never judges and never asks the kernel, except to put the ledger's blocks and
allows in force again.
"""

from dataclasses import dataclass, field

from ratwall.controller import uninspected
from ratwall.controller.blocks import Actions, KernelSets
from ratwall.controller.cases import Cases
from ratwall.controller.recollection import Recollection
from ratwall.controller.story import Story
from ratwall.controller.uninspected import Uninspected
from ratwall.ledger import queries
from ratwall.ledger.store import Ledger
from ratwall.ledger.writer import LedgerWriter
from ratwall.verdict.memory import VerdictMemory


@dataclass(slots=True)
class Books:
    """One ledger and what was read from it."""

    ledger: Ledger
    writer: LedgerWriter
    actions: Actions
    cases: Cases
    memory: Recollection
    uninspected: Uninspected
    story: Story
    notes: dict[str, str] = field(default_factory=dict)  # as they were when the books were opened
    urgent: bool = False  # an incident or an action waits: it must reach the disk at once


def open_books(
    ledger: Ledger, sets: KernelSets, never_block: frozenset[str], origin: str, now: int
) -> Books:
    """Return the books of a ledger.

    `origin` tells one life of the kernel's table from another; `now` is UTC microseconds.
    """
    writer = LedgerWriter(ledger)
    actions = Actions(writer, sets, never_block)
    kinds = (*queries.BLOCKING_KINDS, "allow")
    actions.load(queries.actions_of(ledger, kinds, now))
    memory = Recollection(writer, VerdictMemory())
    memory.load(ledger, now)
    notes = queries.notes(ledger)
    return Books(
        ledger=ledger,
        writer=writer,
        actions=actions,
        cases=Cases(ledger, writer, now),
        memory=memory,
        uninspected=Uninspected(writer, notes.get(uninspected.NOTE), origin),
        story=Story(writer, notes, now),
        notes=notes,
    )
