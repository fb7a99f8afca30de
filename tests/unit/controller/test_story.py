"""What happened to the box itself, for whoever comes hours later."""

from typing import Any

from ratwall.controller.story import Story
from ratwall.ledger.models import BoxState


class Writer:
    """Keeps the notes that a ledger would."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}
        self.states: list[tuple[str, str | None]] = []

    def note(self, key: str, value: str) -> None:
        self.notes[key] = value

    def insert(self, model: Any, values: dict[str, Any]) -> None:
        assert model is BoxState
        self.states.append((values["state"], values["reason"]))


def story() -> Story:
    writer: Any = Writer()
    return Story(writer, {}, 0)


def test_an_interruption_has_a_beginning_and_an_end() -> None:
    told = story()
    told.watch("bypassed", "nobody is there", 5)
    told.watch("bypassed", "nobody is there", 6)
    told.watch("protecting", None, 7)
    assert told.entries() == [{"what": "nobody is there", "since": 5, "until": 7}]


def test_one_that_nobody_saw_is_told_all_the_same() -> None:
    told = story()
    told.pass_by("it was gone", 5)
    assert told.entries() == [{"what": "it was gone", "since": 5, "until": 5}]


def test_one_that_is_open_is_not_told_twice() -> None:
    told = story()
    told.watch("partial", "one of two", 5)
    told.pass_by("it was gone", 6)
    assert [entry["what"] for entry in told.entries()] == ["one of two"]


def test_each_change_of_the_state_is_written_once() -> None:
    writer: Any = Writer()
    told = Story(writer, {}, 0)
    told.watch("starting", "waiting", 1)
    told.watch("protecting", None, 2)
    told.watch("protecting", None, 3)
    told.pass_by("it was gone", 4)
    told.watch("protecting", None, 5)
    told.stop(6)
    assert writer.states == [
        ("protecting", None),
        ("bypassed", "it was gone"),
        ("protecting", None),
        ("stopped", "Ratwall was stopped"),
    ]
