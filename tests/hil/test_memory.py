"""How much memory a box needs: it does its work with 512 MB, and says what each process had."""

import re

import pytest

from hil.conftest import PASSWORD, Box, PowerOn
from hil.figures import Figures, peaks
from hil.stages import PEAKS
from hil.traffic import attack, read_page
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.endpoint import End

pytestmark = pytest.mark.full

SPARE_KB = 64_000  # what must be left for a busy hour: a full ledger line takes 20 MB
# Of each process of ours its share of memory (PSS: pages used by three count a third for each), its
# own and shared pages (RSS), and its command line; in kB.
PROCESSES = """for folder in /proc/[0-9]*; do
  line=$(tr '\\0' ' ' < $folder/cmdline 2> /dev/null)
  case $line in *"-m ratwall"*) ;; *) continue ;; esac
  rollup=$(cat $folder/smaps_rollup 2> /dev/null) || continue
  pss=$(echo "$rollup" | awk '$1 == "Pss:" { print $2 }')
  echo "$pss $(echo "$rollup" | awk '$1 == "Rss:" { print $2 }') $line"
done"""


def work(box: Box, rat: Identity, notary: Notary) -> None:
    """What makes a box use its memory: attacks, pages, a password's hash, its own page."""
    for index in range(3):
        attempt, _ = attack(box, rat, index)
        assert attempt.end is End.RESET
    assert read_page(box, notary, size=5_000_000) == 5_000_000
    visitor = box.visitor()
    with box.lab.anna.enter():
        assert visitor.set_up(PASSWORD).status == 303
        assert visitor.get("/").status == 200
    box.machine.succeed("ratwall selftest")


def tell(box: Box, figures: Figures, megabytes: int) -> int:
    """Note what memory was used; the kilobytes that are left."""
    left = int(re.findall(r"MemAvailable: +(\d+)", box.machine.succeed("cat /proc/meminfo"))[0])
    figures.note(f"with {megabytes} MB, after some work: {left / 1000:.0f} MB available")
    for line in peaks(box.machine.succeed(PEAKS)):
        figures.note(line)
    shares = [line.split(maxsplit=2) for line in box.machine.succeed(PROCESSES).splitlines()]
    assert len(shares) >= 5, "inspectors, rules, controller and page have a process each"
    for pss, rss, line in shares:
        name = line.split("-m ")[1].split()[0]
        figures.note(f"{int(pss) / 1000:7.1f} MB PSS, {int(rss) / 1000:.1f} MB RSS: {name}")
    sums = [sum(int(share[part]) for share in shares) / 1000 for part in (0, 1)]
    figures.note(f"{sums[0]:7.1f} MB PSS, {sums[1]:.1f} MB RSS: all of Ratwall's processes")
    return left


def test_a_gigabyte_is_plenty(box: Box, rat: Identity, notary: Notary, figures: Figures) -> None:
    work(box, rat, notary)
    assert tell(box, figures, 1024) > 4 * SPARE_KB


def test_half_a_gigabyte_suffices(
    power_on: PowerOn, rat: Identity, notary: Notary, figures: Figures
) -> None:
    box = power_on(memory_mb=512)
    box.wait_protecting()
    work(box, rat, notary)
    assert tell(box, figures, 512) > SPARE_KB
    assert box.machine.succeed("systemctl --failed --plain --no-legend").strip() == ""
    killed = box.machine.execute("journalctl -b -k --no-pager | grep -i 'out of memory'")
    assert killed.status == 1, killed.output
