"""Changing the class of one flow in the conntrack table, by ctnetlink.

It changes nothing but the class bits of the mark, and those only of a flow that is still in a class
that the caller names: what the inspector has decided meanwhile stays.

Design note: a kernel set of observed flows would need an element for each flow and a look-up for
each packet; the class stands on the conntrack entry that a packet has found already, and goes with
it.
"""

import errno
import socket
from collections.abc import Collection
from ipaddress import ip_address

from ratwall.kernel import netlink
from ratwall.kernel.channel import Channel
from ratwall.kernel.conntrack import (
    CTA_IP,
    CTA_MARK,
    CTA_PROTO_DST_PORT,
    CTA_PROTO_NUM,
    CTA_PROTO_SRC_PORT,
    CTA_TUPLE_IP,
    CTA_TUPLE_ORIG,
    CTA_TUPLE_PROTO,
    MARK,
    MESSAGE_GET,
    MESSAGE_NEW,
    PORT,
    SUBSYSTEM_CTNETLINK,
    decode,
)
from ratwall.kernel.marks import FlowClass, Marks

CTA_MARK_MASK = 21
NLA_F_NESTED = 0x8000
GONE = (errno.ENOENT, errno.ESRCH)

Ends = tuple[str, int, str, int]  # an address, its port, the other's; in whichever order


class Reclassifier:
    """A socket to change flows by."""

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self._channel = Channel()

    def change(self, ends: Ends, before: Collection[FlowClass], after: FlowClass) -> bool:
        """Move a flow from one of the classes `before`; False if it is gone or in another.

        OSError if the kernel refuses.
        """
        family, flow = _flow(ends)
        answer = self._ask(MESSAGE_GET, family, flow)
        if answer is None:
            return False
        held = next((event.flow_class for event in decode(answer, self._marks)), None)
        if held not in before:
            return False
        values = ((CTA_MARK, self._marks.of(after)), (CTA_MARK_MASK, self._marks.class_mask))
        mark = [netlink.attribute(kind, MARK.pack(value)) for kind, value in values]
        return self._ask(MESSAGE_NEW, family, flow, *mark) is not None

    def close(self) -> None:
        """Give the socket back."""
        self._channel.close()

    def _ask(self, command: int, family: int, *attributes: bytes) -> bytes | None:
        """Return the kernel's answer, None if there is no such flow."""
        request = netlink.netfilter_request(
            SUBSYSTEM_CTNETLINK, command, netlink.NLM_F_ACK, family, 0, *attributes
        )
        try:
            return b"".join(self._channel.answers(request))
        except OSError as error:
            if error.errno in GONE:
                return None
            raise


def _flow(ends: Ends) -> tuple[int, bytes]:
    """Return (address family, the attribute that names a TCP flow by one of its directions)."""
    source, destination = ip_address(ends[0]), ip_address(ends[2])
    first, second, _ = CTA_IP[source.version == 6]
    addresses = ((first, source.packed), (second, destination.packed))
    ports = (
        (CTA_PROTO_NUM, bytes((socket.IPPROTO_TCP,))),
        (CTA_PROTO_SRC_PORT, PORT.pack(ends[1])),
        (CTA_PROTO_DST_PORT, PORT.pack(ends[3])),
    )
    parts = ((CTA_TUPLE_IP, addresses), (CTA_TUPLE_PROTO, ports))
    inner = (
        netlink.attribute(kind | NLA_F_NESTED, b"".join(netlink.attribute(*one) for one in values))
        for kind, values in parts
    )
    family = socket.AF_INET6 if source.version == 6 else socket.AF_INET
    return family, netlink.attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, b"".join(inner))
