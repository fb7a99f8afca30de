"""Keeps an eye on the conntrack table and tells the rules when it fills.

Never changes an entry. The table is looked at several times a second, since a flood of new
connections fills it within seconds; the rules of `ratwall.kernel.crowding` do the rest.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ratwall.errors import RatwallError
from ratwall.kernel.command import nft
from ratwall.kernel.crowding import CrowdingConfig, Stage, next_stage, stage_text
from ratwall.kernel.marks import Marks
from ratwall.kernel.ruleset import TABLE
from ratwall.kernel.tables import NFPROTO_BRIDGE, chains

PROC = Path("/proc/sys/net/netfilter")
LOOK_US = 200_000  # a flood of 100,000 connections a second adds 20,000 meanwhile
REPEAT_US = 5_000_000  # a stage is put in force again: the rules may have been laid anew

log = logging.getLogger(__name__)


def connections_now() -> tuple[int, int]:
    """Return how many connections the kernel tracks in this network namespace, and may at most."""
    count, limit = (int((PROC / f"nf_conntrack_{name}").read_text()) for name in ("count", "max"))
    return count, limit


def translates_addresses() -> bool:
    """Say whether somebody's rules here translate addresses."""
    return any(chain.kind == "nat" and chain.family != NFPROTO_BRIDGE for chain in chains())


class Capacity:
    """The stage in force; `look` at least twice a second."""

    def __init__(
        self,
        marks: Marks,
        inputs: Sequence[str],
        wanted: int,
        *,
        routes: bool,
        measure: Callable[[], tuple[int, int]] = connections_now,
        apply: Callable[[str], None] = nft,
        translates: Callable[[], bool] = translates_addresses,
    ) -> None:
        """`inputs` as the prerouting hook names the two sides; `wanted` from the settings."""
        self._marks, self._inputs, self._wanted, self._routes = marks, inputs, wanted, routes
        self._measure, self._apply, self._translates = measure, apply, translates
        self.stage = Stage.CALM
        self.problem: str | None = None
        self._tracked, self._limit, self._most = 0, wanted, 0
        self._way_around = True
        self._look_at = self._repeat_at = 0

    def clock_set(self, by: int) -> None:
        """Look when it would have been time, though the clock was set."""
        self._look_at += by
        self._repeat_at += by

    def look(self, now: int) -> None:
        """Measure the table and put the stage that follows in force; `now` in microseconds."""
        if now < self._look_at:
            return
        self._look_at = now + LOOK_US
        self._tracked, limit = self._measure()
        self._limit = min(limit, self._wanted)
        self._most = max(self._most, self._tracked)
        stage = next_stage(self.stage, self._tracked / self._limit)
        if stage is self.stage and (stage is Stage.CALM or now < self._repeat_at):
            return
        self._repeat_at = now + REPEAT_US
        try:
            self._way_around = not (self._routes and self._translates())
            self._apply(stage_text(self._config(), stage))
        except RatwallError as error:
            self.problem = f"conntrack is {self._tracked / self._limit:.0%} full: {error}"
            return
        self.problem = None
        if stage is not self.stage:
            log.warning(
                "conntrack: %d of %d connections, stage %s", self._tracked, self._limit, stage.name
            )
        self.stage = stage

    def facts(self) -> dict[str, Any]:
        """Return what a person may want to know, JSON-ready."""
        return {
            "tracked": self._tracked,
            "limit": self._limit,
            "most": self._most,  # since the controller started
            "stage": self.stage.name.lower(),
            "share": self._config().share,
            "way_around": self._way_around,
        }

    def _config(self) -> CrowdingConfig:
        return CrowdingConfig(TABLE, self._marks, self._inputs, self._limit, self._way_around)
