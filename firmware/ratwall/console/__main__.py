"""`python -m ratwall.console`: keeps the console page on a screen or a serial line.

A screen is drawn anew when something changed; on a line, where what was written stays, the page is
written once more. It takes no input at all: there is no log-in here.
"""

import argparse
import sys
import time
from pathlib import Path

from ratwall.console.facts import gather
from ratwall.console.page import render

TURN_SECONDS = 5.0  # somebody who plugs a cable in looks at the screen for longer
CLEAR = "\x1b[2J\x1b[H"  # the whole screen, from its upper left corner
ACTIVE_CONSOLES = Path("/sys/class/tty/console/active")


def is_shown_elsewhere(terminal: str, active: str) -> bool:
    """Say whether /dev/console is a screen: that one has a page of its own."""
    devices = active.split()
    return terminal == "console" and (not devices or devices[-1].startswith("tty0"))


def draw(lines: list[str], *, screen: bool) -> str:
    """Return what is written to the terminal; both ends of a line, as nobody else adds them."""
    return (CLEAR if screen else "\r\n") + "\r\n".join(lines) + "\r\n"


def main() -> None:
    """Show the page until SIGTERM."""
    parser = argparse.ArgumentParser(prog="ratwall.console")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--runtime-dir", type=Path, required=True)
    parser.add_argument("--settings-dir", type=Path, required=True)
    parser.add_argument("--terminal", required=True, help="tty1, ttyS0, console")
    options = parser.parse_args()
    if options.terminal == "console":
        try:
            active = ACTIVE_CONSOLES.read_text()
        except OSError:
            active = ""
        if is_shown_elsewhere(options.terminal, active):
            return
    shown: list[str] | None = None
    while True:
        lines = render(gather(options.state_dir, options.runtime_dir, options.settings_dir))
        if lines != shown:
            shown = lines
            sys.stdout.write(draw(lines, screen=options.terminal.startswith("tty1")))
            sys.stdout.flush()
        time.sleep(TURN_SECONDS)


if __name__ == "__main__":
    main()
