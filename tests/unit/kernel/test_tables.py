"""Counters, chains and elements by netlink: the same that the nft command says."""

import os
import subprocess
import sys

import pytest

from ratwall.kernel.netlink import attribute, nested

SCRIPT = r"""
import json, sys
from ratwall.kernel.command import nft, nft_json
from ratwall.kernel.listed import changes, server_of
from ratwall.kernel.ruleset import RulesetConfig, ruleset
from ratwall.kernel.tables import chains, counters, elements
nft(ruleset(RulesetConfig("lan", "wan", bridge="br0", nft_queue=False, ct_timeout=False)))
nft('table ip made_up {\n chain c {\n type nat hook postrouting priority 100;\n }\n}')
servers = {(bytes((198, 51, n // 256, n % 256)), n % 3): 2_000_000 for n in range(2000)}
six = bytes.fromhex("20010db8")
servers |= {(six + n.to_bytes(12, "big"), n % 3): 2_000_000 for n in range(500)}
for text in changes(servers, {}, 1_000_000):
    nft(text)
found = {}
for name in ("listed4", "listed6", "listed_any4", "listed_any6"):
    for key, left in elements("ratwall", name):
        found[server_of(key, name)] = left
assert found.keys() == servers.keys()
assert all(990_000_000 < left <= 1_000_000_000 for left in found.values()), max(found.values())
said = [entry["counter"] for entry in nft_json("list", "counters")]
expected = {}
for one in said:
    if one["table"] == "ratwall":
        expected[one["name"]] = expected.get(one["name"], 0) + one["packets"]
assert counters("ratwall") == expected and len(expected) > 10
said = [entry["chain"] for entry in nft_json("list", "chains")]
assert sorted((c.table, c.name, c.kind) for c in chains()) == sorted(
    (c["table"], c["name"], c.get("type", "")) for c in said
)
assert any(c.kind == "nat" for c in chains())
assert counters("nobody") == {} and list(elements("ratwall", "told4")) == []
print("the same")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace: run as root")
def test_the_kernel_says_the_same_by_netlink_as_by_its_command() -> None:
    argv = ["unshare", "--net", sys.executable, "-c", SCRIPT]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.stdout == "the same\n", done.stderr


def test_a_list_of_attributes_ends_where_it_is_malformed() -> None:
    data = attribute(1, b"one") + attribute(1, b"two")
    assert [bytes(each) for each in nested(memoryview(data))] == [b"one", b"two"]
    for end in range(len(data) - 1):  # the last byte is padding
        assert len(list(nested(memoryview(data[:end])))) <= 1
