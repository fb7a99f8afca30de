"""A network card with a tagged link: two TAP devices and a process between them.

The kernels that the tests run on have neither VLAN nor PPP devices. So a host of the lab gets a TAP
instead of a card, a second TAP is the far end of its cable, and a process of its own carries every
frame across, adding the tag on the way out and taking it off on the way in. It lives no longer
than the lab: it ends when its standard input does.
Design note: a TAP stays in the namespace in which it was opened; one process may hold both ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import subprocess
import sys
from typing import cast, get_args

from ratwall_lab.namespaces import Host, LabError, in_namespace
from ratwall_lab.tags import Tagging, add_tag, is_untagged_tcp, strip_tag

TUNSETIFF = 0x400454CA  # linux/if_tun.h
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
IFREQ = struct.Struct("16sH22x")  # struct ifreq: name, flags, the rest of its union
FRAME_LIMIT = 65_536 + 64  # the largest MTU, Ethernet header and tags


class TaggedCable:
    """The process behind one tagged link; up on creation, ended by its host like any other."""

    def __init__(
        self, inside: Host, inside_port: str, wire: Host, wire_port: str, tagging: Tagging
    ) -> None:
        argv = [sys.executable, "-m", __name__, inside.namespace, inside_port]
        argv += [wire.namespace, wire_port, tagging]
        self._process: subprocess.Popen[str] = inside.popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        if self._answer() != "ready":
            raise LabError(f"no tagged link {inside.name}:{inside_port}: see the lines above")

    def strays(self) -> int:
        """Return how many TCP segments came over the wire without the tag that belongs on them."""
        if self._process.stdin is None:
            raise LabError("the tagged link has no input")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._answer())

    def _answer(self) -> str:
        if self._process.stdout is None:
            raise LabError("the tagged link has no output")
        return str(self._process.stdout.readline()).strip()


def open_tap(namespace: str, name: str) -> int:
    """Make a TAP device in a namespace and return its descriptor; the device goes with it."""
    with in_namespace(namespace):
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(descriptor, TUNSETIFF, IFREQ.pack(name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


def carry(inside: int, wire: int, tagging: Tagging) -> None:
    """Carry frames between two TAPs until standard input ends; a line there asks for the strays."""
    strays = 0
    poll = select.poll()
    for descriptor in (inside, wire, sys.stdin.fileno()):
        poll.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == inside:
                _put(wire, add_tag(os.read(inside, FRAME_LIMIT), tagging))
            elif descriptor == wire:
                arrived = os.read(wire, FRAME_LIMIT)
                frame = strip_tag(arrived, tagging)
                if frame is not None:
                    _put(inside, frame)
                strays += is_untagged_tcp(arrived)
            elif os.read(descriptor, 1):
                print(strays, flush=True)
            else:
                return


def _put(descriptor: int, frame: bytes) -> None:
    """Hand a frame to a device; one that is down, or full, loses it as a real card would."""
    try:
        os.write(descriptor, frame)
    except OSError as error:
        if error.errno not in (errno.EIO, errno.EAGAIN):  # down, full
            raise


def main(argv: list[str]) -> None:
    """Carry one tagged link: namespace and port inside, namespace and port of the wire, the tag."""
    inside_namespace, inside_port, wire_namespace, wire_port, tagging = argv
    if tagging not in get_args(Tagging):
        raise SystemExit(f"tagging: one of {', '.join(get_args(Tagging))}, found {tagging!r}")
    inside = open_tap(inside_namespace, inside_port)
    wire = open_tap(wire_namespace, wire_port)
    print("ready", flush=True)
    carry(inside, wire, cast(Tagging, tagging))


if __name__ == "__main__":
    main(sys.argv[1:])
