"""What the rules want inspected: segments with payload, all of them, and hardly anything else.

With the real rules in a kernel, as a router; a witness behind the gate counts. Nothing is queued
here: this is about the match alone.
"""

import os
import subprocess
import sys

import pytest

SCRIPT = r"""
import socket
from scapy.layers.inet import IP, TCP, IPOption_NOP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, PadN, fragment6
from scapy.layers.l2 import Ether
from ratwall.kernel.command import ip_json, nft, run
from ratwall.kernel.ruleset import RulesetConfig, ruleset
from ratwall.kernel.tables import counters

for port, address in (("lan", 1), ("wan", 2)):
    run("ip", "link", "add", port, "type", "veth", "peer", port + "p")
    run("ip", "link", "set", port, "up")
    run("ip", "link", "set", port + "p", "up")
    run("ip", "address", "add", f"192.0.2.{address}/32", "dev", port)
    run("ip", "address", "add", f"2001:db8:{address}::1/64", "dev", port, "nodad")
run("ip", "route", "add", "default", "dev", "wan")
run("ip", "-6", "route", "add", "default", "dev", "wan")
run("ip", "route", "add", "192.168.7.0/24", "dev", "lan")
for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
    open("/proc/sys/net/" + name, "w").write("1")
nft(ruleset(RulesetConfig("lan", "wan", nft_queue=False, ct_timeout=False)))
nft('''table inet witness {
 counter spoken { }
 counter spoken_wanted { }
 counter silent { }
 counter silent_wanted { }
 chain c {
  type filter hook forward priority -152;
  tcp dport 1000 counter name spoken
  tcp dport 1000 meta mark & 0x40000000 != 0 counter name spoken_wanted
  tcp dport 2000 counter name silent
  tcp dport 2000 meta mark & 0x40000000 != 0 counter name silent_wanted
 }
}''')
(link,) = ip_json("link", "show", "lan")
mac = link["address"]
mouth = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
mouth.bind(("lanp", 0))
sources = iter(range(5000, 6000))
FOUR = dict(src="192.168.7.2", dst="203.0.113.7")
SIX = dict(src="2001:db8:1::2", dst="2001:db8:99::7")
OPTIONS = [("NOP", None)] * 40  # as many as there can be

def tcp(port, flags, **more):
    return TCP(sport=next(sources), dport=port, seq=1000, ack=1, flags=flags, **more)

def send(packets, padding=b""):
    for packet in packets if isinstance(packets, list) else [packets]:
        kind = 0x86DD if packet.version == 6 else 0x0800
        frame = Ether(dst=mac, src="02:00:00:00:00:01", type=kind)
        mouth.send(bytes(frame) + bytes(packet) + padding)

def headers():
    yield IP(**FOUR)
    yield IP(**FOUR, options=[IPOption_NOP()] * 4)
    yield IPv6(**SIX)
    yield IPv6(**SIX) / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"0000")])

spoken = silent = 0
for head in headers():
    for flags, options in (("A", []), ("PA", OPTIONS), ("S", []), ("FA", []), ("A", OPTIONS)):
        for data in (b"x", bytes(1000)):
            send(head / tcp(1000, flags, options=options) / data)
            spoken += 1
        send(head / tcp(2000, flags, options=options))
        silent += 1
    send(head / tcp(2000, "R"))
    send(head / tcp(2000, "A"), padding=bytes(18))  # of an Ethernet frame, behind the datagram
    silent += 2
    bad = head / tcp(1000, "PA", chksum=0x1234) / b"wrong"
    send(bad)
    send(head / tcp(1000, "PA", dataofs=1) / b"a header too short to be one")
    spoken += 2
send(fragment(IP(**FOUR, id=77) / tcp(1000, "PA") / bytes(1000), 400))
send(fragment6(IPv6(**SIX) / IPv6ExtHdrFragment(id=7) / tcp(1000, "PA") / bytes(1000), 400))
spoken += 2
assert counters("witness") == {
    "spoken": spoken, "spoken_wanted": spoken, "silent": silent, "silent_wanted": 0
}, (spoken, silent, counters("witness"))
print("exactly those")
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace: run as root")
def test_segments_with_payload_are_wanted_and_no_others() -> None:
    """Whatever the headers: options, extension headers, fragments, padding, data in the SYN."""
    argv = ["unshare", "--net", sys.executable, "-c", SCRIPT]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.stdout == "exactly those\n", done.stderr
