"""Copies of packets out of netlink datagrams, as the kernel writes them."""

from hypothesis import given
from hypothesis import strategies as st

from ratwall.kernel import netlink
from ratwall.kernel.nflog import (
    MESSAGE_CONFIG,
    MESSAGE_PACKET,
    PAYLOAD,
    SEC_USEC,
    SUBSYSTEM_LOG,
    TIMESTAMP,
    Copy,
    decode,
)


def message(command: int, *attributes: bytes) -> bytes:
    return netlink.netfilter_request(SUBSYSTEM_LOG, command, 0, 2, 7, *attributes)


def test_copies_carry_the_time_at_which_they_passed() -> None:
    stamp = netlink.attribute(TIMESTAMP, SEC_USEC.pack(1_750_000_000, 250_000))
    timed = message(MESSAGE_PACKET, stamp, netlink.attribute(PAYLOAD, b"E\0datagram"))
    untimed = message(MESSAGE_PACKET, netlink.attribute(PAYLOAD, b"another"))
    assert list(decode(timed + untimed)) == [
        Copy(1_750_000_000_250_000, b"E\0datagram"),
        Copy(0, b"another"),
    ]


def test_what_is_no_copy_is_left_out() -> None:
    payload = netlink.attribute(PAYLOAD, b"x")
    assert list(decode(message(MESSAGE_CONFIG, payload) + message(MESSAGE_PACKET))) == []
    odd = message(MESSAGE_PACKET, netlink.attribute(TIMESTAMP, b"short"), payload)
    assert list(decode(odd)) == [Copy(0, b"x")]


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    list(decode(data))
