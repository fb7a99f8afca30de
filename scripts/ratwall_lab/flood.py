"""A flood of new connections out of the office: raw frames, prepared once, sent as fast as it goes.

It never waits for answers and ends by a limit of frames. Design note: the frames leave by a packet
socket, so that no state of the sender's kernel limits them, in a process of its own, so that the
test's interpreter does not.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import Self

from ratwall_lab.namespaces import Host, LabError

GATEWAY, DISCARD_PORT = "192.168.77.1", 9
RESOLVE_SECONDS = 5.0
FRAME_LIMIT = 150_000  # two seconds or so on a small machine
HELLO = bytes.fromhex("16030100f5010000f10303") + bytes(
    32
)  # opens a handshake, so it is waited for

SENDER = """
import json, random, socket, struct, sys
source, target, own_mac, next_mac, payload, devices, limit = json.loads(sys.argv[1])
payload = bytes.fromhex(payload)
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(("eth0", 0))
ether = bytes.fromhex(next_mac + own_mac) + b"\\x08\\x00"

def checksum(data):
    if len(data) % 2:
        data += b"\\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

def frame(number):
    base = socket.inet_aton(source)
    host = base if devices == 1 else base[:3] + bytes([20 + number % devices])
    port = 1024 + number // devices % 60000
    flags = 0x18 if payload else 0x02
    far = 10000 + number // devices // 60000
    ports = struct.pack("!HHIIBBHHH", port, far, number, 1, 0x50, flags, 65535, 0, 0)
    pseudo = host + socket.inet_aton(target) + struct.pack("!BBH", 0, 6, len(ports) + len(payload))
    ports = ports[:16] + struct.pack("!H", checksum(pseudo + ports + payload)) + ports[18:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0) + host
    head += socket.inet_aton(target)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return ether + head + ports + payload

prepared = [frame(number) for number in range(limit)]
print("ready", flush=True)
sys.stdin.readline()
sent = 0
for data in prepared:
    try:
        raw.send(data)
        sent += 1
    except BlockingIOError:
        pass
    except OSError as error:
        if error.errno != 105:  # no buffer space: the line is full, as it should be
            raise
print(sent, flush=True)
"""


def _gateways_address(host: Host) -> str:
    """Return the hardware address of the office's gateway, asked for by the kernel."""
    deadline = time.monotonic() + RESOLVE_SECONDS
    while time.monotonic() < deadline:
        with host.enter(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.sendto(b"", (GATEWAY, DISCARD_PORT))
        for entry in json.loads(host.run(["ip", "-j", "neighbor", "show", GATEWAY]).stdout):
            if "lladdr" in entry:
                return str(entry["lladdr"])
        time.sleep(0.05)
    raise LabError(f"{host.name}: the gateway {GATEWAY} does not answer")


class Flood:
    """New connections from one device, or many, to one server; a context manager."""

    def __init__(
        self,
        host: Host,
        target: str,
        *,
        devices: int = 1,
        payload: bytes = HELLO,
        limit: int = FRAME_LIMIT,
    ) -> None:
        """With a payload each frame is a first data segment, without one a SYN."""
        self.sent = 0
        links = json.loads(host.run(["ip", "-j", "link", "show", "eth0"]).stdout)
        own, far = links[0]["address"], _gateways_address(host)
        facts = [
            *(host.address(), target, own.replace(":", ""), far.replace(":", "")),
            *(payload.hex(), devices, limit),
        ]
        self._process = host.popen(
            [sys.executable, "-c", SENDER, json.dumps(facts)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def __enter__(self) -> Self:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdout is not None
        self.sent = int(self._process.stdout.readline() or 0)
        self._process.wait(10)
