"""`python -m ratwall.update.environment`: mends GRUB's block of marks if it is damaged or gone.

GRUB's own tools empty the file before they write it: a power cut in between leaves a block that
neither GRUB nor RAUC reads, and that none of them mends. The box starts all the same (grub.cfg has
what holds without it), but no try is counted, and no slot can be marked good or bad any more.
Nothing of a whole block is ever changed here.
"""

import sys
from pathlib import Path

from ratwall.errors import RatwallError
from ratwall.replacing import replace_file
from ratwall.update.attempt import State
from ratwall.update.place import Place, last_attempt, read_running
from ratwall.update.slots import ENVIRONMENT_MAGIC, other_slot

SIZE = 1024  # bytes: GRUB's block, neither more nor less
FILLING = "#"


def is_whole(raw: bytes) -> bool:
    """Whether GRUB and its tools read a block: size and first line are what they look at."""
    return len(raw) == SIZE and raw.startswith(f"{ENVIRONMENT_MAGIC}\n".encode())


def fresh_block(running: str, *, other_good: bool) -> bytes:
    """Return a block in which the slot that runs comes first, on the first of its tries."""
    other = other_slot(running)
    lines = (
        ENVIRONMENT_MAGIC,
        f"ORDER={running} {other}",
        *(f"{running}_OK=1", f"{running}_TRY=1"),
        *(f"{other}_OK={int(other_good)}", f"{other}_TRY=0"),
    )
    return "".join(f"{line}\n" for line in lines).ljust(SIZE, FILLING).encode()


def mend(place: Place) -> bool:
    """Make the block anew if it has to be; whether it had to.

    Nothing is done where the boot partition has no place for one: a Pi has another boot loader.
    """
    file, running = place.environment, read_running(place).slot
    if running is None or not file.parent.is_dir():
        return False
    try:
        if is_whole(_read(file)):
            return False
        last = last_attempt(place)
        failed = last is not None and last.slot != running and last.state is State.FAILED
        replace_file(file, fresh_block(running, other_good=not failed))
    except OSError as error:
        raise RatwallError(
            f"update: {file}: damaged, and not made anew: {error.strerror}; the box starts, but no"
            " update can be marked good until it is"
        ) from error
    return True


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(SIZE + 1)
    except FileNotFoundError:
        return b""


def main() -> int:
    """Mend the box's own block."""
    try:
        if mend(Place()):
            print(
                "ratwall: boot marks: GRUB's block was damaged, and is made anew", file=sys.stderr
            )
    except RatwallError as error:
        print(f"ratwall: boot marks: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
