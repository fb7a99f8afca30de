"""One NFQUEUE, bound through NetfilterQueue and switched to fail-open.

Never decides anything: it hands each packet to a callback and gives it the one verdict that comes
back. What the callback fails on is accepted and counted.

NetfilterQueue has no way to set FAIL_OPEN and copies no more than 4,016 bytes of a packet, so both
are set on the queue's own netlink socket (NFQNL_MSG_CONFIG with NFQA_CFG_PARAMS, NFQA_CFG_MASK and
NFQA_CFG_FLAGS, include/uapi/linux/netfilter/nfnetlink_queue.h): with FAIL_OPEN the kernel lets
packets pass when the queue, or the socket's buffer, is full.
"""

import errno
import logging
import math
import os
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import netfilterqueue

from ratwall.errors import NotPermittedError, UsageError
from ratwall.kernel import netlink

if TYPE_CHECKING:  # it is compiled, and may not be there
    from ratwall.queue.fastpath import FastPath, QueueReader

SUBSYSTEM_QUEUE = 3  # NFNL_SUBSYS_QUEUE
MESSAGE_CONFIG = 2  # NFQNL_MSG_CONFIG
ATTRIBUTE_PARAMS = 2  # NFQA_CFG_PARAMS
ATTRIBUTE_MASK, ATTRIBUTE_FLAGS = 4, 5  # NFQA_CFG_MASK, NFQA_CFG_FLAGS
CAP_NET_ADMIN = 12  # include/uapi/linux/capability.h
FLAG_FAIL_OPEN = 1  # NFQA_CFG_F_FAIL_OPEN
PARAMS = struct.Struct("!IB")  # struct nfqnl_msg_config_params: copy range, copy mode
COPY_PACKET = 2  # NFQNL_COPY_PACKET
# All of a frame of any size: what one netlink attribute can hold, which is four bytes less than the
# longest IP datagram. The library asks for 4,016 and reads 4,096.
COPY_RANGE = 0xFFFF - netlink.ATTRIBUTE.size
MESSAGE_SIZE = COPY_RANGE + 512  # and what the kernel says of the packet: some 150 bytes
SO_MEMINFO = 55  # include/uapi/asm-generic/socket.h
MEMINFO = struct.Struct("=II")  # SK_MEMINFO_RMEM_ALLOC, SK_MEMINFO_RCVBUF of linux/sock_diag.h
BATCH = 64  # packets handled before the caller may look at its other descriptors
BYTES_PER_ENTRY = 4096  # of socket buffer for each place in the queue: a full frame

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QueuedPacket:
    """An IP datagram as queued, its packet mark, and the hardware address it came from."""

    datagram: bytes
    mark: int
    hardware_address: Callable[[], bytes | None]  # asked for once a connection only


@dataclass(frozen=True, slots=True)
class Release:
    """The verdict: let the packet go with this mark, and with another content where not None.

    Or let it go nowhere, when its receiver would take it for something else than we do, or could
    not be told from one that would: who meant well sends it again.
    """

    mark: int
    datagram: bytes | None = None
    drop: bool = False


Decide = Callable[[QueuedPacket], Release]


