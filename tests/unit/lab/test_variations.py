"""The varied RATs are drawn, not invented on the spot: a seed stands for one of them for ever."""

import pytest

from ratwall_lab.variations import FAMILIES, draw

SEEDS = range(20)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_stands_for_one_variation(family: str) -> None:
    assert [draw(family, seed) for seed in SEEDS] == [draw(family, seed) for seed in SEEDS]


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "server down"])
def test_seeds_of_a_family_differ(family: str) -> None:
    drawn = [draw(family, seed) for seed in SEEDS]
    assert len({repr(one).replace(f"seed={one.seed}", "") for one in drawn}) > 1


def test_a_family_changes_what_it_is_called_after() -> None:
    assert all(draw("renamed", seed).common_name != "AsyncRAT Server" for seed in SEEDS)
    assert {draw("TLS 1.2 or 1.3", seed).version for seed in SEEDS} == {"1.2", "1.3"}
    assert {draw("RSA-2048 or ECDSA", seed).key for seed in SEEDS} == {"rsa2048", "ec256"}
    assert all(draw("authority's certificate", seed).maker == "authority" for seed in SEEDS)
    assert all(draw("long period", seed).period[0] > 15 for seed in SEEDS)
    assert all(draw("jitter", seed).redrawn for seed in SEEDS)
    assert all(draw("commands", seed).command_gap for seed in SEEDS)
    assert all(draw("server down", seed).down for seed in SEEDS)
    assert all(draw("by name", seed).server_name for seed in SEEDS)


def test_most_families_hide_who_made_them() -> None:
    """Or the table would only say six times over that the certificate gives them away."""
    hidden = {name for name in FAMILIES if not all(draw(name, s).shows_its_maker for s in SEEDS)}
    assert len(hidden) == 7
