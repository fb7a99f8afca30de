"""What the doctor looks at, each check a function that returns findings in plain words.

Only looks: nothing here changes anything, and a check that cannot look says so as a finding.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ratwall.controller.capacity import connections_now, translates_addresses
from ratwall.errors import RatwallError
from ratwall.kernel.command import run
from ratwall.kernel.crowding import CROWDED, ESTABLISHED_SECONDS
from ratwall.kernel.install import (
    kernel_has_ct_timeout,
    kernel_has_log,
    kernel_has_nft_queue,
)
from ratwall.kernel.undo import SYSCTL, has_table, leftovers
from ratwall.ledger import queries
from ratwall.ledger.store import FILE_NAME, LedgerError, open_ledger

# A constant that a rule tests or sets; one behind `&` is a mask and says nothing by itself.
MARK_CONSTANT = re.compile(r"(?:==|!=|\||\bor|\bxor|\^)\s*(0x[0-9a-f]+)")
MARK_OVERWRITTEN = re.compile(r"mark set (0x[0-9a-f]+|\d+)(?![^\n]*mark &)")


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact: a problem wants a hand, a note wants only to be known."""

    topic: str
    problem: bool
    text: str


def fast_path() -> Finding:
    """Say whether the compiled part is there; without it all is inspected, more slowly."""
    if find_spec("ratwall.queue.fastpath") is not None:
        return Finding("fast path", False, "the fast path is compiled: inspectors use it")
    return Finding(
        "fast path",
        False,
        "the fast path is not compiled: everything is inspected, at three times the work; "
        "compile it with: python setup.py build_ext --inplace",
    )


def left_behind(journal: Path, *, running: bool) -> Iterator[Finding]:
    """Say what a killed run has left in the kernel."""
    if running:
        yield Finding("leftovers", False, "Ratwall runs: the rules in the kernel are its own")
        return
    try:
        steps = leftovers(journal)
    except RatwallError as error:
        yield Finding("leftovers", True, str(error))
        return
    if steps:
        yield Finding(
            "leftovers",
            True,
            f"left behind by a killed run: {', '.join(steps)}; "
            "put back with: ratwall doctor --clean",
        )
    elif has_table("inet", "ratwall") or has_table("bridge", "ratwall"):
        yield Finding(
            "leftovers",
            True,
            "left behind without a journal: the table ratwall; remove with: ratwall doctor --clean",
        )
    else:
        yield Finding("leftovers", False, "nothing left behind")


def kernel_features() -> Iterator[Finding]:
    """Say what this kernel can do of what Ratwall uses, and what is done instead."""
    features = (
        (kernel_has_nft_queue(), "nft_queue", "iptables queues instead (xtables NFQUEUE)"),
        (kernel_has_ct_timeout(), "ct timeout", "idle connections are kept for the kernel's time"),
        (kernel_has_log(), "nft log", "observed connections are not copied"),
    )
    for there, name, instead in features:
        text = f"{name}: yes" if there else f"{name}: no; {instead}"
        yield Finding("kernel", False, text)


def bridge_netfilter(*, bridge_mode: bool) -> Iterator[Finding]:
    """Say whether the kernel shows bridged frames to the rules."""
    folder = SYSCTL / "net/bridge"
    if not folder.exists():
        remedy = "; load it with: modprobe br_netfilter" if bridge_mode else ""
        yield Finding("br_netfilter", bridge_mode, f"br_netfilter: no{remedy}")
        return
    everywhere = (folder / "bridge-nf-call-iptables").read_text().strip() == "1"
    text = "br_netfilter: yes"
    if everywhere:
        text += ", and switched on for every bridge of this machine, not only for Ratwall's"
    yield Finding("br_netfilter", False, text)


def conntrack(established: Path = SYSCTL / "net/netfilter") -> Iterator[Finding]:
    """Say how full the table is and how long it keeps an idle connection."""
    count, limit = connections_now()
    yield Finding(
        "conntrack",
        count >= limit * CROWDED,
        f"conntrack holds {count} of {limit} connections ({count / limit:.0%})",
    )
    seconds = int((established / "nf_conntrack_tcp_timeout_established").read_text())
    yield Finding(
        "time-outs",
        False,
        f"an idle connection is kept for {seconds} s, one through Ratwall for "
        f"{ESTABLISHED_SECONDS} s at most",
    )
    if translates_addresses():
        yield Finding(
            "conntrack",
            False,
            "addresses are translated here: in router mode no connection goes around a full table",
        )


def devices(state_dir: Path) -> Iterator[Finding]:
    """Say whether more than one device has been seen."""
    path = state_dir / FILE_NAME
    if not path.exists():
        return
    try:
        ledger = open_ledger(path, read_only=True)
        try:
            seen = len(queries.devices(ledger))
        finally:
            ledger.close()
    except LedgerError as error:
        yield Finding("ledger", True, str(error))
        return
    if seen == 1:
        yield Finding(
            "devices",
            False,
            "only one device was ever seen: if there are more, the box sits behind a router that "
            "translates addresses; put it on that router's office side",
        )
    else:
        yield Finding("devices", False, f"{seen} devices seen")


def foreign_marks(mask: int) -> Iterator[Finding]:
    """Name rules of others that use our bits of the packet mark or the ct mark."""
    found = list(rules_with_our_bits(run("nft", "list", "ruleset"), mask))
    for where, rule in found:
        yield Finding(
            "marks",
            True,
            f"{where}: {rule}: touches Ratwall's bits ({mask:#010x}); choose others there, or "
            "other ones for Ratwall with [kernel] mark_mask",
        )
    if not found:
        yield Finding("marks", False, f"nobody else uses the mark bits {mask:#010x}")


def rules_with_our_bits(ruleset: str, mask: int) -> Iterator[tuple[str, str]]:
    """Yield (table, rule) of each rule outside Ratwall's tables that sets or tests our bits."""
    table = ""
    for line in ruleset.splitlines():
        if line.startswith("table "):
            table = line.removesuffix("{").strip()
        if "mark" not in line or table.endswith(" ratwall"):
            continue
        constants = [int(word, 16) for word in MARK_CONSTANT.findall(line)]
        if any(value & mask for value in constants) or MARK_OVERWRITTEN.search(line):
            yield table, line.strip()
