"""`python -m ratwall.lookup SERVER PORT [NAME]`: one look-up, in a process that may do nothing.

Started by the controller for one server and gone after three seconds at most. Before the first byte
of the network it gives up every capability, and limits its memory and its time on the processor.
"""

import json
import signal
import sys

from ratwall.kernel.rights import give_up_rights
from ratwall.lookup.fetch import SECONDS, fetch, result
from ratwall.signatures.pack import load_packs

MEMORY = 256 * 1024 * 1024  # bytes of address space: an interpreter and a certificate have room
PROCESSOR_SECONDS = 3


def main() -> int:
    """Print the result as one JSON object; exit code 1 and a line on stderr if there is none."""
    server, port, *name = sys.argv[1:]
    packs = load_packs()
    give_up_rights(memory=MEMORY, processor_seconds=PROCESSOR_SECONDS, file_bytes=0)
    signal.alarm(int(SECONDS) + 1)  # should a call not heed its time-out
    try:
        facts = fetch(server, int(port), name[0] if name else None)
    except OSError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    json.dump(result(packs, facts, server, int(port)), sys.stdout)
    return 0


sys.exit(main())
