"""The one word on top of the page, and why."""

import pytest

from ratwall.controller.protection import STARTING_US, Protection


def told(
    protection: Protection,
    alive: int,
    connected: int,
    now: int,
    enforce: bool = True,
    rules: bool = True,
) -> str:
    protection.update(alive=alive, connected=connected, rules=rules, enforce=enforce, now=now)
    return protection.state


@pytest.mark.parametrize(("after", "state"), [(-1, "starting"), (0, "bypassed"), (1, "bypassed")])
def test_without_an_inspector_it_is_starting_only_for_a_while(after: int, state: str) -> None:
    assert told(Protection(started=0), 0, 0, STARTING_US + after) == state


def test_it_is_protecting_as_soon_as_an_inspector_speaks() -> None:
    protection = Protection(started=0)
    assert told(protection, 1, 1, now=5) == "protecting"
    assert (protection.since, protection.reason) == (5, None)


def test_monitor_mode_is_never_called_protecting() -> None:
    protection = Protection(started=0)
    assert told(protection, 1, 1, now=5, enforce=False) == "monitor"
    assert protection.reason is not None


def test_a_silent_inspector_and_a_missing_one_are_told_apart() -> None:
    protection = Protection(started=0)
    told(protection, 1, 1, now=5)
    assert told(protection, 0, 1, now=6) == "bypassed"
    assert "does not answer" in str(protection.reason)
    assert told(protection, 0, 0, now=7) == "bypassed"
    assert "no inspector is running" in str(protection.reason)
    assert protection.since == 6  # bypassed since then, whatever the reason


def test_with_a_part_of_the_inspectors_it_is_partly_protecting() -> None:
    protection = Protection(started=0, workers=2)
    assert told(protection, 1, 1, now=5) == "protecting", "the other one is still connecting"
    assert told(protection, 2, 2, now=6) == "protecting"
    assert told(protection, 1, 2, now=7) == "partial"
    assert protection.reason == ("1 of 2 inspectors at work: the others' share passes uninspected")
    assert told(protection, 1, 2, now=8, enforce=False) == "partial"
    assert told(protection, 0, 2, now=9) == "bypassed"
    assert told(protection, 2, 2, now=10) == "protecting"


@pytest.mark.parametrize(("after", "state"), [(-1, "protecting"), (0, "partial"), (1, "partial")])
def test_an_inspector_that_never_comes_is_missed(after: int, state: str) -> None:
    assert told(Protection(started=0, workers=2), 1, 1, STARTING_US + after) == state


def test_after_a_loss_it_is_not_starting_again() -> None:
    protection = Protection(started=0)
    told(protection, 1, 1, now=5)
    assert told(protection, 0, 0, now=6) == "bypassed"
    assert told(protection, 1, 1, now=7) == "protecting"
    assert protection.since == 7


def test_without_rules_nothing_is_protected_whoever_is_there() -> None:
    protection = Protection(0)
    told(protection, 1, 1, now=1)
    assert protection.state == "protecting"
    told(protection, 1, 1, rules=False, now=2)
    assert (protection.state, protection.since) == ("bypassed", 2)
    assert protection.reason is not None
    assert "rules are not in the kernel" in protection.reason


def test_whoever_is_lost_while_it_is_starting_is_missed_at_once() -> None:
    """Killed before its first word: nobody may take that for a start that goes on."""
    protection = Protection(started=0)
    assert told(protection, 0, 1, now=1) == "starting", "it has not spoken yet"
    assert told(protection, 0, 0, now=2) == "bypassed"
    assert "no inspector is running" in str(protection.reason)
