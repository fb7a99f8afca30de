"""Entries of the real conntrack table, made and deleted by ctnetlink: no packet is sent."""

import socket
import struct

from ratwall.kernel import netlink
from ratwall.kernel.channel import Channel
from ratwall.kernel.conntrack import (
    CTA_IP,
    CTA_PROTO_DST_PORT,
    CTA_PROTO_NUM,
    CTA_PROTO_SRC_PORT,
    CTA_TUPLE_IP,
    CTA_TUPLE_ORIG,
    CTA_TUPLE_PROTO,
    MESSAGE_DELETE,
    MESSAGE_NEW,
    NLM_F_CREATE,
    PORT,
    SUBSYSTEM_CTNETLINK,
)
from ratwall.kernel.reclass import NLA_F_NESTED, Ends

CTA_TUPLE_REPLY, CTA_STATUS, CTA_PROTOINFO, CTA_TIMEOUT = 2, 3, 4, 7
CTA_PROTOINFO_TCP, CTA_PROTOINFO_TCP_STATE = 1, 1
CONFIRMED_SEEN_REPLY_ASSURED = 0x0E
ESTABLISHED = 3
SECONDS = 600


class Entries:
    """A socket to make them by; of the namespace that it is made in."""

    def __init__(self) -> None:
        self._channel = Channel()

    def make(self, ends: Ends) -> None:
        """Have an established connection."""
        reply = (*ends[2:], *ends[:2])
        established = _attribute(CTA_PROTOINFO_TCP_STATE, bytes((ESTABLISHED,)))
        state = _nest(CTA_PROTOINFO, _nest(CTA_PROTOINFO_TCP, established))
        self._ask(
            MESSAGE_NEW,
            NLM_F_CREATE,
            _tuple(CTA_TUPLE_ORIG, ends),
            _tuple(CTA_TUPLE_REPLY, reply),
            state,
            _attribute(CTA_STATUS, struct.pack("!I", CONFIRMED_SEEN_REPLY_ASSURED)),
            _attribute(CTA_TIMEOUT, struct.pack("!I", SECONDS)),
        )

    def delete(self, ends: Ends) -> None:
        """Have it end."""
        self._ask(MESSAGE_DELETE, 0, _tuple(CTA_TUPLE_ORIG, ends))

    def _ask(self, command: int, flags: int, *attributes: bytes) -> None:
        flags |= netlink.NLM_F_ACK
        self._channel.tell(
            netlink.netfilter_request(
                SUBSYSTEM_CTNETLINK, command, flags, socket.AF_INET, 0, *attributes
            )
        )


_attribute = netlink.attribute


def _nest(kind: int, inner: bytes) -> bytes:
    return netlink.attribute(kind | NLA_F_NESTED, inner)


def _tuple(kind: int, ends: Ends) -> bytes:
    first, second, _ = CTA_IP[0]
    addresses = _attribute(first, socket.inet_aton(ends[0])) + _attribute(
        second, socket.inet_aton(ends[2])
    )
    ports = (
        _attribute(CTA_PROTO_NUM, bytes((socket.IPPROTO_TCP,)))
        + _attribute(CTA_PROTO_SRC_PORT, PORT.pack(ends[1]))
        + _attribute(CTA_PROTO_DST_PORT, PORT.pack(ends[3]))
    )
    return _nest(kind, _nest(CTA_TUPLE_IP, addresses) + _nest(CTA_TUPLE_PROTO, ports))
