"""Netlink and conntrack: bytes of the kernel in, flows out; hostile bytes never crash."""

import socket
import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from ratwall.kernel import conntrack, netlink
from ratwall.kernel.conntrack import FlowEvent, decode
from ratwall.kernel.marks import FlowClass, Marks

MARKS = Marks()


def event(
    source: str, destination: str, *, mark: int, protocol: int = 6, message: int = 0
) -> bytes:
    """A ctnetlink event as the kernel writes it."""
    ends = [ip_address(source).packed, ip_address(destination).packed]
    kinds = (1, 2) if len(ends[0]) == 4 else (3, 4)
    addresses = b"".join(map(netlink.attribute, kinds, ends))
    ports = netlink.attribute(1, bytes([protocol]))
    ports += netlink.attribute(2, struct.pack("!H", 49152))
    ports += netlink.attribute(3, struct.pack("!H", 6606))
    original = netlink.attribute(1, addresses) + netlink.attribute(2, ports)
    return netlink.netfilter_request(
        conntrack.SUBSYSTEM_CTNETLINK,
        message,
        0,
        socket.AF_INET,
        0,
        netlink.attribute(conntrack.CTA_TUPLE_ORIG, original),
        netlink.attribute(conntrack.CTA_MARK, struct.pack("!I", mark)),
        netlink.attribute(
            conntrack.CTA_COUNTERS_ORIG, netlink.attribute(2, struct.pack("!Q", 517))
        ),
    )


def test_an_update_shows_the_block_on_the_very_flow() -> None:
    data = event("192.168.77.11", "203.0.113.7", mark=MARKS.of(FlowClass.BLOCK) | 0x1234)

    assert list(decode(data, MARKS)) == [
        FlowEvent(
            ended=False,
            source=ip_address("192.168.77.11"),
            source_port=49152,
            destination=ip_address("203.0.113.7"),
            destination_port=6606,
            flow_class=FlowClass.BLOCK,
            bytes_sent=517,
            bytes_received=0,
        )
    ]


def test_an_end_and_ipv6_are_read() -> None:
    data = event("2001:db8::1", "2001:db8::2", mark=0, message=conntrack.MESSAGE_DELETE)
    (flow,) = decode(data, MARKS)
    assert flow.ended
    assert str(flow.destination) == "2001:db8::2"


def test_udp_is_left_out() -> None:
    assert list(decode(event("192.0.2.1", "192.0.2.2", mark=0, protocol=17), MARKS)) == []


def test_two_messages_in_one_datagram_are_both_read() -> None:
    one = event("192.0.2.1", "192.0.2.2", mark=0)
    assert len(list(decode(one + one, MARKS))) == 2


@given(st.integers(0, 200), st.binary(max_size=60))
def test_a_mutilated_event_is_never_more_than_left_out(cut: int, junk: bytes) -> None:
    data = event("192.0.2.1", "192.0.2.2", mark=0)
    list(decode(data[:cut] + junk + data[cut + len(junk) :], MARKS))
    list(decode(junk, MARKS))
