"""`python -m ratwall.feeds.lay`: puts the listed servers of the index into the kernel's sets.

Started by the controller, with its right to change rules, and gone when it is done: what it reads
is an index, checked when it is opened, and of it nothing but addresses and numbers reaches the
kernel's tool. It asks the kernel what is there and sends only what differs, so it may be started at
any time, and ends what an earlier one was killed at. It knows no settings: to import those takes
longer than ten thousand servers.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ratwall.address import is_local
from ratwall.errors import RatwallError
from ratwall.feeds.index import index_of, open_index
from ratwall.kernel.command import nft
from ratwall.kernel.listed import SETS, Server, changes, server_of
from ratwall.kernel.ruleset import TABLE
from ratwall.kernel.tables import elements

MILLISECONDS = 1000  # of a second
AT_A_TIME = 2  # as many cores as the smallest box has to spare


def main() -> int:
    """Lay the index; exit code 1 and a line on stderr if the kernel refuses."""
    parser = argparse.ArgumentParser(prog="ratwall.feeds.lay")
    parser.add_argument("--state-dir", type=Path, required=True)
    options = parser.parse_args()
    try:
        json.dump({"changed": lay(index_of(options.state_dir))}, sys.stdout)
    except (RatwallError, ValueError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


def lay(path: Path) -> int:
    """Make the sets hold what the index lists; return how many transactions that took."""
    now = int(time.time())
    wanted: dict[Server, int] = {
        (octets, port): until
        for octets, port, until in open_index(path).servers()
        # Screened before; here once more, because this process may do what the screen's may not.
        if until > now and len(octets) in (4, 16) and not is_local(octets)
    }
    there: dict[Server, int] = {}
    for name in SETS:
        for key, left in elements(TABLE, name):
            there[server_of(key, name)] = now + left // MILLISECONDS
    # Portions do not depend on each other, and nft spends half of its time on reading them.
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return sum(1 for _ in pool.map(nft, changes(wanted, there, now)))


if __name__ == "__main__":
    sys.exit(main())
