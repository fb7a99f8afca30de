"""A packet that somebody outside made up must not have an innocent server blocked.

A RAT's certificate flight, its sender forged, arrives for a connection that nobody in the office
began. Nothing may come of it: no block, no accusation, no memory.
"""

import socket

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from inline.conftest import Box
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import fetch
from ratwall_lab.contexts import client_context, server_context
from ratwall_lab.flight import record
from ratwall_lab.servers import Server, web_handler
from ratwall_lab.topology import Lab

PORT = 443
COPIES = 5


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("with_syn", [False, True], ids=["out of the blue", "after a SYN"])
def test_a_forged_flight_blocks_nobody(
    lab: Lab, box: Box, rat: Identity, notary: Notary, family: int, with_syn: bool
) -> None:
    innocent, victim = lab.internet.address(5, family), lab.anna.address(0, family)
    flight = record(rat, "1.0").flight()[:1400]
    layer = IPv6 if family == 6 else IP
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    with lab.internet.enter(), socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW) as mouth:
        for number in range(COPIES):
            ends = {"sport": PORT, "dport": 40000 + number}
            if with_syn:
                syn = layer(src=innocent, dst=victim) / TCP(**ends, seq=999, flags="S")
                mouth.sendto(bytes(syn), (victim, 0))
            forged = layer(src=innocent, dst=victim) / TCP(**ends, seq=1000, ack=1, flags="PA")
            mouth.sendto(bytes(forged / flight), (victim, 0))
    context = server_context(notary.web_site("shop.example"))
    with Server(lab.internet, innocent, PORT, context, web_handler(b"well")):
        assert fetch(lab.ben, innocent, PORT, client_context()).size == 4
    assert box.wait_flow(innocent, PORT)["verdict"] in ("clean", "watch")
    assert box.ask("incidents") == []
    assert box.ask("status")["blocks"] == 0
