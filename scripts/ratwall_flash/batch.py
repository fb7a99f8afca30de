"""Many boxes: for each the next card, written, seeded, read back, put down.

A mistake with a card (the wrong one, a worn one, none) is told and the same box asked for again;
the list, the record and the image are good before it begins. It can be stopped at any time.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from ratwall.errors import NotPermittedError, RatwallError, UsageError
from ratwall_flash.bootsel import put_seed
from ratwall_flash.boxes import Box
from ratwall_flash.card import Content
from ratwall_flash.desk import Desk, utc_now, write_disk
from ratwall_flash.disks import show_size
from ratwall_flash.image import Image
from ratwall_flash.record import Entry, Record


@dataclass(frozen=True, slots=True)
class Batch:
    """What stays the same over all cards."""

    desk: Desk
    device: str
    image: Image
    record: Record

    def run(self, boxes: Sequence[Box], again: Sequence[str]) -> int:
        """Make the cards that are missing, or those of `again`; return how many still are."""
        unknown = [name for name in again if name not in [box.name for box in boxes]]
        if unknown:
            raise UsageError(f"--again {unknown[0]!r}: no box of that name in the list")
        self.record.check_image(self.image.sha256)
        done = set(self.record.done())
        if done:
            self.desk.say(f"flash: {len(done)} have a card already ({self.record.path})")
        missing = [box for box in boxes if (box.name in again if again else box.name not in done)]
        made = []
        for number, box in enumerate(missing, 1):
            answer = self._make(box, f"{number} of {len(missing)}")
            if answer == "q":
                break
            if answer == "":
                made.append(box)
        left = [box.name for box in missing if box not in made]
        self.desk.say(f"flash: {len(made)} made, listed in {self.record.path}")
        if left:
            some = ", ".join(left[:3]) + (", …" if len(left) > 3 else "")
            self.desk.say(
                f"flash: still without a card: {len(left)} ({some}); run it again to go on"
            )
        return len(left)

    def _make(self, box: Box, place: str) -> str:
        """Ask for a card until one is good; return "s" for skipped, "q" for stopped."""
        while True:
            try:
                answer = self.desk.ask(
                    f"\nbox {place}, {box.name!r}: put in its card and press Enter "
                    "(s: skip this box, q: stop): "
                )
            except EOFError:
                return "q"
            answer = answer.strip().lower()
            if answer in ("s", "q"):
                return answer
            if answer:
                self.desk.say(f"flash: Enter, s or q, found {answer!r}")
                continue
            try:
                self._write(box)
            except NotPermittedError:
                raise
            except RatwallError as error:
                self.desk.say(f"flash: {error}")
                continue
            return ""

    def _write(self, box: Box) -> None:
        content = Content(self.image, put_seed(self.image.bootsel, box.seed))
        disk = write_disk(self.desk, self.device, content, self.record.cards())
        self.record.add(
            Entry(
                box.name,
                utc_now(),
                disk.model,
                disk.serial,
                show_size(disk.size),
                self.image.sha256,
                hashlib.sha256(content.bootsel).hexdigest(),
            )
        )
        self.desk.say(f"flash: label it {box.name!r}")
