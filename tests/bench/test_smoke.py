"""The bench runs to its end; its figures are for a quiet machine and a person, never for a test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent / "inline.py"
OBSERVED = Path(__file__).parent / "observed.py"
FLOWS = 60
VARIANTS = ["plain", "accept-all", "ratwall"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: run as root")
def test_all_three_ways_are_measured_and_shown_side_by_side(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    done = subprocess.run(
        [sys.executable, str(BENCH), "--rounds", "1", "--handshakes", "4", "--seconds", "0.3"]
        + ["--only", *VARIANTS, "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = done.stdout.splitlines()
    assert any(row.split()[:3] == VARIANTS for row in rows), done.stdout
    bulk = next(row for row in rows if row.startswith("bulk, Gbit/s"))
    assert all(float(figure) > 0 for figure in bulk.split()[2:5]), "three ways and the ratio"

    figures = json.loads(output.read_text())
    assert list(figures) == VARIANTS
    for name in VARIANTS:
        assert len(figures[name]["bulk"]) == 1
        assert {version: len(times) for version, times in figures[name]["idle"].items()} == {
            "TLS 1.2": 4,
            "TLS 1.3": 4,
        }
    assert min(figures["ratwall"]["queued"]["TLS 1.2"]) >= 1, "Ratwall was in the path"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: run as root")
def test_what_observing_costs_is_measured_with_copies_and_without_in_turn(tmp_path: Path) -> None:
    output = tmp_path / "observed.json"
    short = ["--bulk-pairs", "2", "--hand-pairs", "2", "--warm", "1", "--steady", "0.2"]
    done = subprocess.run(
        [sys.executable, str(OBSERVED), "--flows", str(FLOWS), *short, "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
    )
    # It ends with an error if copies came where none were due, or the other way round.
    assert done.returncode == 0, done.stderr
    assert f"{FLOWS} observed connections" in done.stdout
    figures = json.loads(output.read_text())
    for kind in ("bulk", "hands"):
        assert [one["copied"] for one in figures[kind]] == [True, False, True, False, True]
        assert all(one["rate"] > 0 for one in figures[kind])
