"""From a captured frame to the IP datagram in it, for every link type that captures come with.

It reads headers only as far as it must, tolerates what it does not know (None, never an error) and
goes through a bounded number of layers: VLAN tags, MPLS labels, PPPoE.

Numbers of link types: https://www.tcpdump.org/linktypes.html. The captures of one machine and one
kind of wire look alike here to everything after.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Final

# Tags and labels on one frame: two of VLAN, a few of MPLS, PPPoE; more is an attack or an error.
LAYER_LIMIT: Final = 8


class LinkType(IntEnum):
    """Link types that hold IP in a way that is read here."""

    NULL = 0
    ETHERNET = 1
    PPP = 9
    RAW_BSD = 12
    RAW_OPENBSD = 14
    PPP_HDLC = 50
    PPPOE = 51
    RAW = 101
    C_HDLC = 104
    LOOP = 108
    LINUX_COOKED = 113
    IPV4 = 228
    IPV6 = 229
    LINUX_COOKED_2 = 276


class EtherType(IntEnum):
    """Ethernet types that lead to IP (IANA "IEEE 802 Numbers")."""

    IPV4 = 0x0800
    TRANSPARENT_ETHERNET = 0x6558
    VLAN = 0x8100
    IPV6 = 0x86DD
    PPP = 0x880B
    MPLS = 0x8847
    MPLS_MULTICAST = 0x8848
    PPPOE_SESSION = 0x8864
    SERVICE_VLAN = 0x88A8
    OLD_SERVICE_VLAN = 0x9100


_IP: Final = (EtherType.IPV4, EtherType.IPV6)
_VLANS: Final = (EtherType.VLAN, EtherType.SERVICE_VLAN, EtherType.OLD_SERVICE_VLAN)
_MPLS: Final = (EtherType.MPLS, EtherType.MPLS_MULTICAST)
_PPP_TO_ETHERTYPE: Final = {
    0x0021: EtherType.IPV4,
    0x0057: EtherType.IPV6,
    0x0281: EtherType.MPLS,
}
_LENGTH_NOT_TYPE: Final = 0x05FF  # up to here the field is IEEE 802.3's length
_SNAP: Final = b"\xaa\xaa\x03\0\0\0"
_PPP_FRAMING: Final = b"\xff\x03"
# Address families of BSD's null and loop headers, which differ between systems for IPv6.
_AF_INET: Final = 2
_AF_INET6: Final = (10, 24, 28, 30)


def unwrap(link_type: int, frame: bytes) -> bytes | None:
    """Return the IP datagram in a frame, padding included; None when it holds none."""
    reader = _READERS.get(link_type)
    return None if reader is None else reader(frame)


def supported(link_type: int) -> bool:
    """Whether frames of that link type can be read at all."""
    return link_type in _READERS


def _ip(data: bytes) -> bytes | None:
    """Accept what begins like IPv4 or IPv6."""
    return data if data and data[0] >> 4 in (4, 6) else None


def _uint16(data: bytes, offset: int) -> int:
    """Two bytes as a number, 0 (which means nothing here) where there are none."""
    return int.from_bytes(data[offset : offset + 2], "big") if len(data) >= offset + 2 else 0


def unwrap_ethernet(frame: bytes) -> bytes | None:
    """Ethernet II, IEEE 802.3 with SNAP; 12 bytes of addresses, then the type."""
    return unwrap_ethertype(_uint16(frame, 12), frame[14:])


def unwrap_ethertype(ethertype: int, data: bytes) -> bytes | None:
    """Follow Ethernet types through tags, labels and PPPoE to IP."""
    for _ in range(LAYER_LIMIT):
        if ethertype in _IP:
            return _ip(data)
        if ethertype in _VLANS:
            ethertype, data = _uint16(data, 2), data[4:]
        elif ethertype == EtherType.PPPOE_SESSION:
            ethertype, data = _open_ppp(data[6:])
        elif ethertype in _MPLS:
            return _pop_labels(data)
        elif 0 < ethertype <= _LENGTH_NOT_TYPE and data.startswith(_SNAP):
            ethertype, data = _uint16(data, len(_SNAP)), data[len(_SNAP) + 2 :]
        else:
            return None
    return None


def _pop_labels(data: bytes) -> bytes | None:
    """MPLS (RFC 3032): labels of four bytes up to the one with the bottom bit, then IP or Ethernet.

    Nothing names what follows. An Ethernet pseudowire may have a control word of zeros (RFC 4385).
    """
    for position in range(0, 4 * LAYER_LIMIT, 4):
        if len(data) < position + 4:
            return None
        if data[position + 2] & 1:
            inner = data[position + 4 :]
            if inner[:1] == b"\0" and inner[:4] == bytes(4):
                return unwrap_ethernet(inner[4:])
            return _ip(inner) or unwrap_ethernet(inner)
    return None


def _open_ppp(data: bytes) -> tuple[int, bytes]:
    """PPP (RFC 1661 §2): a protocol number, of one byte when compressed, before the data."""
    if data.startswith(_PPP_FRAMING):
        data = data[2:]
    if data and data[0] & 1:
        return _PPP_TO_ETHERTYPE.get(data[0], 0), data[1:]
    return _PPP_TO_ETHERTYPE.get(_uint16(data, 0), 0), data[2:]


def unwrap_ppp(frame: bytes) -> bytes | None:
    """PPP with or without HDLC-like framing."""
    return unwrap_ethertype(*_open_ppp(frame))


def _unwrap_pppoe(frame: bytes) -> bytes | None:
    return unwrap_ethertype(EtherType.PPPOE_SESSION, frame)


def _unwrap_null(frame: bytes) -> bytes | None:
    """An address family in the byte order of the capturing machine, or of the network."""
    family = int.from_bytes(frame[:4], "little" if frame[:1] != b"\0" else "big")
    return _ip(frame[4:]) if family == _AF_INET or family in _AF_INET6 else None


def _unwrap_cooked(frame: bytes) -> bytes | None:
    return unwrap_ethertype(_uint16(frame, 14), frame[16:])


def _unwrap_cooked_2(frame: bytes) -> bytes | None:
    return unwrap_ethertype(_uint16(frame, 0), frame[20:])


def _unwrap_c_hdlc(frame: bytes) -> bytes | None:
    return unwrap_ethertype(_uint16(frame, 2), frame[4:])


_READERS: Final[dict[int, Callable[[bytes], bytes | None]]] = {
    LinkType.NULL: _unwrap_null,
    LinkType.ETHERNET: unwrap_ethernet,
    LinkType.PPP: unwrap_ppp,
    LinkType.RAW_BSD: _ip,
    LinkType.RAW_OPENBSD: _ip,
    LinkType.PPP_HDLC: unwrap_ppp,
    LinkType.PPPOE: _unwrap_pppoe,
    LinkType.RAW: _ip,
    LinkType.C_HDLC: _unwrap_c_hdlc,
    LinkType.LOOP: _unwrap_null,
    LinkType.LINUX_COOKED: _unwrap_cooked,
    LinkType.IPV4: _ip,
    LinkType.IPV6: _ip,
    LinkType.LINUX_COOKED_2: _unwrap_cooked_2,
}
