"""The rules for what passes by design, and for tagged frames, as nftables takes them."""

import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from ratwall.kernel.ruleset import RulesetConfig, reload_text, ruleset

ROUTER = RulesetConfig("eth1", "eth0", nft_queue=False)
BRIDGE = replace(ROUTER, bridge="br0")


def chain(config: RulesetConfig, name: str) -> list[str]:
    """Return the rules of a chain."""
    body = ruleset(config).partition(f"  chain {name} {{\n")[2].partition("  }\n")[0]
    return [line.strip() for line in body.splitlines()]


def test_a_tagged_packet_is_dropped_where_others_are_rejected() -> None:
    """`reject` would answer without the tag; a router has no tagged frames of its own."""
    drop, reject = "meta mark & 0x10000000 != 0 drop", "meta l4proto tcp reject with tcp reset"
    rules = chain(BRIDGE, "refuse")
    assert rules.index(drop) < rules.index(reject)
    assert drop not in chain(ROUTER, "refuse")


def test_the_bit_of_a_tagged_frame_ends_with_the_gate() -> None:
    """Behind the queue the same bit means that a cut connection's endpoint is not blocked."""
    queued = [rule for rule in chain(BRIDGE, "gate") if "| 0x4" in rule]
    assert queued[-1] == "@ih,0,8 >= 0 meta mark set meta mark & 0xefffffff | 0x40000000"
    assert all("meta mark set meta mark & 0xefffffff | 0x4" in rule for rule in queued)


def test_quic_passes_counted_or_is_refused() -> None:
    assert chain(ROUTER, "quic") == ["ct original packets 1 counter name passed_quic", "accept"]
    refusing = chain(replace(BRIDGE, refuse_quic=True), "quic")
    assert refusing[-2:] == [
        "meta mark & 0x10000000 != 0 drop",
        "reject with icmpx type port-unreachable",
    ]


def test_office_traffic_is_counted_where_the_ports_are_seen() -> None:
    rule = 'iifname "eth1" oifname != "eth0" counter name passed_local'
    assert (rule in chain(ROUTER, "gate"), rule in chain(BRIDGE, "gate")) == (True, False)
    assert rule in chain(BRIDGE, "side")


@pytest.mark.root
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nft to check rules"
)
@pytest.mark.parametrize("config", [ROUTER, BRIDGE], ids=["router", "bridge"])
def test_nft_accepts_the_rules_that_refuse_quic(config: RulesetConfig) -> None:
    done = subprocess.run(
        ["unshare", "--net", "nft", "--check", "--file", "-"],
        input=ruleset(replace(config, refuse_quic=True)),
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_quic_is_refused_or_let_pass_at_a_reload() -> None:
    text = reload_text(replace(ROUTER, refuse_quic=True))
    assert "flush chain inet ratwall quic\n" in text
    assert "counter name refused_quic" in text
    assert "counter name passed_quic" in reload_text(ROUTER)
