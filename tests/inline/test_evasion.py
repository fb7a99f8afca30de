"""A certificate flight cut into pieces in every legal way: cut all the same.

The pieces are put on the wire by a TCP server in user space, before the box, and read after it by
an ordinary client: what the client got is what the box let through.
"""

import itertools
from collections.abc import Callable

import pytest

from inline.conftest import Box
from inline.flights import attack
from ratwall_lab.certificates import Identity
from ratwall_lab.contexts import Version
from ratwall_lab.flight import (
    Piece,
    Recording,
    backwards,
    duplicated,
    in_order,
    overlapping,
    record,
    shuffled,
)
from ratwall_lab.segments import assembled
from ratwall_lab.topology import Lab

Cut = Callable[[Recording], list[Piece]]
CUTS: dict[str, Cut] = {
    "one byte a segment": lambda r: in_order(r.flight(), 1),
    "one byte a segment, shuffled": lambda r: shuffled(r.flight(), 1),
    "backwards": lambda r: backwards(r.flight(), 200),
    "shuffled": lambda r: shuffled(r.flight(), 100),
    "every segment twice": lambda r: duplicated(r.flight(), 100),
    "twice and shuffled": lambda r: shuffled(r.flight(), 90) + duplicated(r.flight(), 90),
    "overlapping": lambda r: overlapping(r.flight(), 400),
    "a record for each byte": lambda r: in_order(r.flight([1])),
    "records of 7 and 1000 bytes": lambda r: in_order(r.flight([7, 1000]), 333),
    "a record for each message": lambda r: in_order(r.flight_by_message()),
    "record header split": lambda r: in_order(r.flight_by_message(), 3),
}
ports = itertools.count(9000)


@pytest.fixture(scope="module")
def recordings(rat: Identity) -> dict[Version, Recording]:
    return {"1.0": record(rat, "1.0"), "1.2": record(rat, "1.2")}


@pytest.mark.parametrize("version", ["1.0", "1.2"])
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_flight_in_pieces_is_cut(
    lab: Lab,
    box: Box,
    rat: Identity,
    recordings: dict[Version, Recording],
    cut: Cut,
    family: int,
    version: Version,
) -> None:
    address, port = lab.internet.address(2, family), next(ports)
    recording = recordings[version]
    pieces = cut(recording)
    attack(lab, box, rat, address, port, recording, pieces, content=assembled(pieces))
