"""`python -m ratwall.lookup SERVER PORT [NAME]`: one look-up, in a process that may do nothing.

Started by the controller for one server and gone after three seconds at most. Before the first byte
of the network it gives up every capability, and limits its memory and its time on the processor.
"""

import ctypes
import json
import resource
import signal
import struct
import sys

from ratwall.lookup.fetch import SECONDS, fetch, result
from ratwall.signatures.pack import load_packs

MEMORY = 256 * 1024 * 1024  # bytes of address space: an interpreter and a certificate have room
PROCESSOR_SECONDS = 3
CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4  # linux/prctl.h


def give_up_rights() -> None:
    """Drop all capabilities for good; OSError if the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
    for failed in (
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0),
        libc.capset(header, bytes(24)),
    ):
        if failed:
            raise OSError(ctypes.get_errno(), "rights cannot be given up")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def main() -> int:
    """Print the result as one JSON object; exit code 1 and a line on stderr if there is none."""
    server, port, *name = sys.argv[1:]
    packs = load_packs()
    give_up_rights()
    signal.alarm(int(SECONDS) + 1)  # should a call not heed its time-out
    try:
        facts = fetch(server, int(port), name[0] if name else None)
    except OSError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    json.dump(result(packs, facts, server, int(port)), sys.stdout)
    return 0


sys.exit(main())
