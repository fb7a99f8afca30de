"""Records what crosses a host's card as a capture file, as tcpdump would.

On an AF_PACKET socket of one namespace; it never sends. The file is pcap, Ethernet, microseconds.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ratwall_lab.namespaces import Host
from ratwall_lab.watch import ETH_P_ALL

MAGIC, LINK_ETHERNET = 0xA1B2C3D4, 1
SNAP_BYTES = 262_144  # offloads put packets together: longer than a frame on the wire
BUFFER_BYTES = 16_000_000  # of the kernel: a burst shall not be lost while the file is written
SO_RCVBUFFORCE = 33  # asm-generic/socket.h; SO_RCVBUF stops at what the machine allows anybody
FRAME_LIMIT = 50_000  # of a test that forgot to stop


class Recorder:
    """A context manager; the file is whole when it ends."""

    def __init__(self, host: Host, file: Path, card: str = "eth0") -> None:
        self._host, self._file, self._card = host, file, card
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._record, name="lab recorder")

    def __enter__(self) -> Self:
        with self._host.enter():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
            self._socket.bind((self._card, ETH_P_ALL))
        self._socket.settimeout(0.1)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _record(self) -> None:
        with self._file.open("wb") as out:
            out.write(struct.pack("<IHHIIII", MAGIC, 2, 4, 0, 0, SNAP_BYTES, LINK_ETHERNET))
            for _ in range(FRAME_LIMIT):
                frame = self._next()
                if frame is None:
                    return
                seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
                size = len(frame)
                out.write(struct.pack("<IIII", seconds, microseconds, size, size) + frame)

    def _next(self) -> bytes | None:
        """Return the next frame, None when it is over and all that came before is read."""
        while True:
            if self._stop.is_set():
                self._socket.setblocking(False)
            try:
                return self._socket.recv(SNAP_BYTES)
            except TimeoutError:
                continue
            except BlockingIOError:
                return None
