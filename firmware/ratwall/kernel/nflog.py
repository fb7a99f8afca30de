"""Reading what the kernel copies of observed flows: NFLOG (include/uapi/linux/netfilter/
nfnetlink_log.h).

It only listens: a copy that nobody reads in time is lost and counted, the packet itself has long
left. The kernel gathers copies for a tenth of a second, so that a busy network wakes the reader ten
times a second and not for every segment; each carries the time at which the kernel saw it.
"""

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ratwall.errors import UsageError
from ratwall.kernel import netlink

SUBSYSTEM_LOG = 4  # NFNL_SUBSYS_ULOG
MESSAGE_PACKET, MESSAGE_CONFIG = 0, 1
CONFIG_COMMAND, CONFIG_MODE, CONFIG_TIMEOUT, CONFIG_THRESHOLD = 1, 2, 4, 5
COMMAND_BIND = 1
COPY_PACKET = 2
TIMESTAMP, PAYLOAD = 3, 9  # NFULA_TIMESTAMP, NFULA_PAYLOAD
GATHER_HUNDREDTHS = 10  # of a second
GATHER_COPIES = 16  # 16 copies of 96 bytes and their headers fit the kernel's buffer of a page
RECEIVE_BUFFER = 2 * 1024 * 1024  # bytes: a second of the most that the rules copy
DATAGRAM = 65536
SEC_USEC = struct.Struct("!QQ")
NUMBER = struct.Struct("!I")
MODE = struct.Struct("!IBx")
ANSWER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Copy:
    """The first bytes of an IP datagram, and when it passed (UTC microseconds, 0 if unknown)."""

    at: int
    datagram: bytes


class CopyReader:
    """The socket of one group: poll `fileno()`, then `read()`."""

    def __init__(self, group: int, *, gather: bool = True) -> None:
        """Bind a group; UsageError if another process holds it. Without `gather` copies come one
        by one, at once."""
        self.overflows = 0  # times that copies were lost because nobody read them
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, netlink.NETLINK_NETFILTER
        )
        self._socket.bind((0, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket.settimeout(ANSWER_SECONDS)
        self._group = group
        try:
            self._configure(CONFIG_COMMAND, bytes((COMMAND_BIND,)))
            self._configure(CONFIG_MODE, MODE.pack(DATAGRAM, COPY_PACKET))
            self._configure(CONFIG_TIMEOUT, NUMBER.pack(GATHER_HUNDREDTHS))
            self._configure(CONFIG_THRESHOLD, NUMBER.pack(GATHER_COPIES if gather else 1))
        except OSError as error:
            self._socket.close()
            raise UsageError(
                f"log group {group}: cannot be bound ({error}); another process holds it: "
                "choose another number in [kernel] log_group"
            ) from error
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._socket.fileno()

    def read(self, limit: int = 64) -> list[Copy]:
        """Return what has come, at most `limit` datagrams of it."""
        copies: list[Copy] = []
        for _ in range(limit):
            try:
                data = self._socket.recv(DATAGRAM)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overflows += 1
                continue
            copies.extend(decode(data))
        return copies

    def close(self) -> None:
        """Leave the group."""
        self._socket.close()

    def _configure(self, kind: int, value: bytes) -> None:
        request = netlink.netfilter_request(
            SUBSYSTEM_LOG,
            MESSAGE_CONFIG,
            netlink.NLM_F_ACK,
            socket.AF_UNSPEC,
            self._group,
            netlink.attribute(kind, value),
        )
        self._socket.send(request)
        while True:
            for message, _, body in netlink.messages(self._socket.recv(DATAGRAM)):
                if message == netlink.NLMSG_ERROR:  # which an acknowledgement is, with 0
                    number = -struct.unpack_from("=i", body)[0]
                    if number:
                        raise OSError(number, "refused by the kernel")
                    return


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
        yield Copy(at, bytes(payload))
