"""The simulation in small: the same generator and the same code as the full run, fewer of each.

The full run's figures are in docs/detection.md. What is asked here leaves room for the chance of a
small number, and none for a detector that has lost a sense.
"""

import random
from itertools import pairwise
from typing import Any

import pytest

from bench.rhythms import AGAINST, around, first_told, play_rat, tellable
from ratwall.rhythm.decide import RARE_AGE_US, Circumstances
from ratwall_lab.line import Line, Write, copies, records
from ratwall_lab.rhythms import honest, load, rat

RATS = 300
HONEST = 40
# Kind, beat, and how many of the 300 are to be found by it: a few fewer than are. Two beats that
# are lost, or fall into the results of a command, make it one or two beats more.
FOUND = [("stock", 4, 294), ("stock", 6, 298), ("redrawn", 12, 285)]


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    return load()


@pytest.mark.parametrize(("kind", "beat", "least"), FOUND)
def test_rats_are_found_within_a_few_beats(kind: str, beat: int, least: int) -> None:
    seed = str(load()["seed"])
    rows = [play_rat((seed, number, kind == "redrawn")) for number in range(RATS)]
    in_time = [row for row in rows if row["rule"] and row["beat"] <= beat]
    assert len(in_time) >= least, [row for row in rows if row not in in_time]


def test_no_honest_program_is_taken_for_a_rat(table: dict[str, Any]) -> None:
    for number in range(HONEST):
        one = honest(f"small {number}", table)
        known = around(one)
        found = first_told(one, known) if tellable(known) else None
        assert found is None, (one.kind, known, found)


def test_what_has_no_second_fact_is_never_told(table: dict[str, Any]) -> None:
    """Which is why the full run need not fold it."""
    one = rat("one that all know", table, redrawn=False)
    known = Circumstances(named=True, tls_version="TLS 1.3", devices=9, age=RARE_AGE_US)
    assert first_told(one, AGAINST) is not None
    assert not tellable(known)
    assert first_told(one, known) is None


def test_the_generator_beats_as_it_says(table: dict[str, Any]) -> None:
    one = rat("beats", table, redrawn=False)
    low, high = table["rat"]["period_s"]
    gaps = [later - before for before, later in pairwise(one.pings)]
    assert all(low - 0.1 <= gap <= high + 0.1 for gap in gaps)
    assert max(gaps) - min(gaps) < 0.2
    redrawn = [later - before for before, later in pairwise(rat("b", table, redrawn=True).pings)]
    assert max(redrawn) - min(redrawn) > 1


@pytest.mark.parametrize(
    ("version", "lengths"), [("TLS 1.0", [32, 32]), ("TLS 1.2", [28]), ("TLS 1.3", [21])]
)
def test_a_length_prefix_makes_the_measured_records(version: str, lengths: list[int]) -> None:
    assert records(version, 4) == lengths


def test_a_bad_line_repeats_and_delays_but_invents_nothing() -> None:
    writes = [Write(number * 5.0, 100) for number in range(200)]
    perfect = Line(0.0, 0.0, 0.001, 0.05, 0.3)
    bad = Line(0.3, 0.0, 0.001, 0.05, 0.3)
    clean = copies(writes, "TLS 1.3", perfect, random.Random(1))
    lossy = copies(writes, "TLS 1.3", bad, random.Random(1))
    assert len(clean) == len(writes)
    assert {copy.sequence for copy in lossy} == {copy.sequence for copy in clean}
    assert len(lossy) > len(clean), "what was lost behind the box is seen twice"
