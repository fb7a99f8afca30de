"""What became of an update reaches the audit trail once, whichever version is left to tell it."""

from typing import Any

import pytest

from ratwall.errors import NotRunningError
from ratwall.update.attempt import Attempt, State
from ratwall.update.place import Place, keep_attempt
from ratwall.update.telling import tell_outcome


class Controller:
    """Takes entries, or is not there."""

    def __init__(self) -> None:
        self.trail: list[str] = []
        self.there = True

    def call(self, command: str, **arguments: Any) -> dict[str, Any]:
        if not self.there:
            raise NotRunningError("control.sock: Ratwall is not running")
        assert command == "audit" and arguments["author"] == "root"
        self.trail.append(f"{arguments['event']}: {arguments['detail']}")
        return {}


@pytest.fixture
def controller() -> Controller:
    return Controller()


def tell(place: Place, controller: Controller) -> bool:
    return tell_outcome(place, controller)  # type: ignore[arg-type]


BEGUN = Attempt("0.2.0", "B", "0.1.0", 7, "b")


def test_a_version_taken_back_is_told_with_its_reason_after_the_restart(
    place: Place, controller: Controller
) -> None:
    keep_attempt(place, BEGUN.end(9, "self-test: the handshake was not cut"))
    controller.there = False
    assert not tell(place, controller)  # the controller comes up later
    controller.there = True
    assert tell(place, controller)
    assert not tell(place, controller)
    assert controller.trail == [
        "update: version 0.2.0 failed, 0.1.0 runs on: self-test: the handshake was not cut"
    ]


def test_a_version_that_counts_is_told_once_and_the_next_one_too(
    place: Place, controller: Controller
) -> None:
    for state in (State.WRITING, State.INSTALLED, State.TRIAL):
        keep_attempt(place, Attempt("0.2.0", "B", "0.1.0", 7, "b", state))
        assert not tell(place, controller)
    keep_attempt(place, BEGUN.end(9))
    assert tell(place, controller) and not tell(place, controller)
    keep_attempt(place, Attempt("0.3.0", "A", "0.2.0", 20, "b").end(21))
    assert tell(place, controller)
    assert [line.split()[2] for line in controller.trail] == ["0.2.0", "0.3.0"]


def test_without_an_update_or_a_readable_record_nothing_is_told(
    place: Place, controller: Controller
) -> None:
    assert not tell(place, controller)
    place.record.write_text("{")
    assert not tell(place, controller)
    assert controller.trail == []
