"""The ledger as the tests of this folder read it, while the controller writes it."""

from typing import Any

from ratwall.ledger import queries
from unit.controller.box import Box, eventually


def only_incident(box: Box) -> dict[str, Any]:
    """Wait for the one incident there is and return it in full."""
    with box.reading() as ledger:
        (found,) = eventually(lambda: queries.incidents(ledger))
        story = queries.incident(ledger, found["id"])
    assert story is not None
    return story


def state_of(box: Box) -> str:
    return str(only_incident(box)["state"])


def flows_written(box: Box) -> int:
    with box.reading() as ledger:
        return len(queries.flows(ledger, limit=1000))
