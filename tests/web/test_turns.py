"""Whose turn it is: one address never holds more than its share, and everybody gets a turn."""

from ratwall_web.turns import Turns

SHARE = 3


def test_what_is_over_the_share_waits_and_others_do_not() -> None:
    started: list[str] = []
    turns = Turns(SHARE, started.append)
    for number in range(SHARE + 2):
        turns.ask("192.0.2.1", f"dawdler {number}")
    assert started == ["dawdler 0", "dawdler 1", "dawdler 2"]
    turns.ask("192.0.2.2", "owner")
    assert started[-1] == "owner"


def test_an_end_lets_the_next_in_line_start_in_order() -> None:
    started: list[int] = []
    turns = Turns(SHARE, started.append)
    for number in range(SHARE + 2):
        turns.ask("192.0.2.1", number)
    for ended in range(1, SHARE + 3):
        turns.end("192.0.2.1")
        assert started == list(range(min(SHARE + ended, SHARE + 2)))
    for number in range(SHARE + 1):  # all have ended: the whole share is there again
        turns.ask("192.0.2.1", 10 + number)
    assert started[-SHARE:] == [10, 11, 12]


def test_what_is_cleared_never_starts() -> None:
    started: list[int] = []
    turns = Turns(1, started.append)
    for number in range(3):
        turns.ask("192.0.2.1", number)
    assert turns.clear() == [1, 2]
    turns.end("192.0.2.1")
    assert started == [0]
