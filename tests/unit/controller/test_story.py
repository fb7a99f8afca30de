"""What happened to the box itself, for whoever comes hours later."""

from typing import Any

from ratwall.controller.story import Story


class Writer:
    """Keeps the notes that a ledger would."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}

    def note(self, key: str, value: str) -> None:
        self.notes[key] = value


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
