"""Cables from an emulated box into the lab: tap interfaces in the namespace where the box stands.

Design note: the lab's box namespace is kept, as the place where the cables end. In it `lan` and
`wan` each get a bridge with one tap, so a real box stands exactly where `ratwall run` does in the
inline tests, and everything of the lab around it is used as it is. A tap is persistent: it outlives
the QEMU that is killed for a power cut.
"""

from __future__ import annotations

import fcntl
import os
import struct

from ratwall_lab.namespaces import Host, run_tool

TUNSETIFF = 0x400454CA  # linux/if_tun.h
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
PORTS = ("wan", "lan")  # in the order in which the box finds them: the internet's comes first
TAP_PREFIX = "tap-"


def lay_cables(host: Host) -> None:
    """Bridge each port of the namespace with a tap of its own."""
    for port in PORTS:
        bridge, tap = f"br-{port}", f"{TAP_PREFIX}{port}"
        # 802.1X and LLDP cross a cable; a bridge keeps them unless told (bits 3 and 14).
        lines = [
            f"link add {bridge} type bridge forward_delay 0 group_fwd_mask 16392",
            f"link set {bridge} addrgenmode none",
            f"tuntap add {tap} mode tap",
        ]
        for name in (port, tap):
            lines += [
                f"link set {name} addrgenmode none",
                f"link set {name} master {bridge}",
                f"link set {name} up",
            ]
        lines.append(f"link set {bridge} up")
        run_tool(["ip", "-n", host.namespace, "-batch", "-"], text="\n".join(lines) + "\n")


def open_tap(host: Host, port: str) -> int:
    """Open the end of a cable that QEMU plugs in; the caller closes it."""
    with host.enter():
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    request = struct.pack("16sH22x", f"{TAP_PREFIX}{port}".encode(), IFF_TAP | IFF_NO_PI)
    try:
        with host.enter():
            fcntl.ioctl(tap, TUNSETIFF, request)
    except OSError:
        os.close(tap)
        raise
    return tap
