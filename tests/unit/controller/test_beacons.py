"""Pairs are scored from the ledger, one at a time, seldom; the scores are there to be read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ratwall.controller.beacons import (
    AGAIN_FEW_US,
    AGAIN_US,
    FEW,
    SCORED_KEPT,
    TURN_US,
    WAITING_LIMIT,
    Beacons,
)
from ratwall.controller.contacts import WRITE_US
from ratwall.detections.history import DAY
from ratwall.detections.rita import LEAST_SECONDS, beacon_score
from ratwall.ledger.contacts import RITA_PARTS, SCORED_CONNECTIONS, regularity
from unit.controller.box import NOON, SERVER
from unit.controller.office import SECOND, Office

OTHER = "198.51.100.9"


class Scored(Office):
    """An office that is scored as well."""

    def start(self) -> None:
        super().start()
        self.beacons = Beacons()
        self.beacons.start(self.books)
        self.contacts.written.append(self.beacons.take_contact)

    def tick(self) -> None:
        super().tick()
        self.beacons.tick(self.now)
        assert self.books.writer.flush()

    def score(self, server: str = SERVER) -> dict[str, object] | None:
        return regularity(self.ledger, 1, server)

    def connections(self) -> object:
        found = self.score()
        return None if found is None else found["connections"]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Scored]:
    office = Scored(tmp_path)
    yield office
    office.ledger.close()


def test_a_loop_is_scored_by_both_measures_and_after_a_restart_still(office: Scored) -> None:
    office.loop(60, port=6606)
    office.write()
    found = office.score()
    assert found is not None
    assert found["ours"] == 100
    # The connections are all that there is: RITA's 24 bins are 13 seconds each, and full.
    starts = [NOON + number * 5 * SECOND for number in range(60)]
    rita = beacon_score(starts, [60] * 60, (NOON, int(str(found["at"]))))
    assert rita is not None
    assert found["rita"] == {part: getattr(rita, part) for part in RITA_PARTS}
    assert (rita.times, rita.sizes) == (1000, 1000)
    office.restart()
    assert office.score() == found


def test_fewer_seconds_than_rita_asks_for_are_no_score(office: Scored) -> None:
    office.loop(LEAST_SECONDS - 1)
    office.now += AGAIN_FEW_US
    office.write()
    assert office.score() is None
    office.end(started=NOON)  # as many connections as it asks for, in too few seconds
    office.now += AGAIN_FEW_US
    office.write()
    assert office.connections() == LEAST_SECONDS
    assert office.score()["rita"] is None  # type: ignore[index]


def test_one_pair_a_turn(office: Scored) -> None:
    for server in (SERVER, OTHER):
        for number in range(LEAST_SECONDS):
            office.end(server=server, started=NOON + number * SECOND)
    office.write()
    assert (office.score() is None, office.score(OTHER) is None) == (False, True)
    office.now += TURN_US - 1
    office.tick()
    assert office.score(OTHER) is None
    office.now += 1
    office.tick()
    assert office.score(OTHER) is not None


@pytest.mark.parametrize(("connections", "again"), [(FEW - 1, AGAIN_FEW_US), (FEW, AGAIN_US)])
def test_it_is_scored_again_sooner_while_there_are_few(
    office: Scored, connections: int, again: int
) -> None:
    for number in range(connections):
        office.end(port=number % 10 + 1, started=NOON - number * SECOND)
    office.write()
    assert office.connections() == connections
    office.end()
    office.now += again - WRITE_US - 1
    office.write()
    assert office.connections() == connections
    office.end()
    office.now += 1
    office.write()
    assert office.connections() == connections + 2


def test_a_clock_that_was_set_back_does_not_stop_the_scores(office: Scored) -> None:
    office.loop(6)
    office.write()
    office.now -= 3 * 3600 * SECOND
    office.loop(6, server=OTHER)
    office.write()
    assert office.score(OTHER) is not None


def test_what_is_older_than_a_day_is_not_in_it(office: Scored) -> None:
    office.loop(20)
    office.now += DAY
    for number in range(5):
        office.end(started=office.now + number * SECOND)
    office.now += AGAIN_US
    office.write()
    assert office.connections() == 5


def test_memory_and_work_are_bounded(office: Scored) -> None:
    for number in range(WAITING_LIMIT + 10):
        office.beacons.take_contact(number, SERVER)
    assert len(office.beacons._waiting) == WAITING_LIMIT
    for _ in range(SCORED_KEPT + 10):
        office.now += TURN_US
        office.beacons.tick(office.now)
        office.beacons.take_contact(office.now, OTHER)
    assert len(office.beacons._scored) == SCORED_KEPT
    assert SCORED_CONNECTIONS == 24 * 3600 // 5
