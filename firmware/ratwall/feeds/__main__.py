"""`python -m ratwall.feeds`: one run over the feeds, in a process that may do nothing else.

Started by the controller and gone when it is done. Before the first byte of a list it gives up
every capability and bounds its memory, its time and the size of what it writes: every byte that it
reads is a stranger's. It prints one JSON object: whether there is a new index.
"""

import argparse
import gc
import json
import sys
import time
from pathlib import Path

from ratwall.errors import RatwallError
from ratwall.feeds import fetch
from ratwall.feeds.deadline import Deadline
from ratwall.feeds.directory import FeedDirectory, sources_of
from ratwall.feeds.update import Update
from ratwall.kernel.rights import give_up_rights
from ratwall.settings.load import load_settings

# A full index of 250,000 indicators is made in 300 MB, the interpreter and OpenSSL included.
MEMORY = 1024 * 1024 * 1024
FILE_BYTES = 64 * 1024 * 1024  # the largest list has half of it
SECONDS = 600  # for all: eight lists that answer at the last moment; the others are due again
LIST_SECONDS = fetch.SECONDS + 15  # one that does not heed its time-outs is interrupted
PROCESSOR_SECONDS = 120  # a small box reads 250,000 rows in twenty


def main() -> int:
    """Do one run; exit code 1 and a line on stderr if the disk refuses."""
    parser = argparse.ArgumentParser(prog="ratwall.feeds")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--own", type=json.loads, default={})
    parser.add_argument("--forced", action="store_true")
    options = parser.parse_args()
    try:
        feeds = load_settings(options.config).feeds
        give_up_rights(memory=MEMORY, processor_seconds=PROCESSOR_SECONDS, file_bytes=FILE_BYTES)
        deadline = Deadline(fetch.obtain, LIST_SECONDS, SECONDS)
        gc.disable()  # a hundred thousand indicators, no cycle among them, and then it ends
        directory = FeedDirectory(options.state_dir)
        directory.prepare()
        update = Update(directory, deadline.obtain, options.own, lambda: time.time_ns() // 1000)
        changed = update.run(sources_of(feeds), forced=options.forced)
    except (OSError, RatwallError, MemoryError) as error:
        words = " ".join(str(error).split()) or type(error).__name__
        print(words, file=sys.stderr)
        return 1
    json.dump({"changed": changed}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
