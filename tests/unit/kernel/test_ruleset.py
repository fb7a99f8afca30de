"""The rules as text: what nftables must make of them, checked by nft itself where it can run."""

import os
import shutil
import subprocess
from ipaddress import ip_network

import pytest

from ratwall.kernel.marks import Marks
from ratwall.kernel.ruleset import RulesetConfig, reload_text, ruleset

CONFIG = RulesetConfig("eth1", "eth0", nft_queue=False)


def test_nothing_is_queued_by_nftables_where_the_kernel_cannot() -> None:
    assert "queue num" not in ruleset(CONFIG)
    with_queue = ruleset(RulesetConfig("eth1", "eth0", queue=7))
    assert "queue num 7 bypass" in with_queue


def test_several_workers_share_the_load() -> None:
    text = ruleset(RulesetConfig("eth1", "eth0", queue=7, workers=4))
    assert "queue num 7-10 bypass" in text


def test_the_queue_never_lacks_bypass() -> None:
    lines = ruleset(RulesetConfig("eth1", "eth0")).splitlines()
    queued = [line for line in lines if "queue num" in line]
    assert queued
    assert all(line.rstrip().endswith("bypass") for line in queued)


def test_allowed_stands_before_blocked() -> None:
    text = ruleset(CONFIG)
    assert text.index("@allowed_device4") < text.index("@blocked4 goto refuse")
    assert text.index("@allowed6 ") < text.index("@blocked6 goto refuse")


def test_never_block_goes_into_the_set_of_its_family() -> None:
    config = RulesetConfig(
        "eth1", "eth0", never_block=[ip_network("192.0.2.1"), ip_network("2001:db8::/64")]
    )
    text = ruleset(config)
    assert (
        "set never_block4 { type ipv4_addr; flags interval; auto-merge; elements = { 192." in text
    )
    assert "elements = { 2001:db8::/64 }" in text


def test_only_what_the_client_says_is_copied_and_every_copy_is_short() -> None:
    text = ruleset(RulesetConfig("eth1", "eth0", log_group=5, nft_queue=False))
    observe = text[text.index("chain observe") : text.index("chain copy")]
    assert "meta mark & 0x80000000 == 0 accept" in observe, "what the server says passes first"
    logged = [line for line in text.splitlines() if " log group 5 " in line]
    assert len(logged) == 2
    for line in logged:
        assert "log group 5 snaplen 96 accept" in line
        assert "limit rate" in line
    assert "ct mark & 0x0f000000 == 0x07000000 accept" in text, "an evicted flow is not copied"


@pytest.mark.root
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nft to check rules"
)
@pytest.mark.parametrize("bridge", [None, "br0"])
@pytest.mark.parametrize("mask", [0xFF000000, 0x0000FF00])
def test_nft_accepts_the_rules(bridge: str | None, mask: int) -> None:
    config = RulesetConfig(
        "eth1",
        "eth0",
        bridge=bridge,
        marks=Marks(mask),
        nft_queue=False,
        never_block=[ip_network("192.0.2.1"), ip_network("192.0.2.0/24")],
    )
    done = subprocess.run(
        ["unshare", "--net", "nft", "--check", "--file", "-"],
        input=ruleset(config),
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.root
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nft") is None, reason="needs root and nft to check rules"
)
def test_a_reload_changes_what_may_be_blocked_and_leaves_every_block() -> None:
    """In a network namespace of its own: rules, a block half over, the reload, what is there."""
    first = RulesetConfig("a", "b", nft_queue=False, never_block=[ip_network("192.0.2.1")])
    second = RulesetConfig(
        "a", "b", nft_queue=False, block_seconds=77, never_block=[ip_network("2001:db8::9")]
    )
    block = "add element inet ratwall blocked4 { 198.51.100.1 . 443 timeout 5000s expires 500s }\n"
    commands = [
        ruleset(first) + block,
        "list table inet ratwall\n",
        reload_text(second),
        "list table inet ratwall\n",
    ]
    program = "\n".join(f"nft -f - <<'.' && echo ====\n{text}." for text in commands)
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", program], text=True, capture_output=True, check=False
    )
    assert done.stderr == ""
    _, before, _, after, _ = done.stdout.split("====\n")
    assert "elements = { 198.51.100.1 . 443 timeout 1h23m20s expires 8m" in after
    assert after.count("timeout 1m17s") == 4
    assert ("elements = { 192.0.2.1 }" in before, "192.0.2.1" in after) == (True, False)
    assert "elements = { 2001:db8::9 }" in after
    kept = [line for line in before.splitlines() if "timeout 1h" not in line]
    assert {line for line in kept if "192.0.2.1" not in line} <= set(after.splitlines())


def test_what_could_slip_past_the_queue_is_shown_to_the_inspector() -> None:
    text = ruleset(CONFIG)
    gate = text[text.index("chain gate") : text.index("chain quic")]
    repeated = gate.index("ct mark & 0x1f000000 == 0x06000000")
    assert repeated < gate.index("ct mark & 0x0f000000 == 0x06000000 goto refuse")
    assert "ct state invalid meta mark set meta mark | 0x08000000" in gate
    observe = text[text.index("chain observe") : text.index("chain copy")]
    assert observe.index("@ih,0,16 0x1603") < observe.index("accept\n")


def test_a_cut_connection_never_passes_for_want_of_an_inspector() -> None:
    text = ruleset(CONFIG)
    missed = text[text.index("chain missed") :].splitlines()
    rule = "ct mark & 0x0f000000 == 0x06000000 counter name withheld drop"
    assert missed[1].strip() == rule
