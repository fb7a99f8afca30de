"""Copies of packets out of netlink datagrams, as the kernel writes them."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.kernel import netlink
from ratwall.kernel.nflog import (
    HARDWARE,
    HARDWARE_ADDRESS,
    MESSAGE_CONFIG,
    MESSAGE_PACKET,
    NUMBER,
    NUMBERED,
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
    numbered = netlink.attribute(NUMBERED, NUMBER.pack(7))
    untimed = message(MESSAGE_PACKET, numbered, netlink.attribute(PAYLOAD, b"another"))
    assert list(decode(timed + untimed)) == [
        Copy(1_750_000_000_250_000, b"E\0datagram"),
        Copy(0, b"another", 7),
    ]


def test_copies_tell_whose_card_sent_them() -> None:
    payload = netlink.attribute(PAYLOAD, b"x")
    sender = HARDWARE_ADDRESS.pack(6, bytes.fromhex("020000000007"))
    nobody, odd = HARDWARE_ADDRESS.pack(6, bytes(8)), b"short"
    for raw, mac in ((sender, "02:00:00:00:00:07"), (nobody, None), (odd, None)):
        (copy,) = decode(message(MESSAGE_PACKET, netlink.attribute(HARDWARE, raw), payload))
        assert copy.mac == mac
    (copy,) = decode(message(MESSAGE_PACKET, payload))
    assert copy.mac is None


def test_what_is_no_copy_is_left_out() -> None:
    payload = netlink.attribute(PAYLOAD, b"x")
    assert list(decode(message(MESSAGE_CONFIG, payload) + message(MESSAGE_PACKET))) == []
    odd = message(MESSAGE_PACKET, netlink.attribute(TIMESTAMP, b"short"), payload)
    assert list(decode(odd)) == [Copy(0, b"x")]


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    list(decode(data))


LOSING = r"""
import socket, time
from ratwall.kernel.command import nft, run
from ratwall.kernel.nflog import CopyReader
run("ip", "link", "set", "lo", "up")
nft('''table inet t {
 chain o {
  type filter hook output priority 0;
  udp dport 9 log group 5
 }
}''')
reader = CopyReader(5, gather=False, receive_buffer=8192)
mouth = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(500):
    mouth.sendto(bytes(500), ("127.0.0.1", 9))
got = 0
while copies := reader.read():
    got += len(copies)
mouth.sendto(bytes(500), ("127.0.0.1", 9))  # the next one tells how many are missing
deadline = time.monotonic() + 10
while not (copies := reader.read()):
    assert time.monotonic() < deadline
got += len(copies)
assert reader.lost > 0 and reader.overflows > 0, (reader.lost, reader.overflows)
assert got + reader.lost == 501, (got, reader.lost)
print("counted")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace: run as root")
def test_copies_that_nobody_read_in_time_are_counted_one_by_one() -> None:
    argv = ["unshare", "--net", sys.executable, "-c", LOSING]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.stdout == "counted\n", done.stderr
