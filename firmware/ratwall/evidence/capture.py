"""Capture files: raw IP packets in the classic pcap format (LINKTYPE_RAW), bounded on the disk.

One device a file, its name and start in the file's name. A ring: the oldest file goes when all
together are more than they may be; none is kept longer than some days. They hold payload, so they
are never part of the ledger, and only the controller writes them.
"""

import shutil
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO

from ratwall.wire.errors import ParseError
from ratwall.wire.packet import find_transport

DIRECTORY = "captures"  # in the state directory
SUFFIX = ".pcap"
SPARE_BYTES = 256_000_000  # of the disk that stay free whatever the settings allow
OPEN_LIMIT = 16  # files written at one time
# Of all that captures may take one file may have so much: half of it goes to those being written.
SHARE = 2 * OPEN_LIMIT
TAKEN_LIMIT = 8_000_000  # bytes of a capture in an evidence package: it shall fit into a mail
PACKET_LIMIT = 65_535
DAY_SECONDS = 86_400

_FILE = struct.Struct("<IHHiIII")
_PACKET = struct.Struct("<IIII")
_MAGIC, _LINKTYPE_RAW = 0xA1B2C3D4, 101
FILE_HEADER = _FILE.pack(_MAGIC, 2, 4, 0, 0, PACKET_LIMIT, _LINKTYPE_RAW)


class CaptureDirectory:
    """The files of all captures, at most `max_bytes` together."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self.max_bytes = max_bytes
        self._files: dict[str, tuple[Path, BinaryIO, int]] = {}  # of devices; bytes so far

    @property
    def is_full(self) -> bool:
        """Whether the disk has no room to spare."""
        return shutil.disk_usage(self._path.parent).free < SPARE_BYTES

    def write(self, device: str, at: int, datagram: bytes) -> None:
        """Append a packet to a device's file; OSError if the disk refuses. `at`: UTC µs."""
        path, file, size = self._files.get(device) or self._begin(device, at)
        seconds, microseconds = divmod(at, 1_000_000)
        kept = datagram[:PACKET_LIMIT]
        size += file.write(_PACKET.pack(seconds, microseconds, len(kept), len(datagram)) + kept)
        self._files[device] = path, file, size
        if size >= self.max_bytes // SHARE:
            self.end(device)

    def flush(self) -> None:
        """Have the files on the disk."""
        for _, file, _ in self._files.values():
            file.flush()

    def end(self, device: str) -> None:
        """Close a device's file."""
        found = self._files.pop(device, None)
        if found is not None:
            found[1].close()

    def forget(self, older_than: float) -> None:
        """Delete what was written last before a time (seconds since 1970)."""
        for path in _files(self._path):
            if path.stat().st_mtime < older_than:
                path.unlink(missing_ok=True)

    def _begin(self, device: str, at: int) -> tuple[Path, BinaryIO, int]:
        self._path.mkdir(mode=0o750, exist_ok=True)
        being_written = {path for path, _, _ in self._files.values()}
        files = [path for path in _files(self._path) if path not in being_written]
        while files and sum(path.stat().st_size for path in files) > self.max_bytes // 2:
            files.pop(0).unlink(missing_ok=True)
        path = self._path / f"{at}-{device}{SUFFIX}"
        file = path.open("xb")
        path.chmod(0o640)
        return path, file, file.write(FILE_HEADER)


def between(directory: Path, device: str, server: str) -> bytes | None:
    """Return what was captured between two addresses as one file, None if nothing was.

    At most TAKEN_LIMIT bytes, the oldest first; what cannot be read is left out.
    """
    ends = {ip_address(device).packed, ip_address(server).packed}
    taken = bytearray(FILE_HEADER)
    for path in _files(directory):
        if not path.name.endswith(f"-{device}{SUFFIX}"):
            continue
        try:
            content = path.read_bytes()
        except OSError:
            continue  # the ring has taken it away meanwhile, or it is not ours to read
        for record, datagram in _packets(content):
            if _ends(datagram) == ends and len(taken) + len(record) <= TAKEN_LIMIT:
                taken += record
    return bytes(taken) if len(taken) > len(FILE_HEADER) else None


def _packets(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (record, datagram) of a file of ours; one cut off at the end is left out."""
    if content[: len(FILE_HEADER)] != FILE_HEADER:
        return
    place = len(FILE_HEADER)
    while place + _PACKET.size <= len(content):
        length = _PACKET.unpack_from(content, place)[2]
        end = place + _PACKET.size + length
        if end > len(content):
            return
        yield content[place:end], content[place + _PACKET.size : end]
        place = end


def _ends(datagram: bytes) -> set[bytes]:
    try:
        transport = find_transport(datagram)
    except ParseError:
        return set()
    return set() if transport is None else {transport.source, transport.destination}


def _files(directory: Path) -> list[Path]:
    """Return the capture files, the oldest first: their names begin with their start."""
    return sorted(directory.glob(f"[0-9]*-*{SUFFIX}"))
