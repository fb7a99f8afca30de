"""The serial console of a box, as QEMU writes it to a file: waited for, searched, shown.

It never types. Design note: `mark` makes "from here on", so that a text of the boot before a power
cut is not taken for one of the boot after it.
"""

from __future__ import annotations

import re
from pathlib import Path

TAIL_LINES = 40
CONTROLS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|[\x00-\x08\x0b-\x1f\x7f]")
# What ends a boot for good, as the kernel and systemd say it.
FATAL = re.compile(r"Kernel panic|Entering emergency mode|Freezing execution")


class Console:
    """The console's log."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._from = 0

    def mark(self) -> None:
        """Forget what was said until now."""
        self._from = self.path.stat().st_size if self.path.exists() else 0

    def text(self) -> str:
        """Return what was said since the mark, without what only steers a terminal."""
        if not self.path.exists():
            return ""
        with self.path.open("rb") as file:
            file.seek(self._from)
            return CONTROLS.sub(b"", file.read()).decode(errors="replace")

    def find(self, pattern: str) -> re.Match[str] | None:
        """Look for a regular expression since the mark."""
        return re.search(pattern, self.text(), re.MULTILINE)

    def fatal(self) -> str | None:
        """Return the words with which the box gave up, if it did."""
        found = FATAL.search(self.text())
        return found[0] if found else None

    def tail(self) -> str:
        """Return the last lines, for a message."""
        return "\n".join(self.text().splitlines()[-TAIL_LINES:])
