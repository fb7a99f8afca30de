"""What an inspector carries with it: nothing that it does not need, since every core has one."""

import subprocess
import sys

RESIDENT_LIMIT = 30  # MB
NEVER = ("scapy", "peewee", "sqlite3", "flask", "cheroot", "ssl", "asyncio", "ratwall.ledger")

PROGRAM = """
import sys
import ratwall.inspector.process
from ratwall.inspector.inspector import Inspector
from ratwall.kernel.marks import Marks
from ratwall.signatures.pack import load_packs
from ratwall.verdict.judge import Thresholds
from ratwall.verdict.memory import VerdictMemory

inspector = Inspector(
    load_packs(), Thresholds(), Marks(),
    enforce=True, memory=VerdictMemory(), report=print, clock=int,
)
(line,) = [line for line in open("/proc/self/status") if line.startswith("VmRSS")]
print(int(line.split()[1]) // 1024)
print(*sorted(sys.modules))
"""


def test_the_inspector_is_light_and_never_imports_what_is_for_others() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    megabytes, modules = done.stdout.splitlines()
    assert int(megabytes) <= RESIDENT_LIMIT
    loaded = set(modules.split())
    assert "ratwall.wire.tls.conversation" in loaded, "the list is that of a whole inspector"
    assert loaded.isdisjoint(NEVER)
