"""Netlink and conntrack: bytes of the kernel in, flows out; hostile bytes never crash."""

import socket
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.kernel import conntrack, netlink
from ratwall.kernel.conntrack import TOLD_LIMIT, FlowEvent, Told, decode
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
    assert flow.ends[2:] == flow.back[:2] == ("2001:db8::2", flow.destination_port)
    assert flow.back[2:] == flow.ends[:2]


def test_what_was_told_is_not_told_again_but_for_proofs_and_ends() -> None:
    """One connection, step by step, as ctnetlink tells of it; then its ports are used again."""
    told = Told()
    steps = [
        (FlowClass.NONE, 0),
        (FlowClass.NONE, 0),
        (FlowClass.WATCH, 0),
        (FlowClass.CLEAN, 0),
        (FlowClass.CLEAN, 0),
        (FlowClass.CLEAN, conntrack.MESSAGE_DELETE),
        (FlowClass.CLEAN, 0),
        (FlowClass.UNINSPECTED, 0),
        (FlowClass.UNINSPECTED, 0),
        (FlowClass.BLOCK, 0),
        (FlowClass.BLOCK, 0),
    ]
    heard = []
    for number, (flow_class, message) in enumerate(steps):
        data = event("192.0.2.1", "192.0.2.2", mark=MARKS.of(flow_class), message=message)
        heard += [number] * len(list(decode(data, MARKS, told)))
    assert heard == [0, 2, 3, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize(("more", "known"), [(-1, True), (0, False)])
def test_no_more_connections_are_remembered_than_the_limit(more: int, known: bool) -> None:
    told = Told()
    for number in range(TOLD_LIMIT + more + 1):
        assert told.is_news(number.to_bytes(4, "big"), FlowClass.CLEAN, False)
    assert told.is_news(bytes(4), FlowClass.CLEAN, False) is not known


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
