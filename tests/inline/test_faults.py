"""Whatever happens to Ratwall, the office goes on; whatever is the machine's own is left alone."""

import itertools
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inline.conftest import Box, fingerprint, running_box, wait_for
from inline.traffic import RAT_HOST, held, meets, meets_far_from_the_server, transfer, wait_cut
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.topology import Lab, Mode


def test_a_killed_inspector_takes_nothing_down_and_is_soon_back(
    lab: Lab, box: Box, notary: Notary, rat: Identity
) -> None:
    before = box.worker("ratwall.inspector")
    with transfer(lab, notary, 6000):
        os.kill(before, signal.SIGKILL)
        killed = time.monotonic()
        assert meets(lab, rat, 6001) in (End.STOPPED, End.RESET), "passed, or already inspected"
        later = itertools.count(6002)
        wait_cut(lambda: meets(lab, rat, next(later)), killed)
    box.wait_line("the inspector was ended by SIGKILL")
    assert box.worker("ratwall.inspector") != before


def test_a_killed_controller_leaves_blocks_and_inspection(
    lab: Lab, box: Box, notary: Notary, rat: Identity
) -> None:
    assert meets(lab, rat, 6100) is End.RESET
    box.wait_blocked(lab.internet.address(RAT_HOST), 6100)
    with transfer(lab, notary, 6101):
        os.kill(box.worker("ratwall.controller"), signal.SIGKILL)
        assert meets(lab, rat, 6100) is End.REFUSED
        assert meets(lab, rat, 6102) is End.RESET
    wait_for(
        lambda: box.cli("status", check=False),
        PATIENCE_SECONDS,
        lambda: "the controller is not back:\n" + "\n".join(box.output),
    )
    box.wait_blocked(lab.internet.address(RAT_HOST), 6102)


def test_without_a_controller_the_next_syn_is_refused_all_the_same(
    lab: Lab, box: Box, rat: Identity
) -> None:
    """The packet that is cut has blocked its server; who writes it down comes later."""
    with held(box.process.pid):  # or it would start the controller again at once
        os.kill(box.worker("ratwall.controller"), signal.SIGKILL)
        assert meets(lab, rat, 6120) is End.RESET
        assert meets_far_from_the_server(lab, rat, 6120)
    box.wait_blocked(lab.internet.address(RAT_HOST), 6120)


def test_what_passes_while_nobody_inspects_is_counted_and_said(
    lab: Lab, box: Box, notary: Notary, rat: Identity
) -> None:
    before = box.ask("status")["uninspected"]["packets"]
    # Held, or there might be an inspector again before the hello.
    with transfer(lab, notary, 6200), held(box.process.pid):
        os.kill(box.worker("ratwall.inspector"), signal.SIGKILL)
        assert meets(lab, rat, 6201) is End.STOPPED
    after = wait_for(
        lambda: (
            status if (status := box.ask("status"))["uninspected"]["packets"] > before else None
        ),
        PATIENCE_SECONDS,
        lambda: f"not counted: {box.ask('status')}",
    )
    assert after["uninspected"]["last"] is not None


@pytest.fixture
def shared_machine(mode: Mode) -> Iterator[Lab]:
    """A lab whose box has rules, tables, marks and bridges of somebody else too."""
    setup = (
        [
            "nft",
            "add table inet other { chain forward { type filter hook forward priority 5; "
            "meta mark set meta mark | 0x00000010; } ; }",
        ],
        ["iptables", "-t", "mangle", "-A", "FORWARD", "-p", "udp", "-j", "MARK", "--or-mark", "2"],
        ["ip", "link", "add", "br-other", "type", "bridge"],
    )
    with Lab(mode) as lab:
        for argv in setup:
            lab.box.run(argv)
        yield lab


