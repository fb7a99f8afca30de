"""What contacts cost the controller: a connection, a batch, a start.

    .venv/bin/python tests/bench/contacts.py [CONNECTIONS]

Plays connections of forty devices with two hundred servers each through the listener alone, with a
ledger on disk. Prints microseconds of CPU; nothing is asserted.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from ratwall.controller.books import open_books  # noqa: E402
from ratwall.controller.contacts import Contacts  # noqa: E402
from ratwall.controller.loops import Loops  # noqa: E402
from ratwall.kernel.conntrack import FlowEvent  # noqa: E402
from ratwall.kernel.marks import FlowClass  # noqa: E402
from ratwall.ledger.store import open_ledger  # noqa: E402
from ratwall.loops.attempts import Surroundings  # noqa: E402
from unit.controller.box import NOON, FakeSets  # noqa: E402

DEVICES, SERVERS, PER_BATCH = 40, 200, 1000
CONNECTIONS = 40_000


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else CONNECTIONS
    devices = [ip_address(f"192.168.1.{number + 1}") for number in range(DEVICES)]
    servers = [ip_address(f"203.0.{number // 250}.{number % 250}") for number in range(SERVERS)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite3"
        ledger = open_ledger(path)
        books = open_books(ledger, FakeSets(), frozenset(), "", NOON)
        contacts = Contacts(lambda address: None, lambda server: (), lambda: NOON)
        contacts.start(books)
        heard = written = batches = 0.0
        for first in range(0, count, PER_BATCH):
            events = [
                FlowEvent(
                    True,
                    devices[number % DEVICES],
                    1024 + number % 60_000,
                    servers[number * 7 // DEVICES % SERVERS],
                    443,
                    FlowClass.CLEAN,
                    2000,
                    9000,
                    NOON + number * 2000,
                )
                for number in range(first, min(first + PER_BATCH, count))
            ]
            heard += spent(lambda events=events: [contacts.take_event(one) for one in events])
            now = NOON + first * 20_000
            written += spent(lambda now=now: (contacts.tick(now), books.writer.flush()))
            batches += 1
        rows = ledger.tuples(
            "SELECT (SELECT count(*) FROM contact), (SELECT count(*) FROM connection)"
        )
        print(f"{count} connections, {rows[0][0]} contacts, {rows[0][1]} connections kept")
        print(f"heard:   {heard / count * 1e6:6.1f} µs a connection")
        print(
            f"written: {written / count * 1e6:6.1f} µs a connection, "
            f"{written / batches * 1e3:.1f} ms a batch of {PER_BATCH}"
        )
        print(f"ledger:  {ledger.bytes_used() / count:6.1f} bytes a connection")
        loops = Loops(
            lambda server: Surroundings(1, False),
            frozenset,
            lambda finding: None,
            lambda: NOON + count * 2000,
        )
        print(f"start:   {spent(lambda: loops.start(books)) * 1e3:6.1f} ms to read the last day")


def spent(work: Callable[[], object]) -> float:
    """Return the CPU seconds that something takes."""
    before = time.process_time()
    work()
    return time.process_time() - before


if __name__ == "__main__":
    main()
