"""How far it is: a bar on a terminal, a line now and then elsewhere.

The texts are pure; only `Teller` writes, and asks the clock that it was given.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

MEGABYTE = 1_000_000
BAR_WIDTH = 24  # leaves a line of 80 characters room for all figures
REDRAW_SECONDS = 0.2  # the eye's pace; a card takes 4 MB in a tenth of it
LINE_SECONDS = 10.0  # between two lines where there is no terminal
SETTLE_SECONDS = 2.0  # before that a rate is a guess
STEP_WIDTH = 13  # of the longest step's name


def show_left(seconds: float) -> str:
    """Return a time for a person: minutes and seconds."""
    whole = int(seconds + 0.5)
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}"


def show_figures(done: int, total: int, seconds: float) -> str:
    """Return percentage, megabytes, rate and the time that is left."""
    share = done / total if total else 1.0
    words = f"{int(share * 100):3d} %  {done / MEGABYTE:.1f} of {total / MEGABYTE:.1f} MB"
    if seconds <= 0:
        return words
    rate = done / seconds
    words += f"  {rate / MEGABYTE:.1f} MB/s"
    if done >= total:
        return f"{words}  took {show_left(seconds)}"
    if seconds >= SETTLE_SECONDS and rate > 0:
        words += f"  {show_left((total - done) / rate)} left"
    return words


def show_bar(step: str, done: int, total: int, seconds: float, width: int) -> str:
    """Return one line of at most `width` characters; without the bar where it is too narrow."""
    figures = show_figures(done, total, seconds)
    filled = BAR_WIDTH * done // total if total else BAR_WIDTH
    line = f"{step:{STEP_WIDTH}} [{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {figures}"
    return line if len(line) <= width else f"{step} {figures}"[:width]


@dataclass(slots=True)
class Teller:
    """Shows steps, one after the other, on `out`."""

    out: TextIO
    clock: Callable[[], float]
    width: Callable[[], int]  # of the terminal, at the moment
    terminal: bool
    _step: str = ""
    _begun: float = 0.0
    _shown: float = 0.0
    _open: bool = field(default=False)  # a bar stands on the line

    def show(self, step: str, done: int, total: int) -> None:
        """Take note of how far a step is, and show it if it is time to."""
        now = self.clock()
        if step != self._step:
            self.end()
            self._step, self._begun, self._shown = step, now, now
        finished = done >= total
        pace = REDRAW_SECONDS if self.terminal else LINE_SECONDS
        if not finished and now - self._shown < pace:
            return
        self._shown = now
        seconds = now - self._begun
        if not self.terminal:
            self.out.write(f"{step}: {show_figures(done, total, seconds).lstrip()}\n")
        else:
            # One column is kept free: some terminals break the line in the last.
            text = show_bar(step, done, total, seconds, max(self.width() - 1, 1))
            self.out.write(f"\r\x1b[K{text}{chr(10) if finished else ''}")
        self._open = self.terminal and not finished
        if finished:
            self._step = ""
        self.out.flush()

    def end(self) -> None:
        """Leave the bar's line, if one stands there, so that a message begins its own."""
        if self._open:
            self.out.write("\n")
            self.out.flush()
        self._open = False
        self._step = ""
