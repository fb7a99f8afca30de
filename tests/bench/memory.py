"""What an inspector holds when a flood of connections begins and none goes on.

A million connections that each send one byte, and another million that each send half a
ClientHello, go through the inspector as its queue would hand them over. Prints the resident memory
of the process as it goes; what counts is that it stands still. `--connections` makes it shorter.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from ratwall.inspector.inspector import Inspector  # noqa: E402
from ratwall.kernel.marks import Marks  # noqa: E402
from ratwall.queue.binding import QueuedPacket  # noqa: E402
from ratwall.signatures.pack import load_packs  # noqa: E402
from ratwall.verdict.judge import Thresholds  # noqa: E402
from ratwall.verdict.memory import VerdictMemory  # noqa: E402
from ratwall.wire.checksum import (  # noqa: E402
    checksum,
    ones_complement_sum,
    pseudo_header_sum,
)

CONNECTIONS = 1_000_000
HELLO_BYTES = 1800  # of a browser of today, with a post-quantum key share
STEPS = 10
PAGE_BYTES = 4096
SERVER = bytes((203, 0, 113, 7))
MARKS = Marks()
MICROSECONDS = 1_700_000_000_000_000


def half_a_hello() -> bytes:
    """The first half of a ClientHello: a record and a message that are longer than what came."""
    body = (HELLO_BYTES - 9).to_bytes(3, "big") + b"\x03\x03"
    record = b"\x16\x03\x01" + (HELLO_BYTES - 5).to_bytes(2, "big") + b"\x01" + body
    return record + bytes(HELLO_BYTES // 2 - len(record))


def segments(payload: bytes, first: int, count: int) -> Iterator[bytes]:
    """Yield the first segment of `count` connections, each from another address and port."""
    total = (40 + len(payload)).to_bytes(2, "big")
    ends = b"\x01\xbb" + (1000).to_bytes(4, "big") + (1).to_bytes(4, "big") + b"\x50\x18\xff\xff"
    for number in range(first, first + count):
        source = b"\x0a" + (number >> 14).to_bytes(3, "big")
        port = (1024 + (number & 0x3FFF)).to_bytes(2, "big")
        tcp = port + ends + b"\0\0\0\0" + payload
        value = checksum(
            ones_complement_sum(tcp) + pseudo_header_sum(source, SERVER, len(tcp))
        ).to_bytes(2, "big")
        ip = b"\x45\0" + total + b"\0\0\x40\0\x40\x06\0\0" + source + SERVER
        ip_value = checksum(ones_complement_sum(ip)).to_bytes(2, "big")
        yield ip[:10] + ip_value + ip[12:] + tcp[:16] + value + tcp[18:]


def resident() -> float:
    """Resident memory of this process in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES / 1e6


def flood(inspector: Inspector, payload: bytes, first: int, count: int) -> None:
    """Begin connections and leave them."""
    mark = MARKS.lan | MARKS.to_inspect
    for datagram in segments(payload, first, count):
        inspector.decide(QueuedPacket(datagram, mark, lambda: None))


def inspector() -> Inspector:
    """One as a worker has it."""
    return Inspector(
        load_packs(),
        Thresholds(),
        MARKS,
        enforce=True,
        memory=VerdictMemory(),
        report=lambda report: None,
        clock=lambda: MICROSECONDS,
    )


def main() -> None:
    """Flood and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    count = parser.parse_args().connections
    flooded = inspector()
    print(f"before{resident():>40.1f} MB resident")
    step = max(1, count // STEPS)
    floods = (("one byte", b"\x16"), ("half a ClientHello", half_a_hello()))
    for position, (name, payload) in enumerate(floods):
        for done in range(0, count, step):
            flood(flooded, payload, position * count + done, step)
            reached = f"{done + step:,} of {name}"
            print(f"{reached:<34}{resident():>12.1f} MB resident", flush=True)
    print(f"left unjudged to make room: {flooded.evicted:,}")


if __name__ == "__main__":
    main()
