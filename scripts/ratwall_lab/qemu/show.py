"""`make qemu`: a whole box to look at, with its console on the terminal and its page in a browser.

Nothing is left of it afterwards but its folder, whose disk is used again at the next start; remove
the folder for a new box.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from ratwall_lab.cast import Stage, make_roles
from ratwall_lab.certificates import Notary
from ratwall_lab.namespaces import LabError
from ratwall_lab.qemu.machine import Machine
from ratwall_lab.qemu.office import PAGE_PORT, Office
from ratwall_lab.qemu.relay import Relay

FOLDER = Path("build/qemu")
LISTEN = ("127.0.0.1", 8443)
TURN_SECONDS = 0.2


def main(arguments: list[str]) -> int:
    """Boot the image until Ctrl-C or until the box is switched off."""
    parser = argparse.ArgumentParser(prog="qemu", description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="disk, console, sockets")
    options = parser.parse_args(arguments)
    if not options.image.is_file():
        print(f"ratwall: no image at {options.image}; make one with: make lab-image")
        return 2
    folder = options.folder.resolve()
    disk = folder / "disk.qcow2"
    if disk.exists() and disk.stat().st_mtime < options.image.stat().st_mtime:
        disk.unlink()  # it says what differs from an image that is no more
    try:
        with (
            Office(folder / "office") as office,
            Stage(office.lab, make_roles(Notary())),
            socket.create_server(LISTEN) as listener,
            Machine(options.image, folder, office.lab.box, shell=False) as machine,
        ):
            _say(office, folder)
            _show(machine, office, listener)
    except LabError as error:
        print(f"ratwall: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    print("\nratwall: the box is off, and what was laid out for it is gone")
    return 0


def _say(office: Office, folder: Path) -> None:
    anna = office.lab.anna.namespace
    print(f"ratwall: a desk in the office: ip netns exec {anna} bash")
    print(f"ratwall: the box's disk and console are in {folder}; Ctrl-C switches it off")


def _show(machine: Machine, office: Office, listener: socket.socket) -> None:
    """Copy the console here; hand the page on once the box has an address."""
    shown, relayed = 0, False
    while True:
        machine.check_alive()
        text = machine.console.text()
        sys.stdout.write(text[shown:])
        sys.stdout.flush()
        shown = len(text)
        if not relayed:
            with suppress(LabError):
                address = office.box_address(timeout=0.0)
                Relay(listener, office.lab.anna, address, PAGE_PORT)
                relayed = True
                print(f"\nratwall: the page of {address} is on https://{LISTEN[0]}:{LISTEN[1]}")
        time.sleep(TURN_SECONDS)
