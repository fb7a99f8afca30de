"""Reading what the kernel copies of observed flows: NFLOG (include/uapi/linux/netfilter/
nfnetlink_log.h).

It only listens: a copy that nobody reads in time is lost and counted, the packet itself has long
left. The kernel gathers copies for a tenth of a second, so that a busy network wakes the reader ten
times a second and not for every segment; each carries the time at which the kernel saw it.
"""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ratwall.errors import UsageError
from ratwall.kernel import netlink
from ratwall.kernel.channel import DATAGRAM, Channel

SUBSYSTEM_LOG = 4  # NFNL_SUBSYS_ULOG
MESSAGE_PACKET, MESSAGE_CONFIG = 0, 1
CONFIG_COMMAND, CONFIG_MODE, CONFIG_TIMEOUT, CONFIG_THRESHOLD, CONFIG_FLAGS = 1, 2, 4, 5, 6
COMMAND_BIND = 1
COPY_PACKET = 2
FLAG_NUMBERED = 1  # NFULNL_CFG_F_SEQ: each copy carries its number
TIMESTAMP, PAYLOAD, NUMBERED = 3, 9, 12  # NFULA_TIMESTAMP, NFULA_PAYLOAD, NFULA_SEQ
HARDWARE = 8  # NFULA_HWADDR: struct nfulnl_msg_packet_hw
GATHER_HUNDREDTHS = 10  # of a second
GATHER_COPIES = 16  # 16 copies of 96 bytes and their headers fit the kernel's buffer of a page
RECEIVE_BUFFER = 2 * 1024 * 1024  # bytes: a second of the most that the rules copy
SEC_USEC = struct.Struct("!QQ")
NUMBER = struct.Struct("!I")
FLAGS = struct.Struct("!H")
MODE = struct.Struct("!IBx")
HARDWARE_ADDRESS = struct.Struct("!H2x8s")
MAC_LENGTH = 6
_MASK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Copy:
    """The first bytes of an IP datagram, and when it passed (UTC microseconds, 0 if unknown)."""

    at: int
    datagram: bytes
    number: int | None = None  # the kernel counts the copies of a group
    hardware: bytes | None = None  # whose card sent it, as the kernel says so

    @property
    def mac(self) -> str | None:
        """Return the MAC that sent it, None where the kernel knows none."""
        if self.hardware is None or len(self.hardware) != HARDWARE_ADDRESS.size:
            return None
        length, octets = HARDWARE_ADDRESS.unpack(self.hardware)
        known = length == MAC_LENGTH and any(octets[:MAC_LENGTH])
        return octets[:MAC_LENGTH].hex(":") if known else None


class CopyReader:
    """The socket of one group: poll `fileno()`, then `read()`."""

    def __init__(
        self, group: int, *, gather: bool = True, receive_buffer: int = RECEIVE_BUFFER
    ) -> None:
        """Bind a group; UsageError if another process holds it. Without `gather` copies come one
        by one, at once."""
        self.overflows = 0  # times that copies were lost because nobody read them
        self.lost = 0  # copies that the kernel made and nobody got
        self._next: int | None = None  # the number of the next copy, if none is lost
        self._group = group
        self._channel = Channel(receive_buffer=receive_buffer)
        try:
            self._configure(CONFIG_COMMAND, bytes((COMMAND_BIND,)))
            self._configure(CONFIG_MODE, MODE.pack(DATAGRAM, COPY_PACKET))
            self._configure(CONFIG_FLAGS, FLAGS.pack(FLAG_NUMBERED))
            self._configure(CONFIG_TIMEOUT, NUMBER.pack(GATHER_HUNDREDTHS))
            self._configure(CONFIG_THRESHOLD, NUMBER.pack(GATHER_COPIES if gather else 1))
        except OSError as error:
            self._channel.close()
            raise UsageError(
                f"log group {group}: cannot be bound ({error}); another process holds it: "
                "choose another number in [kernel] log_group"
            ) from error
        self._channel.never_wait()

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._channel.fileno()

    def read(self) -> list[Copy]:
        """Return some of what has come."""
        copies: list[Copy] = []
        for data in self._channel.waiting():
            if data is None:
                self.overflows += 1
                continue
            for copy in decode(data):
                self._count(copy.number)
                copies.append(copy)
        return copies

    def close(self) -> None:
        """Leave the group."""
        self._channel.close()

    def _count(self, number: int | None) -> None:
        """Count the copies that are missing before this one."""
        if number is None:
            return
        if self._next is not None:
            self.lost += (number - self._next) & _MASK
        self._next = (number + 1) & _MASK

    def _configure(self, kind: int, value: bytes) -> None:
        self._channel.tell(
            netlink.netfilter_request(
                SUBSYSTEM_LOG,
                MESSAGE_CONFIG,
                netlink.NLM_F_ACK,
                socket.AF_UNSPEC,
                self._group,
                netlink.attribute(kind, value),
            )
        )


def decode(data: bytes) -> Iterator[Copy]:
    """Yield the copies in a netlink datagram; what has no payload is left out."""
    for kind, _, body in netlink.messages(data):
        if kind != SUBSYSTEM_LOG << 8 | MESSAGE_PACKET:
            continue
        attributes = netlink.attributes(body[netlink.NFGENMSG.size :])
        payload = attributes.get(PAYLOAD)
        if payload is None:
            continue
        stamp = attributes.get(TIMESTAMP)
        at = 0
        if stamp is not None and len(stamp) == SEC_USEC.size:
            seconds, microseconds = SEC_USEC.unpack(stamp)
            at = seconds * 1_000_000 + microseconds
        raw = attributes.get(NUMBERED)
        number = None if raw is None or len(raw) != NUMBER.size else NUMBER.unpack(raw)[0]
        sender = attributes.get(HARDWARE)
        yield Copy(at, bytes(payload), number, None if sender is None else bytes(sender))
