"""The least that any inline program in Python can do: take every queued packet and let it go.

The yardstick between plain forwarding and Ratwall. Prints `ready`, runs until SIGTERM, then prints
how many packets it saw.
"""

import signal
import sys

from ratwall.queue.binding import PacketQueue, QueuedPacket, Release

QUEUE = 100
LENGTH = 4096


def main() -> None:
    seen = 0
    stopping = False

    def accept(packet: QueuedPacket) -> Release:
        nonlocal seen
        seen += 1
        return Release(packet.mark)

    def stop(number: int, frame: object) -> None:
        nonlocal stopping
        stopping = True

    queue = PacketQueue(QUEUE, LENGTH, accept)
    signal.signal(signal.SIGTERM, stop)
    print("ready", flush=True)
    while not stopping:
        queue.wait(0.1, None)
    queue.close()
    print(seen, flush=True)


if __name__ == "__main__":
    sys.exit(main())
