"""The newest part of the changelog that this version ships: its title and its lines; English."""

import re
from pathlib import Path
from textwrap import shorten

BYTES_LIMIT = 65_536
LINES_LIMIT = 6  # the newest: what a person reads; the rest is in the file
LINE_LIMIT = 300
MARKS = re.compile(r"[`*]")


def newest(path: Path) -> tuple[str, list[str]]:
    """Return the first section's title and its last lines, the newest first; empty without one."""
    try:
        with path.open("rb") as file:
            text = file.read(BYTES_LIMIT).decode(errors="replace")
    except OSError:
        return "", []
    sections = text.split("\n## ")
    if len(sections) < 2:
        return "", []
    title, _, body = sections[1].partition("\n")
    items = [MARKS.sub("", item) for item in body.split("\n* ")[1:]]
    shown = [shorten(item, LINE_LIMIT, placeholder=" \N{HORIZONTAL ELLIPSIS}") for item in items]
    return title.strip(), shown[: -LINES_LIMIT - 1 : -1]
