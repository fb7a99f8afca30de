"""Keeps what crosses one port of a namespace, as a capture file that `ratwall replay` reads."""

import socket
import struct
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from ratwall_lab.namespaces import Host

ETH_P_ALL = 0x0003
FRAME_LIMIT = 262_144  # bytes: offloaded packets are longer than a frame on the wire
BUFFER = 16_000_000
POLL_SECONDS = 0.1
LINKTYPE_ETHERNET = 1


class Recorder:
    """Use as a context manager; the file is whole afterwards."""

    def __init__(self, host: Host, interface: str, file: Path) -> None:
        self.file = file
        with host.enter():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._socket.bind((interface, ETH_P_ALL))
        self._socket.settimeout(POLL_SECONDS)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder")

    def __enter__(self) -> Self:
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

    def _run(self) -> None:
        with self.file.open("wb") as out:
            out.write(
                struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, FRAME_LIMIT, LINKTYPE_ETHERNET)
            )
            while not self._stop.is_set():
                try:
                    frame = self._socket.recv(FRAME_LIMIT)
                except TimeoutError:
                    continue
                seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
                out.write(struct.pack("<II", seconds, nanoseconds // 1000))
                out.write(struct.pack("<II", len(frame), len(frame)) + frame)