def test_coming_and_going_leaves_connections_alive_and_nothing_behind(
    shared_machine: Lab, notary: Notary, rat: Identity, tmp_path: Path
) -> None:
    lab = shared_machine
    before = fingerprint(lab)
    with transfer(lab, notary, 6300):
        with running_box(lab, tmp_path) as box:
            assert meets(lab, rat, 6301) is End.RESET
            assert box.stop() == 0
        assert fingerprint(lab) == before
        assert meets(lab, rat, 6302) is End.STOPPED, "without Ratwall it passes"


# Bits of somebody else, below the mask of ours. They hold those (0x12) that the machine's other
# rules add on the way, so that a packet has exactly them from end to end.
PACKET_BITS, CONNECTION_BITS = 0x00A5_0F12, 0x005A_F021
OURS, THEIRS = 0xFF00_0000, 0x00FF_FFFF
# It marks what comes in and what the machine itself sends, and counts behind all that is ours.
OTHER_FIREWALL = f"""
table inet foreign {{
  counter forwarded_all {{ }}
  counter forwarded_kept {{ }}
  counter forwarded_ours {{ }}
  counter forwarded_connection {{ }}
  counter leaving_all {{ }}
  counter leaving_kept {{ }}
  counter leaving_ours {{ }}
  counter leaving_connection {{ }}
  chain label {{
    meta mark set meta mark | {PACKET_BITS:#x}
    ct mark set ct mark | {CONNECTION_BITS:#x}
  }}
  chain arriving {{
    type filter hook prerouting priority mangle;
    meta l4proto tcp jump label
  }}
  chain own {{
    type filter hook output priority mangle;
    meta l4proto tcp jump label
  }}
"""
COUNTING = f"""
  chain NAME {{
    type filter hook HOOK;
    meta l4proto != tcp return
    counter name NAME_all
    meta mark & {THEIRS:#x} == {PACKET_BITS:#x} counter name NAME_kept
    meta mark & {OURS:#x} != 0 counter name NAME_ours
    ct mark & {THEIRS:#x} == {CONNECTION_BITS:#x} counter name NAME_connection
  }}
"""


def counted(lab: Lab) -> dict[str, int]:
    """What the other firewall has counted, once nothing is on its way any more."""
    seen: list[dict[str, int]] = []

    def settled() -> bool:
        seen.append(_counters(lab))
        return seen[-1] == seen[-2:][0] and len(seen) > 1

    wait_for(settled, PATIENCE_SECONDS, lambda: f"something goes on: {seen[-3:]}")
    return seen[-1]


def _counters(lab: Lab) -> dict[str, int]:
    listing = lab.box.run(["nft", "-j", "list", "counters", "table", "inet", "foreign"]).stdout
    entries = (entry.get("counter") for entry in json.loads(listing)["nftables"])
    return {entry["name"]: entry["packets"] for entry in entries if entry}


def test_marks_of_others_pass_through_and_ours_do_not_get_out(
    shared_machine: Lab, notary: Notary, rat: Identity, tmp_path: Path
) -> None:
    """Policy routing and other firewalls rely on their bits, packet for packet."""
    lab = shared_machine
    places = (("forwarded", "forward priority 10"), ("leaving", "postrouting priority mangle"))
    rules = OTHER_FIREWALL + "".join(
        COUNTING.replace("NAME", name).replace("HOOK", hook) for name, hook in places
    )
    lab.box.run(["nft", "-f", "-"], input=rules + "}")
    with running_box(lab, tmp_path):
        before = counted(lab)
        with transfer(lab, notary, 6500):
            assert meets(lab, rat, 6501) is End.RESET
            assert meets(lab, rat, 6501) is End.REFUSED
        seen = {name: number - before[name] for name, number in counted(lab).items()}
    for place, _ in places:
        everything = seen[f"{place}_all"]
        assert everything > 100, "the transfer alone is more, even in segments of 64 KB"
        assert seen[f"{place}_kept"] == everything, seen
        assert seen[f"{place}_connection"] == everything, seen
        assert seen[f"{place}_ours"] == 0, seen
