"""Puts `scripts/flash` together; see options.py for what it takes."""

import argparse
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from ratwall.errors import ExitCode, RatwallError, UsageError
from ratwall.settings.load import FILE_SIZE_LIMIT
from ratwall_flash.batch import Batch
from ratwall_flash.bootsel import put_seed
from ratwall_flash.boxes import CSV_SIZE_LIMIT, check_seed, read_boxes
from ratwall_flash.card import Content
from ratwall_flash.desk import Desk, inspect, sum_up, write_disk, write_file
from ratwall_flash.disks import list_disks, why_not
from ratwall_flash.image import read_image
from ratwall_flash.options import parse
from ratwall_flash.progress import Teller
from ratwall_flash.record import Record

CHECKING = "checking"
STOPPED = 130  # what a shell makes of Ctrl-C


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 0 when all that was asked for is written and read back."""
    options = parse(sys.argv[1:] if argv is None else argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return _list() if options.list else _flash(options, _desk(options))
    except RatwallError as error:
        print(f"flash: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, EOFError):
        print("flash: stopped", file=sys.stderr)
        return STOPPED


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _desk(options: argparse.Namespace) -> Desk:
    teller = Teller(
        sys.stdout,
        time.monotonic,
        lambda: shutil.get_terminal_size().columns,
        sys.stdout.isatty(),
    )
    return Desk(sys.stdout, input, sys.stdin.isatty(), teller, options.yes)


def _list() -> int:
    """Show what can be written; what cannot, and why, below it."""
    disks = [disk for disk in list_disks() if disk.kind == "disk"]
    reasons = {disk.path: why_not(disk, 0) for disk in disks}
    good = [disk for disk in disks if reasons[disk.path] is None]
    print("can be written:" if good else "no disk here can be written; put a card in")
    for disk in good:
        print(f"  {disk.describe()}")
    if len(good) < len(disks):
        print("cannot:")
    for disk in disks:
        if reasons[disk.path]:
            print(f"  {disk.describe()}: {reasons[disk.path]}")
    return ExitCode.OK


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot read it: {error.strerror}") from error


def _flash(options: argparse.Namespace, desk: Desk) -> int:
    # All that can be wrong with the words is told before a gigabyte is read.
    seed = _read(options.seed, FILE_SIZE_LIMIT) if options.seed else b""
    if options.seed:
        check_seed(seed, str(options.seed))
    boxes = []
    if options.csv:
        boxes = read_boxes(_read(options.csv, CSV_SIZE_LIMIT), str(options.csv), seed)
        record = Record(options.record)
    elif options.device:
        desk.agree(inspect(options.device, 0))
    image = read_image(options.image, lambda done, total: desk.teller.show(CHECKING, done, total))
    desk.say(sum_up(image))
    if options.csv:
        batch = Batch(desk, options.device, image, record)
        return ExitCode.FAILED if batch.run(boxes, options.again) else ExitCode.OK
    content = Content(image, put_seed(image.bootsel, seed) if seed else image.bootsel)
    if options.to_file:
        write_file(desk, options.to_file, content)
    else:
        write_disk(desk, options.device, content)
    return ExitCode.OK
