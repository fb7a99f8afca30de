"""A table that fills: which stage follows which, and what nft makes of each stage's rules."""

import os
import shutil
import subprocess

import pytest

from ratwall.kernel.crowding import (
    CONNECTION_BYTES,
    CONNECTIONS_HIGH,
    CONNECTIONS_LOW,
    CROWD_HIGH,
    CROWD_SHARE,
    CROWDED,
    FULL,
    MEMORY_SHARE,
    SLACK,
    CrowdingConfig,
    Stage,
    default_connections,
    next_stage,
    stage_text,
)
from ratwall.kernel.marks import Marks
from ratwall.kernel.ruleset import TABLE, RulesetConfig, ruleset

STEP = 0.001


@pytest.mark.parametrize(
    ("before", "fill", "after"),
    [
        (Stage.CALM, CROWDED - STEP, Stage.CALM),
        (Stage.CALM, CROWDED, Stage.CROWDED),
        (Stage.CALM, FULL - STEP, Stage.CROWDED),
        (Stage.CALM, FULL, Stage.FULL),
        (Stage.CROWDED, CROWDED - SLACK, Stage.CROWDED),
        (Stage.CROWDED, CROWDED - SLACK - STEP, Stage.CALM),
        (Stage.CROWDED, FULL, Stage.FULL),
        (Stage.FULL, FULL - SLACK + STEP, Stage.FULL),
        (Stage.FULL, FULL - SLACK - STEP, Stage.WANING),
        (Stage.FULL, 0.0, Stage.CALM),
        (Stage.WANING, FULL - STEP, Stage.WANING),
        (Stage.WANING, FULL, Stage.FULL),
        (Stage.WANING, CROWDED - SLACK, Stage.WANING),
        (Stage.WANING, CROWDED - SLACK - STEP, Stage.CALM),
    ],
)
def test_each_stage_begins_and_ends_at_its_fill(before: Stage, fill: float, after: Stage) -> None:
    assert next_stage(before, fill) is after


def test_the_size_comes_from_memory_within_its_limits() -> None:
    step = MEMORY_SHARE * CONNECTION_BYTES
    assert default_connections(CONNECTIONS_LOW * step - 1) == CONNECTIONS_LOW
    assert default_connections((CONNECTIONS_LOW + 1) * step) == CONNECTIONS_LOW + 1
    assert default_connections(512 * 1024 * 1024) == 65_536
    assert default_connections((CONNECTIONS_HIGH - 1) * step) == CONNECTIONS_HIGH - 1
    assert default_connections((CONNECTIONS_HIGH + 1) * step) == CONNECTIONS_HIGH


def config(connections: int = 65_536, *, escape: bool = True) -> CrowdingConfig:
    return CrowdingConfig(TABLE, Marks(), ("lan", "wan"), connections, escape)


@pytest.mark.parametrize(
    ("connections", "share"),
    [
        (CROWD_SHARE * (CROWD_HIGH - 1), CROWD_HIGH - 1),
        (CROWD_SHARE * CROWD_HIGH, CROWD_HIGH),
        (CROWD_SHARE * (CROWD_HIGH + 1), CROWD_HIGH),
        (1, 1),
    ],
)
def test_a_devices_share(connections: int, share: int) -> None:
    assert config(connections).share == share


def test_nothing_goes_around_the_table_where_addresses_are_translated() -> None:
    assert "notrack" in stage_text(config(), Stage.FULL)
    assert "notrack" not in stage_text(config(escape=False), Stage.FULL)
    assert "ct count over" in stage_text(config(escape=False), Stage.FULL)


@pytest.mark.root
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nft to try rules"
)
def test_nft_takes_every_stage_after_every_other_and_calm_leaves_nothing() -> None:
    rules = ruleset(RulesetConfig("lan", "wan", nft_queue=False))
    order = [*Stage, *reversed(Stage), Stage.FULL, Stage.CALM, Stage.WANING, Stage.CALM]
    script = "nft -f - <<'END'\n" + rules + "END\nnft -s list ruleset >before\n"
    for stage in order:
        script += "nft -f - <<'END'\n" + stage_text(config(), stage) + "END\n"
    script += "nft -s list ruleset | diff before -"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec", f"cd $(mktemp -d)\n{script}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
