"""What fuzzing once found stays found, and the seeds themselves are no finds."""

import base64

import pytest

from fuzz.seeds import SEEDS
from fuzz.targets import TARGETS

# What was wrong, the target, and the input.
FINDINGS: dict[str, tuple[str, str]] = {
    "segments out of order before the hello moved the server's beginning": (
        "packets",
        "BwAEA+gAAAAAAC4IAEcD6ADIAAAEsADIAAAFeADIAAAGQADIAAAHCADIAAAH0ADIAAAImADIAA==",
    ),
    "a SYN-ACK in the middle moved the server's beginning": (
        "packets",
        "BwAABQCrN6yzBAAAAAAAAHgAyAAABkAAyAAAB1UIACkA//gvAAAGQADIAAAA",
    ),
    "bytes below the window were read as the beginning of the flight": (
        "packets",
        "BwQD4gAABgBGRQD3////AAB4BgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAACJgAyAAAB9ABAP////9/AAAAACsAAAAIAMgAbQAAAAAAAAcABlMDAwMDAwMDAwMDAwMo"
        "AAADAAAAAAAAAAAAAAAAAAAAAAAAAAAAAC3oAMgAU0gtNAL/AwMDAAAAAwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAADAAAAAAgAAAtVyEAAyFUAAAsFeA==",
    ),
    "a port attribute of three bytes made the decoder raise": (
        "events",
        "eAAAAAABAQABAAAAAAAAAAIAAABMAAEALAABABQAAwAgAQ24d3d3d3d3d3d3d3d3FAAEACABDbiZmZmZmZmZmZmZmZkc"
        "AAIABQABAAYAAAAGAAIAwAAAAAcAAwAZzgAACAAIAAYAAAAQAAkADAACAAAAAAAAAAXc",
    ),
}


@pytest.mark.parametrize(("name", "data"), FINDINGS.values(), ids=FINDINGS)
def test_a_find_is_mended(name: str, data: str) -> None:
    TARGETS[name](base64.b64decode(data))


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_hold(name: str) -> None:
    for seed in SEEDS[name]():
        TARGETS[name](seed)