class PacketQueue:
    """A bound queue: `wait`, again and again."""

    def __init__(
        self, number: int, length: int, decide: Decide, fast_path: "FastPath | None" = None
    ) -> None:
        """Bind queue `number`, `length` entries long; UsageError if another process holds it.

        What `fast_path` decides is answered there, and `decide` not asked.
        """
        self._decide = decide
        self.failures = 0
        try:
            self._queue = netfilterqueue.NetfilterQueue()
            self._queue.bind(
                number, self._settle, max_len=length, sock_len=length * BYTES_PER_ENTRY // 2
            )
        except OSError as error:
            if not _has_net_admin():
                raise NotPermittedError(
                    "packet queue: CAP_NET_ADMIN is needed; run as root"
                ) from error
            raise UsageError(
                f"packet queue {number}: cannot be bound ({error}); another process holds it: "
                "is a second ratwall running? Otherwise choose another number in [kernel] queue"
            ) from error
        self._source: _Batch | QueueReader
        if fast_path is None:
            self._source = _Batch(self._queue.get_fd())
        else:
            from ratwall.queue import fastpath  # who has a fast path has its module

            self._source = fastpath.QueueReader(self._queue.get_fd(), MESSAGE_SIZE, fast_path)
        self._configure(number)

    def wait(self, seconds: float, other: int | None) -> bool:
        """Give verdicts for so long at most; True if the descriptor `other` can be read.

        Ends before its time then, and after a packet of the slow path.
        """
        if isinstance(self._source, _Batch):
            poll = select.poll()
            for descriptor in (self._queue.get_fd(), other):
                if descriptor is not None:
                    poll.register(descriptor, select.POLLIN)
            ready = {descriptor for descriptor, _ in poll.poll(math.ceil(seconds * 1000))}
            waiting, heard = self._queue.get_fd() in ready, other in ready
        else:
            waiting, heard = self._source.wait(seconds, -1 if other is None else other)
        if waiting:
            self._source.left = BATCH
            self._queue.run_socket(self._source)  # type: ignore[arg-type]
        return heard

    def feed(self, watchdog: int, notice: bytes, seconds: float) -> bool:
        """Have `wait` send a notice to this descriptor so often; False if it cannot.

        Without a fast path it comes back often enough for its caller to do so.
        """
        if isinstance(self._source, _Batch):
            return False
        self._source.feed(watchdog, notice, seconds)
        return True

    def hasten(self, seconds: float) -> None:
        """Have `wait`, which is under way, end in so many seconds at the latest.

        Without a fast path it ends with the packets at hand.
        """
        if not isinstance(self._source, _Batch):
            self._source.hasten(seconds)

    def waiting_percent(self) -> int:
        """Return how full the queue's buffer is, with packets that nobody has read yet."""
        with socket.socket(fileno=os.dup(self._queue.get_fd())) as channel:
            facts = channel.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size)
        waiting, room = MEMINFO.unpack(facts)
        return min(100, 100 * int(waiting) // int(room))

    def close(self) -> None:
        """Leave the queue; the kernel lets pass what still waited in it."""
        self._queue.unbind()
        if isinstance(self._source, _Batch):
            self._source.close()

    def _settle(self, packet: netfilterqueue.Packet) -> None:
        try:
            release = self._decide(
                QueuedPacket(packet.get_payload(), packet.get_mark(), packet.get_hw)
            )
        except Exception:
            # The office comes first: a fault of ours must not hold a packet back. It keeps its
            # TO_INSPECT mark, so that the kernel counts it as uninspected.
            self.failures += 1
            log.exception("packet %d: inspection failed, let pass uninspected", packet.id)
        else:
            packet.set_mark(release.mark)
            if release.datagram is not None:
                packet.set_payload(release.datagram)
            if release.drop:
                packet.drop()
                return
        packet.accept()

    def _configure(self, number: int) -> None:
        """Have whole packets copied, and none held back where the queue is full."""
        value = struct.pack("!I", FLAG_FAIL_OPEN)
        request = netlink.netfilter_request(
            SUBSYSTEM_QUEUE,
            MESSAGE_CONFIG,
            0,
            socket.AF_UNSPEC,
            number,
            netlink.attribute(ATTRIBUTE_PARAMS, PARAMS.pack(COPY_RANGE, COPY_PACKET)),
            netlink.attribute(ATTRIBUTE_MASK, value),
            netlink.attribute(ATTRIBUTE_FLAGS, value),
        )
        with socket.socket(fileno=os.dup(self._queue.get_fd())) as channel:
            channel.send(request)


def _has_net_admin() -> bool:
    """Say whether this process has CAP_NET_ADMIN (capability 12), whatever its user."""
    status = Path("/proc/self/status").read_text()
    (effective,) = (line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
    return bool(int(effective, 16) >> CAP_NET_ADMIN & 1)


class _Batch:
    """What NetfilterQueue's `run_socket` reads from: the queue's socket, for a bounded number.

    The library reads until the socket is empty; on a busy box that is never. And it reads less than
    a long packet.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._message = bytearray(MESSAGE_SIZE)  # kept: a new one for each packet costs more
        self.left = 0

    def recv(self, size: int) -> bytes:
        if self.left == 0:
            raise BlockingIOError(errno.EAGAIN, "batch done")
        self.left -= 1
        length = self._socket.recv_into(self._message, 0, socket.MSG_DONTWAIT)
        return bytes(memoryview(self._message)[:length])

    def close(self) -> None:
        self._socket.close()
