"""Capture files as a stream of IP datagrams with their times.

Scapy's raw readers read the containers, pcap and pcapng; the frames in them are opened here. A file
that cannot be read, or only up to some place, is a UsageError of one line that names file and
place; what stood before the damage has then been handed on.
"""

import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from scapy.error import Scapy_Exception
from scapy.utils import RawPcapNgReader, RawPcapReader

from ratwall.errors import UsageError
from ratwall.replay.links import supported, unwrap

# libpcap's own limit for the length of a packet (MAXIMUM_SNAPLEN).
PACKET_LIMIT: Final = 262_144
# The end of the year 9999, the last that an ISO date can say; pcapng could hold later ones.
TIME_LIMIT: Final = 253_402_300_799 * 1_000_000
_LINK_TYPE_MASK: Final = 0xFFFF  # the bits above tell of checksums behind the frame


class CapturedDatagram(NamedTuple):
    """An IP datagram, perhaps with padding behind it, and when it passed (UTC microseconds)."""

    time: int
    data: bytes


def read_capture(path: Path) -> Iterator[CapturedDatagram]:
    """Yield the IP datagrams of a capture in file order; UsageError when it cannot be read."""
    with _silent_scapy(), _open(path) as reader:
        paged = isinstance(reader, RawPcapNgReader)
        # Of pcapng a block at a time, to know where the one at hand begins.
        read = reader._read_block if paged else reader._read_packet
        unsupported: set[int] = set()
        frames = 0
        while True:
            start = reader.f.tell()
            try:
                record = read(PACKET_LIMIT)
            except (EOFError, Scapy_Exception, zlib.error, OSError) as end:
                # A file ends between two records, and without a message (gzip's of its own end).
                damaged = reader.f.tell() != start or bool(end.args)
                break
            if record is None:
                continue  # a block without a packet
            frame, metadata = record
            if not paged and len(frame) < min(metadata.caplen, PACKET_LIMIT):
                damaged = True
                break
            frames += 1
            link_type = (metadata if paged else reader).linktype & _LINK_TYPE_MASK
            if not supported(link_type):
                unsupported.add(link_type)
                continue
            datagram = unwrap(link_type, frame)
            if datagram is not None:
                time = _paged_time(metadata) if paged else _time(metadata, reader.nano)
                yield CapturedDatagram(time, datagram)
        _complain(path, start if damaged else None, frames, unsupported)


def _complain(path: Path, damaged_at: int | None, frames: int, unsupported: set[int]) -> None:
    """Raise UsageError if the file ended inside a record, or some of it could not be read."""
    if damaged_at is not None:
        raise UsageError(
            f"{path}: the capture is damaged or cut short after {frames} packets, at byte "
            f"{damaged_at}; what stands before was read"
        )
    if unsupported:
        numbers = ", ".join(map(str, sorted(unsupported)))
        raise UsageError(
            f"{path}: link type {numbers} cannot be read; allowed are Ethernet, PPP, PPPoE, "
            "raw IP, Linux cooked, null/loopback and Cisco HDLC"
        )


def _time(metadata: Any, nanoseconds: bool) -> int:
    """Time of a pcap record in UTC microseconds."""
    fraction: int = metadata.usec // 1000 if nanoseconds else metadata.usec
    seconds: int = metadata.sec
    return seconds * 1_000_000 + fraction


def _paged_time(metadata: Any) -> int:
    """Time of a pcapng block in UTC microseconds; 0 for a Simple Packet Block, which has none."""
    if metadata.tshigh is None:
        return 0
    ticks: int = metadata.tshigh << 32 | metadata.tslow
    return min(ticks * 1_000_000 // int(metadata.tsresol), TIME_LIMIT)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open a capture with scapy's reader for its container; UsageError if it is none."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        try:
            magic = file.read(4)
            file.seek(0)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
        if not magic:
            raise UsageError(f"{path}: the file is empty; a pcap or pcapng capture is needed")
        try:
            reader = RawPcapReader(file)
        except (Scapy_Exception, EOFError, zlib.error, OSError) as error:
            raise UsageError(
                f"{path}: not a capture; a pcap or pcapng file is needed, found one that begins "
                f"with {magic.hex(' ')}"
            ) from error
        with reader:
            yield reader


@contextmanager
def _silent_scapy() -> Iterator[None]:
    """Keep scapy's own warnings off the terminal while it reads: damage is reported here."""
    logger = logging.getLogger("scapy.runtime")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
