"""A nameless network namespace, held by one file descriptor.

It never gets a name and no process lives in it: closing the descriptor, or dying of whatever, makes
the kernel take it away with all interfaces inside and their other ends. That is the reason for this
file: what a self-test made is gone even after `kill -9`. Design note: `os.unshare` and `os.setns`
exist from Python 3.12 on, the box may have 3.11.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ratwall.errors import NotPermittedError

CLONE_NEWNET = 0x40000000  # linux/sched.h
OWN_NAMESPACE = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A new network namespace; `close` gives it up."""

    def __init__(self) -> None:
        """Make it; NotPermittedError without CAP_SYS_ADMIN."""
        before = os.open(OWN_NAMESPACE, os.O_RDONLY)
        try:
            try:
                _checked(_libc.unshare(CLONE_NEWNET), "unshare")
            except PermissionError as error:
                raise NotPermittedError(
                    "selftest: must be root to make a network namespace"
                ) from error
            try:
                self._descriptor = os.open(OWN_NAMESPACE, os.O_RDONLY)
            finally:
                _checked(_libc.setns(before, CLONE_NEWNET), "setns")
        finally:
            os.close(before)

    @property
    def path(self) -> str:
        """The path by which `ip … netns` finds it, valid while this process lives."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move this thread into the namespace; sockets and processes made there stay there."""
        before = os.open(OWN_NAMESPACE, os.O_RDONLY)
        try:
            _checked(_libc.setns(self._descriptor, CLONE_NEWNET), "setns")
            try:
                yield
            finally:
                _checked(_libc.setns(before, CLONE_NEWNET), "setns")
        finally:
            os.close(before)

    def close(self) -> None:
        """Give it up: the kernel removes it once no socket in it is open."""
        os.close(self._descriptor)


def _checked(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
