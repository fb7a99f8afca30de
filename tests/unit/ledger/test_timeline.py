"""The story of a device: what belongs together, in order, and where it ends."""

from typing import Any

import pytest

from ratwall.ledger import queries
from ratwall.ledger.models import Detection, Incident
from ratwall.ledger.store import Ledger
from ratwall.ledger.timeline import APART_US, LISTED_LIMIT
from ratwall.ledger.writer import LedgerWriter

DAY = 86_400_000_000


class Told:
    """Writes incidents of two devices, and reads one's story."""

    def __init__(
        self, ledger: Ledger, writer: LedgerWriter, incident: dict[str, Any], now: int
    ) -> None:
        self.ledger, self.writer, self.values, self.now = ledger, writer, incident, now
        self.devices = [writer.device(None, f"192.168.1.{host}", now) for host in (10, 11)]

    def add(self, opened: int, lasted: int = 0, device: int = 0, server: str = "x") -> int:
        values = {**self.values, "device": self.devices[device], "server": server}
        times = {"opened": self.now + opened, "updated": self.now + opened + lasted}
        return self.writer.insert(Incident, {**values, **times})

    def story(self, number: int) -> list[dict[str, Any]]:
        assert self.writer.flush()
        found = queries.incident(self.ledger, number)
        assert found is not None
        stages: list[dict[str, Any]] = found["story"]
        return stages

    def numbers(self, number: int) -> list[int]:
        return [stage["id"] for stage in self.story(number)]


@pytest.fixture
def told(ledger: Ledger, writer: LedgerWriter, incident: dict[str, Any], now: int) -> Told:
    return Told(ledger, writer, incident, now)


def test_what_a_device_does_in_one_week_is_one_story_whichever_part_is_opened(told: Told) -> None:
    first = told.add(0, lasted=DAY, server="198.51.100.50")
    told.add(DAY, device=1)
    second = told.add(4 * DAY, server="198.51.100.81")
    third = told.add(5 * DAY, server="203.0.113.246")
    told.add(30 * DAY)
    for number in (first, second, third):
        assert told.numbers(number) == [first, second, third]


@pytest.mark.parametrize(("pause", "together"), [(APART_US, True), (APART_US + 1, False)])
def test_a_week_of_peace_ends_a_story(told: Told, pause: int, together: bool) -> None:
    first = told.add(0, lasted=DAY)
    second = told.add(DAY + pause)
    assert told.numbers(second) == ([first, second] if together else [second])


def test_a_story_goes_on_while_its_first_part_does(told: Told) -> None:
    first = told.add(0, lasted=20 * DAY)
    short = told.add(DAY)
    late = told.add(20 * DAY)
    assert told.numbers(late) == [first, short, late]


def test_each_stage_names_what_was_found_once(told: Told) -> None:
    number = told.add(0)
    for time, rule in ((5, "model.suspicious-ssl"), (6, "rhythm.stock"), (7, "rhythm.stock")):
        values = {"incident": number, "score": 60, "verdict": "alert", "facts": "{}"}
        told.writer.insert(Detection, {**values, "time": time, "rule": rule})
    (stage,) = told.story(number)
    assert stage["found"] == [
        {"time": 5, "rule": "model.suspicious-ssl"},
        {"time": 6, "rule": "rhythm.stock"},
    ]


def test_of_an_endless_story_the_part_before_is_shown(told: Told) -> None:
    numbers = [told.add(day * DAY) for day in range(LISTED_LIMIT + 5)]
    assert told.numbers(numbers[-1]) == numbers[5:]
    assert told.numbers(numbers[0]) == numbers[:LISTED_LIMIT]
