"""What a bridge passes besides connections passes while the box starts, runs and dies.

Raw frames, sent twenty times a second from the office to the internet side and counted there:
neighbour discovery, router advertisements, DHCP's broadcasts, EAPOL, LLDP, spanning tree,
multicast. Each frame has a number, so that a gap shows where it was.
"""

import itertools
import os
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from inline.conftest import running_box, wait_for
from ratwall_lab.endpoint import PATIENCE_SECONDS
from ratwall_lab.namespaces import Host
from ratwall_lab.topology import Lab

PERIOD = 0.05  # seconds between two frames of a kind
# Frames in a row that may be lost, a quarter of a second: what a bridge loses in changing hands.
GAP_LIMIT = 5
TAG = b"ratwall-unhindered"
SOURCE = bytes.fromhex("020000000001")
# A bridge passes 802.1X and LLDP by its group_fwd_mask only, whose bits are the last bytes.
EAPOL_GROUP, LLDP_GROUP = bytes.fromhex("0180c2000003"), bytes.fromhex("0180c200000e")
FORWARDED = str(1 << EAPOL_GROUP[-1] | 1 << LLDP_GROUP[-1])
# Spanning tree it passes where it takes no part in it.
STP_GROUP = bytes.fromhex("0180c2000000")
STP_HEAD = bytes.fromhex("424203")  # 802.2: for the spanning tree, unnumbered
STP_CONFIGURATION = bytes(35)  # IEEE 802.1D section 9.3.1: all zero, from a bridge of that name


def ipv4(destination: str, port: int, payload: bytes) -> bytes:
    """A UDP datagram from 0.0.0.0, as a DHCP client sends it (no UDP checksum)."""
    udp = struct.pack("!HHHH", 68, port, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4),
                       socket.inet_aton(destination))  # fmt: skip
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:] + udp


def icmpv6(kind: int, payload: bytes) -> bytes:
    """An ICMPv6 message to all nodes, hop limit 255 as ND demands."""
    body = struct.pack("!BBHI", kind, 0, 0, 0) + payload
    source = socket.inet_pton(socket.AF_INET6, "fe80::1")
    group = socket.inet_pton(socket.AF_INET6, "ff02::1")
    padded = source + group + struct.pack("!II", len(body), 58) + body + b"\0" * (len(body) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    body = body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:]
    return struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + source + group + body


def lldp(payload: bytes) -> bytes:
    """What a switch tells of itself, and a TLV of our own (IEEE 802.1AB section 8)."""
    known = bytes.fromhex("0207 04020000000001 0405 0765746830 0602 0078")
    own = struct.pack("!H", 127 << 9 | 4 + len(payload)) + b"\0\0\0\1" + payload
    return known + own + b"\0\0"


STP_LENGTH = len(STP_HEAD) + len(STP_CONFIGURATION) + len(TAG) + struct.calcsize("!BI")
KINDS = {
    "neighbour solicitation": (bytes.fromhex("333300000001"), 0x86DD, lambda tag: icmpv6(135, tag)),
    "router advertisement": (bytes.fromhex("333300000001"), 0x86DD, lambda tag: icmpv6(134, tag)),
    "DHCP": (b"\xff" * 6, 0x0800, lambda tag: ipv4("255.255.255.255", 67, tag)),
    "multicast": (
        bytes.fromhex("01005e0000fb"),
        0x0800,
        lambda tag: ipv4("224.0.0.251", 5353, tag),
    ),
    "LLDP": (LLDP_GROUP, 0x88CC, lambda tag: lldp(tag)),
    # Its frames have a length where the others have a type.
    "spanning tree": (STP_GROUP, STP_LENGTH, lambda tag: STP_HEAD + STP_CONFIGURATION + tag),
    "EAPOL": (EAPOL_GROUP, 0x888E, lambda tag: b"\x01\x01" + struct.pack("!H", len(tag)) + tag),
}


@dataclass
class Stream:
    """Frames of every kind from one host to another until it is stopped."""

    sender: Host
    receiver: Host

    def __post_init__(self) -> None:
        self.sent = 0
        self.arrived: dict[str, list[int]] = {name: [] for name in KINDS}
        self._stopping = threading.Event()
        with self.sender.enter():
            self._out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self._out.bind(("eth0", 0))
        with self.receiver.enter():
            self._in = socket.socket(
                socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)
            )  # ETH_P_ALL
            self._in.bind(("eth0", 3))
        self._in.settimeout(0.2)
        self._threads = [threading.Thread(target=target) for target in (self._send, self._receive)]

    @contextmanager
    def flowing(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join()
            self._out.close()
            self._in.close()

    def _send(self) -> None:
        while not self._stopping.wait(PERIOD):
            for index, (group, kind, body) in enumerate(KINDS.values()):
                tag = TAG + struct.pack("!BI", index, self.sent)
                frame = group + SOURCE + struct.pack("!H", kind) + body(tag)
                self._out.send(frame.ljust(60, b"\0"))
            self.sent += 1

    def _receive(self) -> None:
        names = list(KINDS)
        while not self._stopping.is_set():
            try:
                frame = self._in.recv(2048)
            except TimeoutError:
                continue
            at = frame.find(TAG)
            if at >= 0:
                index, number = struct.unpack_from("!BI", frame, at + len(TAG))
                self.arrived[names[index]].append(number)

    def wait_more(self, number: int) -> None:
        """Let so many more frames of each kind pass."""
        target = self.sent + number
        wait_for(
            lambda: all(numbers and numbers[-1] >= target for numbers in self.arrived.values()),
            PATIENCE_SECONDS,
            lambda: {name: numbers[-3:] for name, numbers in self.arrived.items()},
        )

    def longest_gap(self, name: str) -> int:
        numbers = sorted({-1, *self.arrived[name]})
        return max(after - before - 1 for before, after in itertools.pairwise(numbers))


@pytest.mark.parametrize("way", ["SIGTERM", "SIGKILL"])
def test_a_bridge_passes_all_of_it_while_the_box_comes_and_goes(way: str, tmp_path: Path) -> None:
    with Lab("bridge") as lab:
        for host in (lab.box, lab.switch):
            host.run(["ip", "link", "set", "br0", "type", "bridge", "group_fwd_mask", FORWARDED])
        stream = Stream(lab.anna, lab.internet)
        with stream.flowing():
            stream.wait_more(5)
            with running_box(lab, tmp_path) as box:
                stream.wait_more(5)
                os.kill(box.worker("ratwall.inspector"), signal.SIGSTOP)
                stream.wait_more(5)
                os.kill(box.process.pid, getattr(signal, way))
                box.process.wait(PATIENCE_SECONDS)
            wait_for(
                lambda: "ratwall" not in lab.box.run(["nft", "list", "tables"]).stdout,
                PATIENCE_SECONDS,
                lambda: "its rules are still there",
            )
            stream.wait_more(5)
        for name in KINDS:
            assert stream.longest_gap(name) <= GAP_LIMIT, name


def test_a_bridge_of_ratwalls_own_making_passes_all_of_it(tmp_path: Path) -> None:
    with Lab("bridge", with_bridge=False) as lab:
        lab.switch.run(["ip", "link", "set", "br0", "type", "bridge", "group_fwd_mask", FORWARDED])
        with running_box(lab, tmp_path, "--create-bridge"):
            stream = Stream(lab.anna, lab.internet)
            with stream.flowing():
                stream.wait_more(5)
