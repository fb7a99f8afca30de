"""`python -m ratwall.feeds.get URL LIMIT`: one file from an https address, onto stdout.

For a command of root's that needs a file from the internet: before the first byte of the network
this process gives up every capability, may write no file and start no process. Whoever starts it
makes it another user besides.
"""

import signal
import sys
import time

from ratwall.errors import RatwallError
from ratwall.feeds.fetch import SECONDS, fetch
from ratwall.kernel.rights import give_up_rights

MEMORY = 256 * 1024 * 1024  # bytes of address space: an interpreter, OpenSSL, its authorities
PROCESSOR_SECONDS = 20  # a slow box reads the authorities in two


def main() -> int:
    """Print what is there; exit code 1 and one line on stderr if it cannot be had."""
    url, limit = sys.argv[1:]
    give_up_rights(memory=MEMORY, processor_seconds=PROCESSOR_SECONDS, file_bytes=0)
    signal.alarm(int(SECONDS) + 5)  # should a call not heed its time-out
    try:
        found = fetch(url, None, None, time.time_ns() // 1000, int(limit))
    except (OSError, RatwallError, MemoryError) as error:
        print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr)
        return 1
    assert found is not None, "nothing was said that could not have changed"
    sys.stdout.buffer.write(found.data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
