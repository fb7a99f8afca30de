"""The bar: true figures, one line, at the eye's pace; lines now and then without a terminal."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall_flash.progress import Teller, show_bar, show_figures, show_left

MB = 1_000_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0:00"), (59.4, "0:59"), (59.5, "1:00"), (3599, "59:59"), (3600, "1:00:00")],
)
def test_a_time_is_minutes_and_seconds(seconds: float, text: str) -> None:
    assert show_left(seconds) == text


def test_figures() -> None:
    assert show_figures(0, 100 * MB, 0) == "  0 %  0.0 of 100.0 MB"
    assert show_figures(25 * MB, 100 * MB, 1) == " 25 %  25.0 of 100.0 MB  25.0 MB/s"
    assert show_figures(25 * MB, 100 * MB, 5) == " 25 %  25.0 of 100.0 MB  5.0 MB/s  0:15 left"
    assert show_figures(100 * MB, 100 * MB, 20) == "100 %  100.0 of 100.0 MB  5.0 MB/s  took 0:20"


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.floats(0, 10**6), st.integers(1, 200))
def test_a_bar_never_breaks_the_line(first: int, second: int, seconds: float, width: int) -> None:
    done, total = sorted((first, second))
    assert len(show_bar("reading back", done, total, seconds, width)) <= width


class Clock:
    now = 0.0


def teller(terminal: bool, width: int = 90) -> tuple[Teller, io.StringIO, Clock]:
    out, clock = io.StringIO(), Clock()
    return Teller(out, lambda: clock.now, lambda: width, terminal), out, clock


def write(teller: Teller, clock: Clock, seconds: int) -> None:
    """A card that takes 10 MB a second, four chunks in each of them."""
    for quarter in range(seconds * 4 + 1):
        clock.now = quarter / 4
        teller.show("writing", quarter * 10 * MB // 4, seconds * 10 * MB)


def test_a_terminal_shows_one_line_that_is_drawn_over() -> None:
    tell, out, clock = teller(terminal=True)
    write(tell, clock, 20)
    text = out.getvalue()
    assert text.count("\n") == 1 and text.endswith("\n")
    *_, half, _ = [line for line in text.split("\r\x1b[K") if " 50 %" in line or "\n" in line]
    assert half.startswith("writing       [############............]  50 %  ")
    assert half.endswith("10.0 MB/s  0:10 left")


def test_without_a_terminal_there_is_a_line_now_and_then() -> None:
    tell, out, clock = teller(terminal=False)
    write(tell, clock, 30)
    lines = out.getvalue().splitlines()
    assert "\r" not in out.getvalue() and "\x1b" not in out.getvalue()
    assert len(lines) == 3, lines
    assert lines[-1] == "writing: 100 %  300.0 of 300.0 MB  10.0 MB/s  took 0:30"


def test_a_message_begins_a_line_of_its_own() -> None:
    tell, out, clock = teller(terminal=True)
    tell.show("writing", 0, 100)
    clock.now = 1
    tell.show("writing", 10, 100)
    tell.end()
    tell.end()
    assert out.getvalue().count("\n") == 1
