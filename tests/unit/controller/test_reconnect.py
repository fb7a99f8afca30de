"""A reconnect loop with a server that is down, and a patient client, over the real conntrack.

Real connections, refused, in a network namespace; the controller is ended and started again in the
middle. Time is compressed: these clients sleep a tenth of what the families do (0.5 s, not 5), and
what is looked for is changed accordingly; how far the gaps may differ is not.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = r"""
import heapq, select, socket, subprocess, sys, time
from pathlib import Path
from ratwall.controller.books import open_books
from ratwall.controller.contacts import Contacts
from ratwall.controller.loops import Loops
from ratwall.kernel.conntrack import BlockWatch
from ratwall.kernel.marks import Marks
from ratwall.ledger.store import open_ledger
from ratwall.loops import attempts
from unit.controller.box import FakeSets

TENTH = 10
attempts.SLEEP_US //= TENTH
RAT, PATIENT, SERVER = "192.168.1.10", "192.168.1.11", "203.0.113.7"
PORTS = (6606, 7707, 8808)
for line in ("link set lo up", *(f"address add {one}/32 dev lo" for one in (RAT, PATIENT, SERVER))):
    subprocess.run(["ip", *line.split()], check=True)
for name in ("acct", "timestamp", "events"):
    Path(f"/proc/sys/net/netfilter/nf_conntrack_{name}").write_text("1")
subprocess.run(["nft", "add table inet t { chain c { type filter hook output priority 0; ct state "
                       "new accept; } ; }"], check=True)

def now():
    return time.time_ns() // 1000

class Life:
    # a controller, from a start to its end
    def __init__(self, path):
        self.found = []
        self.ledger = open_ledger(path)
        self.books = open_books(self.ledger, FakeSets(), frozenset(), "", now())
        self.contacts = Contacts(lambda address: None, lambda server: (), now)
        self.loops = Loops(lambda server: attempts.Surroundings(1, False),
            lambda: frozenset(PORTS), self.found.append, now)
        for one in (self.contacts, self.loops):
            one.start(self.books)

    def hear(self):
        while select.select([watch], [], [], 0)[0]:
            for event in watch.read():
                self.contacts.take_event(event)
                self.loops.take_event(event)

    def end(self):
        self.contacts.stop()
        assert self.books.writer.flush()
        self.ledger.close()

    def tried(self, device):
        rows = self.loops._pairs.get((device, SERVER))
        return 0 if rows is None else len(rows.tries)

def attempt(device, port):
    with socket.socket() as client:
        client.bind((device, 0))
        try:
            client.connect((SERVER, port))
        except ConnectionRefusedError:
            return
    raise AssertionError("somebody is there")

watch = BlockWatch(Marks(0xFF000000))
path = Path(sys.argv[1])
life, restarted = Life(path), False
began = time.monotonic()
line = [(began, RAT, 0.5), (began + 0.01, PATIENT, 0.3)]
count = {RAT: 0, PATIENT: 0}
while not life.found or count[PATIENT] < attempts.ENOUGH + 1:
    assert time.monotonic() - began < 40, (count, life.found)
    due, device, gap = heapq.heappop(line)
    time.sleep(max(0, due - time.monotonic()))
    attempt(device, PORTS[count[device] % 3] if device == RAT else 443)
    count[device] += 1
    # the one sleeps the same again, from when it failed; the other longer each time
    heapq.heappush(line, (time.monotonic() + gap, device, gap if device == RAT else gap * 1.3))
    life.hear()
    if count[RAT] == 3 and not restarted:
        restarted = True
        assert life.tried(RAT) == 3 and not life.found
        life.end()
        life = Life(path)
        assert life.tried(RAT) == 3, "what failed before is known"
        assert life.tried(PATIENT) == count[PATIENT]
(finding,) = life.found
assert (finding.rule, finding.device, finding.server) == ("loop.five-seconds", RAT, SERVER)
assert len(finding.facts["beats"]) == attempts.ENOUGH
assert set(finding.facts["ports"]) == set(PORTS)
assert sum(one.points for one in finding.evidence) >= 60
life.end()
print("found, the patient one not", count)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace: run as root")
def test_a_loop_is_found_over_a_restart_and_who_backs_off_is_left_alone(tmp_path: Path) -> None:
    argv = ["unshare", "--net", sys.executable, "-c", SCRIPT, str(tmp_path / "ledger.sqlite3")]
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        argv, check=False, capture_output=True, text=True, timeout=90, env={**os.environ, **paths}
    )
    assert done.stdout.startswith("found, the patient one not"), done.stderr
