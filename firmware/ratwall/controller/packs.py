"""The signature packs in force, for those parts of the controller that go by them.

Reads them again when it is told to, and says of those that were left out why. It never changes one:
bringing packs is root's, by `ratwall signatures`.
"""

import logging
from pathlib import Path
from typing import Any

from ratwall.signatures.pack import family_ports
from ratwall.signatures.store import HeldPack, InForce, packs_in_force

log = logging.getLogger(__name__)


class Packs:
    """The packs in force; `groups` (what each rule is about) is one dictionary for good."""

    def __init__(self, state_dir: Path | None, trust: tuple[str, ...]) -> None:
        self._state_dir = state_dir
        self.groups: dict[str, str] = {}
        self.read_again(trust)

    def read_again(self, trust: tuple[str, ...]) -> None:
        """Take the packs that are there now, signed with one of the keys trusted."""
        self.in_force: InForce = packs_in_force(self._state_dir, trust)
        for problem in self.in_force.problems:
            log.warning("%s", problem)
        self.ports = family_ports(self.in_force.packs)
        self.groups.clear()
        self.groups |= {rule.id: rule.group for pack in self.in_force.packs for rule in pack.rules}

    def facts(self) -> dict[str, Any]:
        """Return what status says of them."""
        return {
            "packs": [pack_facts(each) for each in self.in_force.held],
            "problems": list(self.in_force.problems),
        }


def pack_facts(held: HeldPack) -> dict[str, Any]:
    """Return a pack in force as a JSON-ready object; a shipped one has no `key` and no `taken`."""
    pack = held.pack
    return {
        "name": pack.name,
        "version": pack.version,
        "made": None if pack.made is None else pack.made.isoformat(),
        "key": held.key,
        "taken": held.taken,
        "rules": len(pack.rules),
        "family": pack.family,
        "about": pack.about,
    }
