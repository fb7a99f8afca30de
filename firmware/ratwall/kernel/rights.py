"""Gives up what a process does not need: for good, and before its first byte of the network."""

import ctypes
import resource
import struct

CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4  # linux/prctl.h


def give_up_rights(*, memory: int, processor_seconds: int, file_bytes: int) -> None:
    """Drop all capabilities, start no process, and stay within these bounds; OSError if the kernel
    refuses.

    `memory` is bytes of address space, `file_bytes` the size of the largest file written.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
    for failed in (
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0),
        libc.capset(header, bytes(24)),
    ):
        if failed:
            raise OSError(ctypes.get_errno(), "rights cannot be given up")
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
