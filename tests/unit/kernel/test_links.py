"""What is read of the links: the bridge of the ports, and the addresses that it spares."""

import os
import subprocess
import sys

import pytest

from ratwall.errors import UsageError
from ratwall.kernel.links import find_bridge, hidden_routers

SCRIPT = r"""
from ipaddress import ip_address
from ratwall.kernel.command import nft, nft_json, run
from ratwall.kernel.links import hidden_routers
from ratwall.kernel.ruleset import RulesetConfig, ruleset

def spares(address):
    return any(ip_address(address) in each for each in hidden_routers("br0"))

run("ip", "link", "add", "br0", "type", "bridge")
run("ip", "link", "set", "br0", "up")
routers = ["192.168.1.1", "10.0.0.138", "172.31.0.1", "100.64.0.1", "fe80::1", "fd00::1"]
assert all(map(spares, routers))
assert not any(map(spares, ["203.0.113.7", "192.0.2.1", "2001:db8::7"]))
nft(ruleset(RulesetConfig("lan", "wan", bridge="br0", nft_queue=False, ct_timeout=False,
                          never_block=hidden_routers("br0"))))
assert "192.168.0.0" in str(nft_json("list", "set", "inet", "ratwall", "never_block4"))
run("ip", "address", "add", "192.168.1.9/24", "dev", "br0")
assert [spares(each) for each in routers] == [False] * 4 + [True] * 2
run("ip", "address", "add", "2001:db8::9/64", "dev", "br0", "nodad")
assert not any(map(spares, routers)), "the routing table tells"
print("spared")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace: run as root")
def test_a_bridge_without_an_address_spares_all_that_is_none_of_the_internets() -> None:
    argv = ["unshare", "--net", sys.executable, "-c", SCRIPT]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.stdout == "spared\n", done.stderr


def test_a_router_knows_where_it_sends_to() -> None:
    assert hidden_routers(None) == []


def test_a_port_that_is_not_there_is_named_with_those_that_are() -> None:
    """A slow driver: the unit that starts too early says so in one line, and is started again."""
    with pytest.raises(
        UsageError, match=r"--wan: no interface 'none-wan' here; there are: .*\blo\b"
    ):
        find_bridge("lo", "none-wan")
