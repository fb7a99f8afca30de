"""One netlink socket towards netfilter: asked and answered, or listened to.

The one place that opens such a socket (the queue's own belongs to the binding); what is in the
messages is read by who asked. It never hides that something was lost: a datagram that did not fit
the receive buffer is told as None.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from ratwall.kernel import netlink

DATAGRAM = 65_536  # bytes: more than the kernel puts into one
ANSWER_SECONDS = 5.0  # it answers within a millisecond, unless it is busy with a transaction
READ_LIMIT = 64  # datagrams at one go: others wait for their turn too
_ERROR = struct.Struct("=i")


class Channel:
    """Ask with `answers`, or poll `fileno()` and take what is `waiting`; a context manager."""

    def __init__(self, *, groups: int = 0, receive_buffer: int | None = None) -> None:
        """`groups`: a mask of what to listen to; `receive_buffer` in bytes, None: the kernel's."""
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, netlink.NETLINK_NETFILTER
        )
        try:
            if receive_buffer is not None:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self._socket.settimeout(ANSWER_SECONDS)
            self._socket.bind((0, groups))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._socket.fileno()

    def close(self) -> None:
        """Give the socket back, and with it what was bound to it."""
        self._socket.close()

    def answers(self, request: bytes) -> Iterator[bytes]:
        """Send one request, a dump or one that wants an acknowledgement, and yield its answers.

        Read them to their end, or close the channel. OSError if the kernel refuses or is silent.
        """
        self._socket.send(request)
        while True:
            data = self._socket.recv(DATAGRAM)
            over = False
            for kind, _, body in netlink.messages(data):
                if kind == netlink.NLMSG_ERROR:  # which an acknowledgement is, with 0
                    number = -_ERROR.unpack_from(body)[0]
                    if number:
                        raise OSError(number, os.strerror(number))
                over = over or kind in (netlink.NLMSG_ERROR, netlink.NLMSG_DONE)
            yield data
            if over:
                return

    def tell(self, request: bytes) -> None:
        """Send a request that wants nothing but an acknowledgement."""
        for _ in self.answers(request):
            pass

    def never_wait(self) -> None:
        """Only listen from now on."""
        self._socket.setblocking(False)

    def waiting(self, limit: int = READ_LIMIT) -> Iterator[bytes | None]:
        """Yield the datagrams that have come, at most `limit`; None where some were lost."""
        for _ in range(limit):
            try:
                yield self._socket.recv(DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                yield None
