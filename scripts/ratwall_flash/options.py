"""`scripts/flash`: writes an image to a card or disk, puts a seed in, reads all of it back.

scripts/flash --list                                        disks that can be written
scripts/flash ratwall.img /dev/sdb                          one box, set up in the browser
scripts/flash ratwall.img /dev/sdb --seed ratwall.toml      one box, set up by its seed
scripts/flash ratwall.img /dev/sdb --csv boxes.csv          many boxes, a card after the other
scripts/flash ratwall.img --to-file card.img --seed ...     a file, for another program to write

See docs/flashing.md.
"""

import argparse
from pathlib import Path

RECORD_SUFFIX = ".record.csv"


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line; exits with 2 and a usage line if it makes no sense."""
    parser = argparse.ArgumentParser(
        prog="scripts/flash",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("image", nargs="?", type=Path, metavar="IMAGE", help="ratwall.img, or .xz")
    parser.add_argument("device", nargs="?", metavar="DEVICE", help="the disk, such as /dev/sdb")
    parser.add_argument("--list", action="store_true", help="show the disks that can be written")
    parser.add_argument("--seed", type=Path, metavar="FILE", help="ratwall.toml for the box")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="one card for each of its lines")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help=f"finished cards (default: CSV{RECORD_SUFFIX})"
    )
    parser.add_argument(
        "--again", action="append", default=[], metavar="BOX", help="make this box's card anew"
    )
    parser.add_argument("--to-file", type=Path, metavar="FILE", help="make a file, no card")
    parser.add_argument(
        "--yes", action="store_true", help="do not ask whether it is the right disk"
    )
    options = parser.parse_args(argv)
    _check(parser, options)
    if options.csv and not options.record:
        options.record = options.csv.with_name(f"{options.csv.stem}{RECORD_SUFFIX}")
    return options


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.list:
        if options.image:
            parser.error("--list stands alone")
        return
    if options.image is None:
        parser.error("name the image and the disk, or --list to see the disks")
    if options.to_file is None and options.device is None:
        parser.error("name the disk to write, such as /dev/sdb; --list shows which there are")
    if options.to_file is not None and (options.device or options.csv):
        parser.error("--to-file makes one file: it goes with --seed, not with a disk or --csv")
    if (options.record or options.again) and not options.csv:
        parser.error("--record and --again go with --csv")
