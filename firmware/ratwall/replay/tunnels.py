"""IP inside IP: the tunnels that captures of providers and clouds come in.

Replay judges what is in a tunnel; inline a tunnel is one connection to its far end and is not
opened. One call opens one layer; the engine bounds how many.
"""

from collections.abc import Callable
from typing import Final

from ratwall.replay.links import (
    EtherType,
    unwrap_ethernet,
    unwrap_ethertype,
    unwrap_ppp,
)
from ratwall.wire.packet import Transport

_IPV4_IN_IP: Final = 4
_IPV6_IN_IP: Final = 41
_GRE: Final = 47
_UDP: Final = 17
_UDP_HEADER: Final = 8

_ERSPAN_2: Final = 0x88BE
_ERSPAN_3: Final = 0x22EB
_GRE_CHECKSUM: Final = 0x80
_GRE_KEY: Final = 0x20
_GRE_SEQUENCE: Final = 0x10
_GRE_ACKNOWLEDGED: Final = 0x80  # second byte, version 1 only (RFC 2637 §4.1)
_GTP_OPTIONAL: Final = 0x07
_GTP_EXTENSION: Final = 0x04
_GTP_USER_DATA: Final = 255
_GTP_EXTENSION_LIMIT: Final = 8  # extension headers of one packet; one or two are seen


def open_tunnel(datagram: bytes, transport: Transport) -> bytes | None:
    """Return the IP datagram that the given one carries; None when it is no known tunnel."""
    data = datagram[transport.header_length : transport.datagram_length]
    protocol = transport.protocol
    if protocol in (_IPV4_IN_IP, _IPV6_IN_IP):
        return data if data and data[0] >> 4 in (4, 6) else None
    if protocol == _GRE:
        return _open_gre(data)
    if protocol == _UDP and len(data) >= _UDP_HEADER:
        ports = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
        for port in reversed(ports):
            reader = _UDP_TUNNELS.get(port)
            if reader is not None:
                return reader(data[_UDP_HEADER:])
    return None


def _open_gre(data: bytes) -> bytes | None:
    """GRE (RFC 2784, RFC 2890), its PPTP variant (RFC 2637) and ERSPAN, which mirrors Ethernet."""
    if len(data) < 4:
        return None
    flags, version, protocol = data[0], data[1] & 7, int.from_bytes(data[2:4], "big")
    offset = 4
    for flag in (_GRE_CHECKSUM, _GRE_KEY, _GRE_SEQUENCE):
        if flags & flag:
            offset += 4
    if version == 1 and data[1] & _GRE_ACKNOWLEDGED:
        offset += 4
    inner = data[offset:]
    if protocol == _ERSPAN_2:
        # Version I has no header of its own, nor a sequence number in GRE.
        return unwrap_ethernet(inner[8:] if flags & _GRE_SEQUENCE else inner)
    if protocol == _ERSPAN_3:
        optional = 8 if len(inner) >= 12 and inner[11] & 1 else 0
        return unwrap_ethernet(inner[12 + optional :])
    if protocol == EtherType.TRANSPARENT_ETHERNET:
        return unwrap_ethernet(inner)
    if protocol == EtherType.PPP:
        return unwrap_ppp(inner)
    return unwrap_ethertype(protocol, inner)


def _open_vxlan(data: bytes) -> bytes | None:
    """VXLAN (RFC 7348 §5): eight bytes, then Ethernet."""
    return unwrap_ethernet(data[8:]) if data[:1] and data[0] & 0x08 else None


def _open_geneve(data: bytes) -> bytes | None:
    """Geneve (RFC 8926 §3.4): eight bytes and options, then what the type says."""
    if len(data) < 8:
        return None
    inner = data[8 + (data[0] & 0x3F) * 4 :]
    protocol = int.from_bytes(data[2:4], "big")
    if protocol == EtherType.TRANSPARENT_ETHERNET:
        return unwrap_ethernet(inner)
    return unwrap_ethertype(protocol, inner)


def _open_gtp(data: bytes) -> bytes | None:
    """GTP-U (3GPP TS 29.281 §5): eight bytes, optional four, extension headers, then IP."""
    if len(data) < 12 or data[0] >> 5 != 1 or data[1] != _GTP_USER_DATA:
        return None
    offset = 8
    if data[0] & _GTP_OPTIONAL:
        offset += 4
        following = data[11] if data[0] & _GTP_EXTENSION else 0
        for _ in range(_GTP_EXTENSION_LIMIT):
            if not following or offset >= len(data) or not data[offset]:
                break
            offset += data[offset] * 4
            following = data[offset - 1] if offset <= len(data) else 0
    inner = data[offset:]
    return inner if inner and inner[0] >> 4 in (4, 6) else None


def _open_teredo(data: bytes) -> bytes | None:
    """Teredo (RFC 4380 §5.1.1): an authentication and an origin header may precede IPv6."""
    if data[:2] == b"\0\1" and len(data) >= 4:
        data = data[13 + data[2] + data[3] :]
    if data[:2] == b"\0\0":
        data = data[8:]
    return data if data and data[0] >> 4 == 6 else None


_UDP_TUNNELS: Final[dict[int, Callable[[bytes], bytes | None]]] = {
    2152: _open_gtp,
    3544: _open_teredo,
    4789: _open_vxlan,
    6081: _open_geneve,
}
