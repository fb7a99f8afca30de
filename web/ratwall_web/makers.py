"""Who made a device's network card, by the first half of its hardware address.

Reads `makers.txt`, IEEE's public listing (`scripts/make-makers`), where it lies: sorted lines, half
of what is left is put aside at each look, so that nothing of a megabyte is kept in memory. A card
that makes its address up by itself, as phones do for each network, tells nobody its maker.
"""

from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from ratwall_web.language import _

PATH = Path(__file__).with_name("makers.txt")
PREFIX_DIGITS = 6  # three bytes
LINE_MOST = 256  # bytes: a prefix and 40 characters
LOCAL = 0x02  # of the first byte: made up, not given by IEEE
KEPT = 256  # prefixes: more than an office has


def maker(mac: str | None) -> str | None:
    """Return who made a card, None if that is not known."""
    prefix = (mac or "").replace(":", "").lower()[:PREFIX_DIGITS]
    try:
        first = int(prefix, 16) >> 16
    except ValueError:
        return None
    if len(prefix) < PREFIX_DIGITS:
        return None
    if first & LOCAL:
        return _("made-up address, as phones use")
    return _listed(prefix)


@lru_cache(KEPT)
def _listed(prefix: str) -> str | None:
    wanted = prefix.encode()
    with PATH.open("rb") as file:
        low, high = 0, file.seek(0, 2)
        while low < high:
            middle = (low + high) // 2
            at, line = _line_from(file, middle)
            if not line or line[:PREFIX_DIGITS] > wanted:
                high = middle
            elif line[:PREFIX_DIGITS] < wanted:
                low = at + len(line)
            else:
                return line[PREFIX_DIGITS + 1 :].decode().strip()
    return None


def _line_from(file: BinaryIO, position: int) -> tuple[int, bytes]:
    """Return the first line that begins at a position or behind it, and where."""
    if position:
        file.seek(position - 1)
        file.readline(LINE_MOST)
    else:
        file.seek(0)
    return file.tell(), file.readline(LINE_MOST)
