"""`python -m ratwall.lookup SERVER PORT [NAME]`: one look-up, in a process that may do nothing.

Started by the controller for one server and gone after three seconds at most. Before the first byte
of the network it gives up every capability, and limits its memory and its time on the processor.
"""

import argparse
import json
import signal
import sys
from pathlib import Path

from ratwall.kernel.rights import give_up_rights
from ratwall.lookup.fetch import SECONDS, fetch, result
from ratwall.settings.load import load_settings
from ratwall.signatures.store import packs_in_force

MEMORY = 256 * 1024 * 1024  # bytes of address space: an interpreter and a certificate have room
PROCESSOR_SECONDS = 3


def main() -> int:
    """Print the result as one JSON object; exit code 1 and a line on stderr if there is none."""
    parser = argparse.ArgumentParser(prog="ratwall.lookup")
    parser.add_argument("--state-dir", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("server")
    parser.add_argument("port", type=int)
    parser.add_argument("name", nargs="?")
    options = parser.parse_args()
    trust = load_settings(options.config).signatures.trust
    packs = packs_in_force(options.state_dir, trust).packs
    give_up_rights(memory=MEMORY, processor_seconds=PROCESSOR_SECONDS, file_bytes=0)
    signal.alarm(int(SECONDS) + 1)  # should a call not heed its time-out
    try:
        facts = fetch(options.server, options.port, options.name)
    except OSError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    json.dump(result(packs, facts, options.server, options.port), sys.stdout)
    return 0


sys.exit(main())
