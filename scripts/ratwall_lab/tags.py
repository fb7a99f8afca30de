"""What a tagged link adds to an Ethernet frame and takes off again: 802.1Q, 802.1ad, PPPoE.

Pure: frames in, frames out. It never looks behind the IP version, and only sessions of PPPoE are
played: discovery and LCP need no answer for two ends that know each other.
Design note: PPP carries IP alone, so on a PPPoE link ARP travels beside it untagged, which spares
the lab a PPP address negotiation and changes nothing for TCP.
"""

from __future__ import annotations

from typing import Literal

Tagging = Literal["vlan", "service", "pppoe", "stacked"]

ADDRESSES = 12  # destination and source, which a tag follows
VLAN_ID = (77).to_bytes(2, "big")  # priority 0, drop eligible 0, identifier 77
ETHERTYPE_VLAN, ETHERTYPE_SERVICE_VLAN = b"\x81\x00", b"\x88\xa8"
VLAN_TAG = ETHERTYPE_VLAN + VLAN_ID
SERVICE_TAG = ETHERTYPE_SERVICE_VLAN + VLAN_ID  # 802.1ad: a provider's
STACKED_TAGS = SERVICE_TAG + VLAN_TAG  # and around a customer's
PPPOE_SESSION = b"\x88\x64\x11\x00\x00\x2a"  # EtherType, version and type 1, data, session 42
PPPOE_HEADER = len(PPPOE_SESSION) + 2  # and the length
PPP_PROTOCOLS = {b"\x08\x00": b"\x00\x21", b"\x86\xdd": b"\x00\x57"}  # EtherType → PPP: IPv4, IPv6
ETHERTYPES = {ppp: ether for ether, ppp in PPP_PROTOCOLS.items()}
PPPOE_OVERHEAD = 8  # bytes of the link's MTU: PPPoE's header and PPP's (RFC 2516 §7)

IPV4_PROTOCOL, IPV6_PROTOCOL, TCP = 14 + 9, 14 + 6, 6  # where an untagged frame names it, and TCP

_FIXED = {"vlan": VLAN_TAG, "service": SERVICE_TAG, "stacked": STACKED_TAGS}


def add_tag(frame: bytes, tagging: Tagging) -> bytes:
    """Return the frame as it travels on the link."""
    rest = frame[ADDRESSES:]
    if tagging in _FIXED:
        return frame[:ADDRESSES] + _FIXED[tagging] + rest
    protocol = PPP_PROTOCOLS.get(rest[:2])
    if protocol is None:
        return frame
    length = (len(rest) - 2 + len(protocol)).to_bytes(2, "big")
    return frame[:ADDRESSES] + PPPOE_SESSION + length + protocol + rest[2:]


def strip_tag(frame: bytes, tagging: Tagging) -> bytes | None:
    """Return the frame as its receiver gets it; None for a stray one that is not tagged as agreed.

    On a PPPoE link what PPP does not carry comes without a header; IP never does.
    """
    rest = frame[ADDRESSES:]
    if tagging in _FIXED:
        tag = _FIXED[tagging]
        return frame[:ADDRESSES] + rest[len(tag) :] if rest.startswith(tag) else None
    if not rest.startswith(PPPOE_SESSION):
        return None if rest[:2] in PPP_PROTOCOLS else frame
    length = int.from_bytes(rest[len(PPPOE_SESSION) : PPPOE_HEADER])
    content = rest[PPPOE_HEADER : PPPOE_HEADER + length]
    ethertype = ETHERTYPES.get(content[:2])
    return None if ethertype is None else frame[:ADDRESSES] + ethertype + content[2:]


def is_untagged_tcp(frame: bytes) -> bool:
    """Say whether a frame carries TCP right behind its Ethernet header (without IPv6 options)."""
    place = {b"\x08\x00": IPV4_PROTOCOL, b"\x86\xdd": IPV6_PROTOCOL}.get(frame[ADDRESSES:][:2])
    return place is not None and frame[place : place + 1] == bytes([TCP])
